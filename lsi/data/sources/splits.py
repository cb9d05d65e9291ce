"""Splits by their usual names: which there are, and which one is asked for."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Bool

from lsi.errors import DataError

ALL = "all"
NO_SPLIT = ", which is no split"  # of images that are ignored beside splits
_NAMES = {
    "train": ("train", "training", "trainset", "trn"),
    "validation": ("validation", "valid", "val", "dev", "devel", "eval", "evaluation", "validate"),
    "test": ("test", "testing", "testset", "tst"),
    "holdout": ("holdout", "heldout"),
    "unlabelled": ("unlabelled", "unlabeled", "unsup", "unsupervised"),
    "extra": ("extra",),
}
_SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}
_FILLERS = frozenset({"set", "data", "dataset", "images", "image", "imgs", "img", "split", "seg", "folder", "files"})


def split_of(name: str) -> str | None:
    """Return the split that a folder's or file's name stands for, None where it stands for none.

    Case, a year behind it (val2017) and words such as set, data or images beside it (training_set) do not count.
    """
    folded = name.strip().casefold()
    joined = re.sub(r"[\s_.-]+", "", folded)
    if joined in ("holdout", "heldout"):
        return "holdout"
    words = [re.sub(r"\d+$", "", word) for word in re.split(r"[\s_.-]+", folded)]
    words = [word for word in words if word and word not in _FILLERS]
    return _SPLIT_OF.get(words[0]) if len(words) == 1 else None


def splits_in_names(names: Sequence[str], *, hold_the_same: bool = False) -> dict[str, str]:
    """Return the splits of names that differ by one alone, such as cars_train and cars_test; none elsewhere.

    Args:
        names: of folders beside one another.
        hold_the_same: whether they hold folders of the same names: rps is then train beside rps-test-set.
    """
    words = [re.split(r"[\s_.-]+", name.strip().casefold()) for name in names]
    shared = set.intersection(*map(set, words)) if len(words) > 1 else set()
    rest = {name: " ".join(w for w in parts if w not in shared) for name, parts in zip(names, words, strict=True)}
    found = {name: "train" if hold_the_same and not own else split_of(own) for name, own in rest.items()}
    splits = {name: split for name, split in found.items() if split is not None}
    is_so = shared and len(splits) == len(names) == len(set(splits.values())) and "train" in splits.values()
    return splits if is_so else {}


def splits_of_folders(folders: Iterable[str]) -> dict[str, str | None]:
    """Return the split of each folder, by a part of its path or by how the folders beside that part are called."""
    places = list(folders)
    beside: dict[str, set[str]] = {}
    for place in places:
        parts = PurePosixPath(place).parts
        for depth, part in enumerate(parts):
            beside.setdefault("/".join(parts[:depth]), set()).add(part)
    called = {(above, name): split for above, names in beside.items()
              for name, split in splits_in_names(sorted(names)).items()}  # fmt: skip

    def of(place: str) -> str | None:
        parts = PurePosixPath(place).parts
        known = (called.get(("/".join(parts[:depth]), part)) for depth, part in enumerate(parts))
        return split_of_folder(place) or next((split for split in known if split is not None), None)

    return {place: of(place) for place in places}


def same_split(name: str) -> str:
    """Return one name for all spellings of a split: case does not count, val and valid are validation."""
    return split_of(name) or name.strip().casefold()


def held_out(name: str) -> int:
    """Return how far a split is kept from training: 2 for a test or holdout split, 1 for validation, else 0."""
    return {"test": 2, "holdout": 2, "validation": 1}.get(same_split(name), 0)


def split_of_file(name: str) -> str | None:
    """Return the split that a file's own name begins with, or else its folders (test-00000-of-2.parquet, train/0.csv).

    The nearer folder counts first.
    """
    path = PurePosixPath(name)
    begins = re.split(r"[-_.\s]", path.name)[0]
    words = [begins, *(part for part in path.parent.parts[::-1])]
    return next((split for split in map(split_of, words) if split is not None), None)


def split_of_folder(name: str) -> str | None:
    """Return the split that one of the parts of a path stands for, the last one that does; None where none does."""
    return next((split for part in PurePosixPath(name).parts[::-1] if (split := split_of(part)) is not None), None)


def split_in_name(name: str) -> str | None:
    """Return the split that one word of a file's own name stands for (cc-train-000.tar), or else split_of_file."""
    words = re.split(r"[-_.\s]+", PurePosixPath(name).name)
    found = {split for split in map(split_of, words) if split is not None}
    return found.pop() if len(found) == 1 else split_of_file(name)


def rows_asked(splits: Sequence[str] | np.ndarray | None, asked: str, n: int) -> Bool[np.ndarray, " n"]:
    """Return which of n rows are of the split that is asked for: all where there are no splits, or none is called so.

    Args:
        splits: of the n rows.
        asked: the name of a split, or "all".
        n: number of rows.
    """
    found = [] if splits is None or asked == ALL else [s for s in set(splits) if same_split(s) == same_split(asked)]
    return np.isin(np.asarray(splits, dtype=object), found) if found else np.ones(n, dtype=bool)


def check_split(asked: str, known: Iterable[str], where: object, beside: Sequence[str] = ()) -> None:
    """Raise where a split that is asked for is not there.

    Args:
        asked: the name of a split, or "all".
        known: the splits that are there, by any of their names.
        where: what the message names as their place.
        beside: what was ignored because it is in no split.

    Raises:
        DataError: there is no such split; the message names those that there are.
    """
    names = sorted({str(name) for name in known if str(name).strip()})
    if asked == ALL or same_split(asked) in {same_split(name) for name in names}:
        return
    if not names:
        raise DataError(f"{where}: there is no split {asked!r}, for the data have none: leave --split out.")
    more = f" Ignored are {', '.join(beside)}: give that folder as --data for its own." if beside else ""
    raise DataError(
        f"{where}: there is no split {asked!r}. There {'is' if len(names) == 1 else 'are'} {', '.join(names)}: "
        f"name one of them with --split, or all.{more}"
    )
