"""Splits by their usual names: which there are, and which one is asked for."""

import re
from collections.abc import Iterable
from pathlib import PurePath

from lsi.errors import DataError

ALL = "all"
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
SPLITS = frozenset(name for names in _NAMES.values() for name in names)


def same_split(name: str) -> str:
    """Return one name for all spellings of a split: case does not count, val and valid are validation."""
    folded = name.strip().casefold()
    return next((split for split, names in _NAMES.items() if folded in names), folded)


def split_of_file(path: PurePath) -> str | None:
    """Return the split that a file's folders or its own name begin with (train/0.parquet, test-00000-of-2.parquet)."""
    words = [*path.parent.parts[::-1], re.split(r"[-_.]", path.name)[0]]
    return next((same_split(word) for word in words if word.casefold() in SPLITS), None)


def check_split(asked: str, known: Iterable[str], where: object) -> None:
    """Raise where a split that is asked for is not there.

    Args:
        asked: the name of a split, or "all".
        known: the splits that are there, by any of their names.
        where: what the message names as their place.

    Raises:
        DataError: there is no such split; the message names those that there are.
    """
    names = sorted({str(name) for name in known if str(name).strip()})
    if asked == ALL or same_split(asked) in {same_split(name) for name in names}:
        return
    raise DataError(
        f"{where}: there is no split {asked!r}. There {'is' if len(names) == 1 else 'are'} {', '.join(names)}: "
        "name one of them, or all."
    )
