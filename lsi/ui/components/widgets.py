"""The Python side of the components: their data as records, and what they return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lsi.export.web import PARTS
from lsi.ui.components.log import DecisionLog, drain_decision_log, log_of
from lsi.ui.filters import Lasso
from lsi.ui.wording import plain

_HERE = Path(__file__).parent


@cache
def _component(name: str) -> Callable[..., Any]:
    folder = Path(__file__).parent if name == "queue" else PARTS  # a site without a server has the others too
    html, js, css = ((folder / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "js", "css"))
    v2: Any = st.components.v2  # type: ignore[attr-defined]
    return v2.component(f"lsi_{name}", html=html, css=css, js=js)


def remember(cookie: str, value: str, path: str) -> None:
    """Keep a text in this browser for a year.

    Args:
        cookie: the name that it is kept under.
        value: the text.
        path: the addresses that it is sent to again, all below this one.
    """
    v2: Any = st.components.v2  # type: ignore[attr-defined]
    component = v2.component("lsi_remember", js=(_HERE / "remember.js").read_text(encoding="utf-8"))
    component(key=f"remember-{cookie}", data={"cookie": cookie, "value": value, "path": path})


def one_entry_a_page() -> None:
    """Let what a page writes into the address replace it, so that Back leads to the page before."""
    v2: Any = st.components.v2  # type: ignore[attr-defined]
    v2.component("lsi_address", js=(_HERE / "address.js").read_text(encoding="utf-8"))(key="address")


@dataclass(frozen=True)
class Tiles:
    """What the gallery shows.

    Attributes:
        mark: changes when other samples are shown.
        base: of the image addresses; empty where there are no images.
        size: of a tile in pixels.
        height: of the gallery in pixels.
        rows: a row a tile, in the order shown: `order` (the sample's position in the run), `given` and `predicted`
            (indices into `captions`), `value` (the number on the tile), `issue` (suspected label), `decision` (index
            into `decisions`), `label` (the new one, index into `captions`; −1 for none).
        captions: what was given or is predicted, as text.
        decisions: names of the decisions, the first for none.
        texts: shown where there are no images, a text a row.
        selectable: whether tiles can be selected; where not, a click opens one.
        fills: whether the gallery takes most of the window's height, where that is more than its own.
    """

    mark: str
    base: str
    size: int
    height: int
    rows: pd.DataFrame
    captions: Sequence[str]
    decisions: Sequence[str]
    texts: Sequence[str] = ()
    selectable: bool = True
    fills: bool = False


@dataclass(frozen=True)
class ReviewItems:
    """What the review queue shows.

    Attributes:
        mark: changes when other samples are shown.
        base: of the image addresses; empty where there are no images.
        items: a sample each: `i` (position), `id`, `text`, `given`, `suggested` (None: its own label), `top` (class and
            probability), `decision`, `label`, `near` (position and class of the most alike whose labels are not
            suspected).
        classes: class names.
        typical: positions of typical samples, by class.
        at: number of the item that the queue opens at.
        revision: changes when decisions were made or taken back elsewhere.
        read_only: nothing can be decided.
    """

    mark: str
    base: str
    items: list[dict[str, Any]]
    classes: Sequence[str]
    typical: dict[int, list[int]]
    at: int
    revision: int
    read_only: bool


@dataclass(frozen=True)
class MapPoints:
    """What the map shows.

    Attributes:
        mark: changes when other points are shown.
        base: of the image addresses; empty where there are no images.
        positions: (n, 2).
        colors: (n, 4) uint8, red, green, blue, opacity.
        captions: codes of what was given and of what is predicted for each point, and their texts, shown under the
            pointer.
        lsi: of each point in nats, shown there too.
        legend: what the colours mean: a CSS colour, a text, "" and the value; for a scale a gradient and its ends.
    """

    mark: str
    base: str
    positions: np.ndarray
    colors: np.ndarray
    captions: tuple[np.ndarray, np.ndarray, Sequence[str]]
    lsi: np.ndarray
    legend: Sequence[tuple[str, str, str, str]]

    def table(self) -> pd.DataFrame:
        """Return the points as the columns that the component reads."""
        return pd.DataFrame(
            {
                "x": self.positions[:, 0].astype(np.float32),
                "y": self.positions[:, 1].astype(np.float32),
                "color": np.ascontiguousarray(self.colors, np.uint8).view(np.uint32)[:, 0],
                "given": self.captions[0].astype(np.int32),
                "predicted": self.captions[1].astype(np.int32),
                "value": self.lsi.astype(np.float32),
            }
        )


@dataclass(frozen=True)
class MapTools:
    """How the map is used at the moment.

    Attributes:
        lassos: drawn so far.
        box: dragging draws a box instead of a lasso.
        focus: position of a point to ring and centre on, if any.
        height: in pixels, at most; a low window takes less.
        filters: the values of those entries of the legend that can be clicked.
    """

    lassos: tuple[Lasso, ...] = ()
    box: bool = False
    focus: int | None = None
    height: int = 600
    filters: Sequence[str] = ()


def gallery(tiles: Tiles, key: str, act: Callable[[str, list[int]], str] | None = None) -> tuple[list[int], int | None]:
    """Show samples as tiles; return the selected positions, and the one that was just opened, if any.

    The selection belongs to the key, so a key must hold the name of the run whose positions are shown.

    Args:
        tiles: the samples.
        key: of the widget.
        act: takes keep, exclude or suggestion, and positions, where a key decides about them, and returns what was
            done; it must not touch Streamlit. None: no key decides.
    """
    log = log_of(key)
    log.decide = lambda entry: "" if act is None else act(str(entry[0]), _whole_numbers(entry[1]))
    state = st.session_state.get(key) or {}
    selected = _whole_numbers(state.get("selected"))
    columns = {"order": np.int32, "given": np.int32, "predicted": np.int32, "value": np.float64, "issue": np.uint8,
               "decision": np.uint8, "label": np.int32}  # fmt: skip
    result = _component("gallery")(
        key=key,
        data={
            "key": key,
            "mark": tiles.mark,
            "base": tiles.base,
            "size": tiles.size,
            "height": tiles.height,
            "rows": tiles.rows[list(columns)].astype(columns).reset_index(drop=True),
            "classes": list(tiles.captions),
            "decisions": list(tiles.decisions),
            "texts": list(tiles.texts),
            "selected": selected,
            "selectable": tiles.selectable,
            "fills": tiles.fills,
            "decides": act is not None,
            "ack": log.acknowledged,
            "last": log.last,
            "token": log.token,
        },
        on_selected_change=lambda: None,
        on_open_change=lambda: None,
        on_log_change=drain_decision_log,
    )
    if log.take(result.log or []):
        st.rerun()
    _say(log)
    shown = np.isin(selected, tiles.rows["order"].to_numpy()) if selected else []
    return [i for i, is_shown in zip(selected, shown, strict=True) if is_shown], result.open


def _whole_numbers(sent: Any) -> list[int]:
    """Return the positions in what a browser has sent, and nothing else of it."""
    return [i for i in sent if type(i) is int] if isinstance(sent, list) else []


def queue(shown: ReviewItems, decide: Callable[[int, str, int | None], str], key: str) -> int | None:
    """Show the review queue and return the position on screen.

    Decisions arrive as a numbered log and are passed on, each once.

    Args:
        shown: the samples to review.
        decide: takes a decision as position, action ("undo" takes back the last) and class, and returns what is to be
            said of it, "" for nothing; it must not touch Streamlit.
        key: of the widget; it must hold the name of the run, since the log refers to positions.
    """

    def taken(entry: list[Any]) -> str:
        position, action, label = entry
        return decide(int(position), str(action), None if label is None else int(label))

    log = log_of(key)
    log.decide = taken
    result = _component("queue")(
        key=key,
        data={
            "mark": shown.mark,
            "base": shown.base,
            "items": shown.items,
            "classes": list(shown.classes),
            "typical": shown.typical,
            "at": shown.at,
            "ack": log.acknowledged,
            "last": log.last,
            "token": log.token,
            "revision": shown.revision,
            "read_only": shown.read_only,
        },
        on_log_change=drain_decision_log,
        on_current_change=lambda: None,
    )
    if log.take(result.log or []):
        st.rerun()
    _say(log)
    return None if result.current is None else int(result.current)


def _say(log: DecisionLog) -> None:
    while log.said:
        st.toast(plain(log.said.pop(0)))


def scatter(
    points: MapPoints,
    tools: MapTools,
    on_lasso: Callable[[tuple[Lasso, ...]], None],
    on_legend: Callable[[str], None],
    key: str,
) -> int | None:
    """Show points on a map; return the one that was just clicked, if any.

    Args:
        points: the points, their colours and what they are called.
        tools: the lassos and the point in focus.
        on_lasso: called with all lassos when one was drawn.
        on_legend: called with the value of an entry of the legend that was clicked.
        key: of the widget.
    """

    def changed() -> None:
        drawn = st.session_state[key].get("lassos") or []
        on_lasso(tuple(Lasso(o["mode"], tuple((float(x), float(y)) for x, y in o["points"])) for o in drawn))

    def chosen() -> None:
        text = st.session_state[key].get("entry")
        if text:
            on_legend(str(text))

    result = _component("map")(
        key=key,
        data={
            "mark": points.mark,
            "base": points.base,
            "points": points.table(),
            "classes": list(points.captions[2]),
            "legend": [list(entry) for entry in points.legend],
            "tool": "box" if tools.box else "lasso",
            "focus": tools.focus,
            "height": tools.height,
            "filters": list(tools.filters),
            "lassos": [{"mode": o.mode, "points": [list(p) for p in o.points]} for o in tools.lassos],
        },
        on_lassos_change=changed,
        on_entry_change=chosen,
        on_open_change=lambda: None,
    )
    return None if result.open is None else int(result.open)
