"""Features that the cache holds already, image by image: data that grew or were cleaned embed what is new alone.

An entry of features names the content of each of its rows and what they were made with. An image of the same content
under the same backbone, size and range of pixel values has the same features, up to the rounding that a batch of other
images brings (about one part in a million), so its row is copied.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsi.files import new_array, read_json, save_array, write_json
from lsi.runs.store import Entry, Store

log = logging.getLogger(__name__)

MADE, ROWS = "made_with.json", "contents.npy"
_COPIED = 65_536  # rows at a time


@dataclass(frozen=True)
class Content:
    """What the rows of an entry are.

    Attributes:
        made_with: a hash of everything but the images that their features depend on.
        checksums: n texts, the content of each image; "" where it cannot be read.
    """

    made_with: str
    checksums: tuple[str, ...]

    def write(self, entry: Entry) -> list[str]:
        """Say in an entry what its rows are, and return the names of the files."""
        write_json(entry.path(MADE), {"made_with": self.made_with})
        save_array(entry.path(ROWS), np.array(self.checksums, dtype="S"))
        return [MADE, ROWS]


@dataclass(frozen=True)
class Known:
    """Rows of other entries.

    Attributes:
        folders: of the entries.
        folder: (n,) which of them holds a row; −1 for none.
        row: (n,) its number there.
    """

    folders: list[Path]
    folder: np.ndarray
    row: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """Positions that no entry holds, (s,)."""
        return np.flatnonzero(self.folder < 0)


def known_rows(store: Store, kind: str, content: Content, arrays: tuple[str, ...]) -> Known:
    """Return which rows the cache holds already, in entries made with the same that have all of these arrays.

    Args:
        store: the cache.
        kind: of its entries.
        content: what is looked for.
        arrays: names of the arrays that a row needs.
    """
    wanted = np.array(content.checksums, dtype="S")
    folders: list[Path] = []
    folder, row = np.full(len(wanted), -1), np.full(len(wanted), -1)
    for path in sorted((store.root / kind).glob(f"*/{MADE}")):
        entry = Entry(path.parent)
        here = np.flatnonzero((folder < 0) & (wanted != b""))
        if not len(here) or (read_json(path) or {}).get("made_with") != content.made_with or not entry.is_sealed():
            continue
        rows = _rows_in(entry, arrays, wanted[here])
        if not (rows >= 0).any() or not entry.is_complete():  # this reads all of it, so only where it has something
            continue
        found = here[rows >= 0]
        folder[found], row[found] = len(folders), rows[rows >= 0]
        folders.append(entry.folder)
    return Known(folders, folder, row)


def fill(entry: Entry, arrays: tuple[str, ...], known: Known, compute: Callable[[Path], None]) -> None:
    """Write the arrays of an entry: the rows that are known copied, the others computed.

    Args:
        entry: whose arrays `<name>.npy` are written.
        arrays: their names.
        known: which rows other entries hold.
        compute: writes the same arrays of the missing rows, in their order, into a folder; not called without any.
    """
    fresh = entry.folder / "new"
    if len(known.missing):
        fresh.mkdir(exist_ok=True)
        compute(fresh)
    sources = [*known.folders, *([fresh] if len(known.missing) else [])]
    folder, row = known.folder.copy(), known.row.copy()
    folder[known.missing], row[known.missing] = len(known.folders), np.arange(len(known.missing))
    for name in arrays:
        parts = [np.load(source / f"{name}.npy", mmap_mode="r") for source in sources]
        partial = entry.path(f"partial_{name}.npy")
        result = new_array(partial, parts[0].dtype, (len(row), parts[0].shape[1]))
        for start in range(0, len(row), _COPIED):
            block = slice(start, start + _COPIED)
            for number, part in enumerate(parts):
                chosen = np.flatnonzero(folder[block] == number)
                result[start + chosen] = part[row[block][chosen]]
        result.flush()
        del result
        partial.replace(entry.path(f"{name}.npy"))
    shutil.rmtree(fresh, ignore_errors=True)


def _rows_in(entry: Entry, arrays: tuple[str, ...], wanted: np.ndarray) -> np.ndarray:
    """Return the row of each content in an entry, (s,); −1 where it has none or failed there."""
    try:
        there = np.load(entry.path(ROWS))
        for name in arrays:
            np.load(entry.path(f"{name}.npy"), mmap_mode="r")
    except (OSError, ValueError) as error:
        log.warning("%s is left out: %s", entry.folder, error)
        return np.full(len(wanted), -1)
    order = np.argsort(there, kind="stable")
    at = np.minimum(np.searchsorted(there[order], wanted), len(there) - 1)
    rows = np.where(there[order[at]] == wanted, order[at], -1)
    failed = [int(i) for i in read_json(entry.path("skipped.json")) or {}]
    return np.where(np.isin(rows, failed), -1, rows)
