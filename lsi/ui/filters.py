"""The one filter that every page obeys: what it holds, which rows it leaves, how it is written in the URL."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lsi.runs.records import ACTIONS, UNDECIDED, decision_codes
from lsi.ui.columns import Column, ColumnFilter, read_column
from lsi.ui.flags import FLAGS

Point = tuple[float, float]
DECISIONS = (UNDECIDED, *ACTIONS)
_PLACES = {decision: i for i, decision in enumerate(DECISIONS)}


@dataclass(frozen=True)
class Lasso:
    """A polygon on the map that adds to or takes from what was there.

    Its corners are kept to four decimals, as the address writes them: an address then shows exactly the same samples.

    Attributes:
        mode: "set", "add" or "subtract".
        points: the corners in the coordinates of the map.
    """

    mode: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        """Round the corners."""
        object.__setattr__(self, "points", tuple((round(x, 4), round(y, 4)) for x, y in self.points))


@dataclass(frozen=True)
class Filter:
    """Which samples are on screen. Empty fields let everything through.

    `low` and `high` are shares of the samples in rising order of LSI, 0 … 1. `quality` are names of flags of image
    quality, of which a sample has one at least. `differs` leaves those whose label is another one than the data's own:
    by a second labelling, on purpose, or by decisions that the run started from. `tags` are those of which a sample
    has one at least, `noted` leaves those with a note, and `new` those that an
    earlier run on the same data lacks.
    """

    classes: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    issues: bool = False
    decision: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    duplicates: bool = False
    disputed: bool = False
    group: int | None = None
    text: str = ""
    lassos: tuple[Lasso, ...] = ()
    quality: tuple[str, ...] = ()
    columns: tuple[ColumnFilter, ...] = ()
    differs: bool = False
    tags: tuple[str, ...] = ()
    noted: bool = False
    new: bool = False

    @property
    def is_of_label(self) -> bool:
        """Whether labels are what those shown are judged by, and not that they are copies or poor images alone."""
        of_image = self.quality or self.duplicates or self.group is not None
        return self.issues or self.differs or self.disputed or not of_image

    def mask(
        self,
        table: pd.DataFrame,
        decided: pd.DataFrame,
        positions: np.ndarray | None,
        read: Callable[[str], Column] | None = None,
        said: pd.DataFrame | None = None,
    ) -> np.ndarray:
        """Return which rows of the table pass; `positions` are those on the map, where they are known.

        Args:
            table: one row per sample.
            decided: the decisions in force, indexed by row of the table.
            positions: (n, 2) on the map; None while they are not known: nothing then passes a lasso.
            read: gives a column of the data by its name, where it is at hand already.
            said: the tags and notes on the samples; None: there are none.
        """
        share = 1 - (table["lsi_rank"].to_numpy() - 0.5) / len(table)
        kept = (share >= self.low) & (share <= self.high)
        group = table["near_duplicate_group"].to_numpy()
        if self.decision:
            kept &= np.isin(decision_codes(len(table), decided), [i for d, i in _PLACES.items() if d in self.decision])
        for column, values in (("given", self.classes), ("predicted", self.predicted), ("split", self.split)):
            if values and column in table.columns:
                kept &= table[column].isin(values).to_numpy()
        kept &= self._mask_of_switches(table, decided)
        if self.group is not None:
            kept &= group == self.group
        if self.text:
            searched = [table[c].astype(str) for c in ("id", "text") if c in table.columns]
            kept &= np.any([c.str.contains(self.text, case=False, regex=False) for c in searched], axis=0)
        if self.lassos:
            kept &= False if positions is None else lassoed(positions, self.lassos)
        if self.tags or self.noted:
            kept &= self._mask_of_remarks(len(table), said)
        return kept & self._mask_of_columns(table, read or (lambda name: read_column(table[name])))

    def _mask_of_switches(self, table: pd.DataFrame, decided: pd.DataFrame) -> np.ndarray:
        """Return which rows pass what is either asked for or not."""
        kept = np.ones(len(table), dtype=bool)
        if self.issues:
            kept &= table["is_label_issue"].to_numpy()
        if self.duplicates:
            kept &= table["near_duplicate_group"].to_numpy() >= 0
        if self.disputed:
            kept &= table.index.isin(decided.index[decided["disputed"].to_numpy(dtype=bool)])
        if self.differs:
            kept &= differing(table)
        return kept

    def _mask_of_remarks(self, n_rows: int, said: pd.DataFrame | None) -> np.ndarray:
        """Return which rows have one of the tags, and a note where that is asked for."""
        kept = np.ones(n_rows, dtype=bool)
        if said is None:
            return ~kept
        for is_asked, kind, among in ((bool(self.tags), "tag", self.tags), (self.noted, "note", None)):
            chosen = (said["kind"] == kind) & (True if among is None else said["text"].isin(among))
            if is_asked:
                kept &= np.isin(np.arange(n_rows), said["sample"][chosen])
        return kept

    def _mask_of_columns(self, table: pd.DataFrame, read: Callable[[str], Column]) -> np.ndarray:
        """Return which rows pass what is said of image quality and of the columns of the data."""
        kept = np.ones(len(table), dtype=bool)
        flags = [flag for flag in self.quality if flag in table.columns]
        if flags:
            kept &= table[flags].to_numpy(dtype=bool).any(axis=1)
        for one in self.columns:
            if one.column in table.columns:
                kept &= one.mask(read(one.column))
        return kept

    def of_column(self, name: str) -> ColumnFilter:
        """Return what a column may hold, anything where nothing is said of it."""
        return next((one for one in self.columns if one.column == name), ColumnFilter(name))

    def with_column(self, one: ColumnFilter) -> "Filter":
        """Return the filter with this said of a column instead of what was said before."""
        rest = tuple(other for other in self.columns if other.column != one.column)
        return replace(self, columns=(*rest, one) if one.is_active else rest)

    def chips(self, suspected: str = "labels") -> dict[str, "Filter"]:
        """Return the name of every active part, with the filter that is left when it is removed.

        Args:
            suspected: what can be suspected, in the plural: labels or targets.
        """
        lists = {"class": "classes", "predicted": "predicted", "decision": "decision", "split": "split", "tag": "tags"}
        parts: dict[str, Filter] = {
            f"{word} {', '.join(getattr(self, name))}": replace(self, **{name: ()})
            for word, name in lists.items()
            if getattr(self, name)
        }
        switches = [
            (
                self.low > 0 or self.high < 1,
                f"LSI {_percent(self.low)} to {_percent(self.high)}",
                {"low": 0.0, "high": 1.0},
            ),
            (self.issues, f"suspected {suspected}", {"issues": False}),
            (self.duplicates, "near duplicates", {"duplicates": False}),
            (self.disputed, "reviewers disagree", {"disputed": False}),
            (self.differs, "labellings differ", {"differs": False}),
            (self.noted, "with a note", {"noted": False}),
            (self.new, "new since the run before", {"new": False}),
            (self.group is not None, f"group {self.group}", {"group": None}),
            (bool(self.text), f"contains {self.text}", {"text": ""}),
            (bool(self.lassos), "lasso on the map", {"lassos": ()}),
        ]
        parts |= {name: replace(self, **without) for on, name, without in switches if on}
        if self.quality:
            flags = ", ".join(FLAGS[flag].words for flag in self.quality)
            parts[f"image quality {flags}"] = replace(self, quality=())
        for one in self.columns:
            name = one.chip() if one.chip() not in parts else f"column {one.column!r}: {one.chip()}"
            parts[name] = self.with_column(ColumnFilter(one.column))
        return parts

    def to_query(self) -> dict[str, str | list[str]]:
        """Return the parameters that write this filter in a URL."""
        query: dict[str, str | list[str]] = {}
        lists = {"class": self.classes, "predicted": self.predicted, "decision": self.decision, "split": self.split,
                 "tag": self.tags}  # fmt: skip
        query |= {name: list(values) for name, values in lists.items() if values}
        if self.low > 0 or self.high < 1:
            query["lsi"] = f"{self.low:.8f}-{self.high:.8f}"
        switches = {"issues": self.issues, "duplicates": self.duplicates, "disputed": self.disputed,
                    "differs": self.differs, "noted": self.noted, "new": self.new}  # fmt: skip
        query |= {name: "1" for name, on in switches.items() if on}
        if self.group is not None:
            query["group"] = str(self.group)
        if self.text:
            query["text"] = self.text
        if self.lassos:
            query["lasso"] = [_write_lasso(one) for one in self.lassos]
        if self.quality:
            query["quality"] = list(self.quality)
        return query | dict(one.to_query() for one in self.columns)

    @staticmethod
    def from_query(query: dict[str, list[str]]) -> "Filter":
        """Return the filter that a URL writes; parts that make no sense are left out."""

        def words(name: str) -> tuple[str, ...]:
            return tuple(query.get(name, ()))

        def first(name: str) -> str:
            return next(iter(query.get(name, ())), "")

        low, high = _read_range(first("lsi"))
        lassos = tuple(one for one in map(_read_lasso, words("lasso")) if one is not None)
        group = int(first("group")) if first("group").isdecimal() else None
        columns = {one.column: one for name in query if (one := ColumnFilter.from_query(name, words(name)))}
        return Filter(
            words("class"), words("predicted"), low, high, first("issues") == "1", words("decision"), words("split"),
            first("duplicates") == "1", first("disputed") == "1", group, first("text")[:200], lassos,
            tuple(flag for flag in words("quality") if flag in FLAGS), tuple(columns.values()),
            first("differs") == "1", words("tag"), first("noted") == "1", first("new") == "1",
        )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def differing(table: pd.DataFrame) -> np.ndarray:
    """Return whose label differs from the true one or from that before decisions, (n,); nobody's where unknown."""
    found = np.zeros(len(table), dtype=bool)
    if "true_label" in table.columns:
        found |= (table["true_label"] != table["given_label"]).to_numpy()
    if "label_in_data" in table.columns:
        found |= (table["label_in_data"] != table["given"]).to_numpy()
    return found


def lassoed(positions: np.ndarray, lassos: tuple[Lasso, ...]) -> np.ndarray:
    """Return which points the lassos hold, one applied after the other; a first one that takes away takes from all."""
    kept = np.full(len(positions), bool(lassos) and lassos[0].mode == "subtract")
    for one in lassos:
        inside = in_polygon(positions, one.points)
        kept = {"set": inside, "add": kept | inside, "subtract": kept & ~inside}[one.mode]
    return kept


def in_polygon(positions: np.ndarray, polygon: tuple[Point, ...]) -> np.ndarray:
    """Return which points lie in a polygon, by the even-odd rule, exact on all points."""
    corners = np.asarray(polygon, dtype=np.float64)
    inside_polygon = np.zeros(len(positions), dtype=bool)
    if len(corners) < 3:
        return inside_polygon
    in_box = ((positions >= corners.min(axis=0)) & (positions <= corners.max(axis=0))).all(axis=1)
    rows = np.flatnonzero(in_box)
    x, y = positions[rows, 0].astype(np.float64), positions[rows, 1].astype(np.float64)
    inside = np.zeros(len(rows), dtype=bool)
    x0, y0 = corners[-1]
    for x1, y1 in corners:
        if y0 != y1:
            inside ^= ((y1 > y) != (y0 > y)) & (x < (x0 - x1) * (y - y1) / (y0 - y1) + x1)
        x0, y0 = x1, y1
    inside_polygon[rows[inside]] = True
    return inside_polygon


def _write_lasso(lasso: Lasso) -> str:
    return {"set": "s", "add": "a", "subtract": "d"}[lasso.mode] + "_".join(f"{x:.4f},{y:.4f}" for x, y in lasso.points)


def _read_lasso(text: str) -> Lasso | None:
    modes = {"s": "set", "a": "add"}
    try:
        points = tuple((float(p.split(",")[0]), float(p.split(",")[1])) for p in text[1:].split("_"))
    except (ValueError, IndexError):
        return None
    if len(points) < 3 or not np.isfinite(points).all():
        return None
    return Lasso("subtract" if text.startswith("d") else modes.get(text[0], "set"), points)


def _read_range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in text.split("-"))
    except ValueError:
        return 0.0, 1.0
    return (low, high) if 0 <= low <= high <= 1 else (0.0, 1.0)
