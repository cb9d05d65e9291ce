"""Which columns of a file of vectors say whose a row is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lsi.data.naming import holds_names, is_index
from lsi.data.sources.columns import key_columns
from lsi.errors import DataError

# names that say of texts, but not of numbers, that they name images
_PICTURES = frozenset({"images", "picture", "photo", "jpg", "jpeg", "png", "webp"})
_NUMBERED = frozenset({"image", "img"})  # names of paths, and of numbers
LOOKED_AT = 200  # values


def key_names(is_text: Mapping[str, bool]) -> list[str]:
    """Return which columns may say whose a row is, the surest first: an index that holds text is the last."""
    return [*usual_keys(list(is_text)), *(c for c, holds_text in is_text.items() if holds_text and is_index(c))]


def usual_keys(columns: Sequence[str]) -> list[str]:
    """Return which columns have a name that says so, whatever they hold: paths, then images, then ids."""
    found = [(c, is_path) for c, is_path in key_columns(columns) if c.strip().casefold() not in _PICTURES]
    return [c for c, _ in sorted(found, key=lambda key: (not key[1], key[0].strip().casefold() in _NUMBERED))]


def guessed_keys(texts: Mapping[str, np.ndarray]) -> list[str]:
    """Return which columns of text may say whose a row is, by their first values, which names do not repeat."""
    heads = {c: values[:LOOKED_AT] for c, values in texts.items()}
    return [c for c, head in heads.items() if holds_names(head) and len(set(head.tolist())) == len(head)]


def is_guess(path: Path, column: str) -> bool:
    """Say whether neither the name of a column of keys nor that of their own file says that they are keys."""
    return path.suffix.lower() != ".npy" and not is_index(column) and not usual_keys([column])


def checked_keys(path: Path, keys: Mapping[str, np.ndarray], count: int) -> Mapping[str, np.ndarray]:
    """Return the columns that can name samples: a text a row, none twice.

    Args:
        path: of the file of vectors.
        keys: its columns that may be keys, by name.
        count: how many vectors it has.

    Raises:
        DataError: there are such columns beside an index, and none of them can; the message is about the first.
    """
    fitting: dict[str, np.ndarray] = {}
    problems: list[DataError] = []
    for name, values in keys.items():
        try:
            _check_keys(path, values, count)
            fitting[name] = values
        except DataError as error:
            problems += [] if is_index(name) or is_guess(path, name) else [error]
    if problems and not fitting:
        raise problems[0]
    return fitting


def _check_keys(path: Path, keys: np.ndarray, count: int) -> None:
    if len(keys) != count:
        raise DataError(f"{path}: expected {count} ids, one a row of the vectors, got {len(keys)}.")
    first: dict[str, int] = {}
    for row, key in enumerate(keys, 1):
        if not key:
            raise DataError(f"{path}, row {row}: expected an id, got nothing.")
        if first.setdefault(key, row) != row:
            raise DataError(f"{path}, row {row}: the id {key!r} is also that of row {first[key]}: each may occur once.")
