"""Names: of samples that have none, and names that are fit for a folder."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

Parts = tuple[str, ...]  # of a path
BY_END = "the end of their path"

_INDEX = re.compile(r"(index|__index_level_\d+__|unnamed: 0(\.\d+)*)?")  # what a dataframe's index is saved as
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[.,]?(e[-+]?\d+)?|nan|", re.I)
_LOOKED_AT, _LONGEST = 200, 300  # values, and characters
ROW = re.compile(r"\d{6,}")  # the name of a row that has none of its own
ANNOTATION = "annotation_id"  # the column of the ids that boxes have in their annotation
BOX = re.compile(r"(.*)#\d+", re.DOTALL)  # the name of a box: its image, and its number there


def numbered(n: int) -> np.ndarray:
    """Return n ids that count from zero."""
    return np.array([f"{i:06d}" for i in range(n)])


def safe_name(name: str) -> str:
    """Return a name that is fit for a folder."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return kept.strip("-.")[:60] or "data"


def text_of_path(name: str) -> str:
    r"""Return a file's name as text that any file can hold: bytes that are no UTF-8 are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_index(column: str) -> bool:
    """Say whether a column is called as the index of a dataframe is in the file that it was saved to."""
    return _INDEX.fullmatch(column.strip().casefold()) is not None


def rows_by_name(
    keys: Sequence[str] | np.ndarray, names: Sequence[str] | np.ndarray
) -> tuple[Int[np.ndarray, " n"], dict[str, int]]:
    """Return the row of each name among the keys, and how many were joined by another rule than the same text.

    A key that is the same text comes first; then paths of which one is the end of the other; then the same without
    their suffixes; then numbers that differ by leading zeros. A match counts only where neither side has another.

    Args:
        keys: m texts.
        names: n texts.

    Returns:
        (n,) rows, −1 where no key fits, or several keys or names do; and numbers of names by what joined them.
    """
    places: dict[str, int] = {}
    for row, key in enumerate(keys):
        places[key] = -1 if key in places else row
    rows = np.array([places.get(name, -1) for name in names], dtype=np.int64)
    counts: dict[str, int] = {}
    for rule, form in ((BY_END, parts_of), ("their name without suffix", _stem), ("number", _number)):
        free = np.ones(len(keys), bool)
        free[rows[rows >= 0]] = False
        if not free.any() or (rows >= 0).all():
            break
        found = {i: row for i, row in pairs_by_end([form(name) for name in names], [form(key) for key in keys])
                 if rows[i] < 0 and free[row]}  # fmt: skip
        rows[list(found)] = list(found.values())
        counts |= {rule: len(found)} if found else {}
    return rows, counts


def may_name(values: np.ndarray, names: Sequence[str]) -> bool:
    """Say whether a column whose name says nothing may name at least half of the names: sooner than `rows_by_name`.

    Numbers may be those of anything, and long texts are no names.
    """
    if not holds_names(values):
        return False
    texts = {value for value in values.tolist() if isinstance(value, str)}
    if 2 * len(texts) < len(names):
        return False
    ends = {end for text in texts for end in _ends(text)}
    some = names[:: max(1, len(names) // _LOOKED_AT)]
    return any(end in ends for name in some for end in _ends(name))


def is_missing(value: Any) -> bool:
    """Say whether a cell of a table is empty: no list is."""
    return pd.isna(value) is True


def holds_names(values: np.ndarray) -> bool:
    """Say whether the first values are short texts, most of them no numbers."""
    texts = [value for value in values[:_LOOKED_AT].tolist() if not is_missing(value)]
    if not texts or not all(isinstance(text, str) and len(text) < _LONGEST for text in texts):
        return False
    n_numbers = sum(_NUMBER.fullmatch(text.strip()) is not None for text in texts)
    return 2 * n_numbers < len(texts) and not any(text.lstrip().startswith("[") for text in texts)


def _ends(text: str) -> tuple[str, str]:
    last = text.replace("\\", "/").rpartition("/")[2]
    return last, last.rpartition(".")[0] or last


def counts_rows(values: np.ndarray) -> bool:
    """Say whether a column numbers its own rows, from 0 or from 1 on, as numbers or as text."""
    try:
        first = int(values[0])
        return first in (0, 1) and bool((values.astype(np.int64) == np.arange(first, first + len(values))).all())
    except (ValueError, TypeError, OverflowError, IndexError):
        return False


def _stem(text: str) -> Parts:
    parts = parts_of(text)
    return (*parts[:-1], PurePosixPath(parts[-1]).stem) if parts else ()


def _number(text: str) -> Parts:
    return (str(int(text)),) if text.isascii() and text.isdigit() else ()


def parts_of(text: str) -> Parts:
    """Return the parts of a path, whichever way its slashes lean."""
    return tuple(p for p in text.replace("\\", "/").split("/") if p not in ("", "."))


def pairs_by_end(ids: list[Parts], keys: list[Parts]) -> list[tuple[int, int]]:
    """Return the positions of ids and keys that belong together: one is the other's end, and nobody else's."""
    pairs = {(i, k) for k, i in _longest_ends(keys, ids)} | set(_longest_ends(ids, keys))
    of_id, of_key = Counter(i for i, _ in pairs), Counter(k for _, k in pairs)
    return sorted((i, k) for i, k in pairs if of_id[i] == of_key[k] == 1)


def _longest_ends(texts: list[Parts], ends: list[Parts]) -> list[tuple[int, int]]:
    """Return for each text the position of its longest end, where that ends no other text."""
    places: dict[Parts, list[int]] = defaultdict(list)
    for position, end in enumerate(ends):
        places[end].append(position)
    found, uses = [], Counter()
    for t, text in enumerate(texts):
        own = [text[start:] for start in range(len(text)) if text[start:] in places]
        uses.update(own)
        found += [(t, own[0])] if own else []
    return [(t, e) for t, end in found if uses[end] == 1 for e in places[end]]
