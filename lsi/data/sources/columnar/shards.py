"""Which Parquet and Arrow files hold which split, in the layouts of the Hugging Face Hub and of its library."""

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lsi.data.sources.splits import same_split, split_of
from lsi.data.trees import Tree
from lsi.errors import DataError

ARROW = (".arrow", ".feather")
PARQUET = (".parquet", ".pq")
COLUMNAR = (*PARQUET, *ARROW)
_STATE, _SPLITS, _INFO = "state.json", "dataset_dict.json", "dataset_info.json"
_SHARD = re.compile(r"(.+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?")
_CONVERTED = re.compile(r"\d{4}")  # how the Hub names the files that it converts: config/split/0000.parquet
_USUAL = ("train", "validation", "test")


@dataclass(frozen=True)
class Shards:
    """Which files hold which split.

    Attributes:
        splits: names of files by split, in the order of their rows; under "" where no name says a split.
        strangers: splits that are named after a file of which nothing says that it is one.
        ignored: what is left out, with its number.
        notes: sentences on shards that are not there.
    """

    splits: Mapping[str, tuple[str, ...]]
    strangers: frozenset[str] = frozenset()
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """What a file's name and folders say of it: the folder of its configuration, and its split."""

    configuration: str
    split: str | None


def is_arrow(name: str) -> bool:
    """Say whether a file is an Arrow file by its suffix."""
    return name.casefold().endswith(ARROW)


def find_shards(tree: Tree, names: Sequence[str]) -> Shards:
    """Return the files of each split.

    A shard's name says its split (train-00000-of-00002.parquet), or else a folder (default/train/0000.parquet), or else
    a word of the file's name. Files of which nothing says a split are splits of their own name where others have one.

    Args:
        tree: where the files lie.
        names: of all Parquet and Arrow files.

    Raises:
        DataError: several configurations lie here, or a file that `save_to_disk` lists is missing.
    """
    used, ignored = _used(tree, names)
    places = {name: _place(tree, name) for name in used}
    named = {place.split for place in places.values() if place.split is not None}
    if not named or (len(named) == 1 and split_of(next(iter(named))) is None):
        return Shards({"": tuple(used)}, ignored=ignored, notes=_incomplete(used))
    _check_configurations(tree, places)
    splits: dict[str, list[str]] = {}
    for name, place in places.items():
        splits.setdefault(place.split or _own_name(name), []).append(name)
    return Shards({s: tuple(f) for s, f in splits.items()}, frozenset(splits) - named, ignored, _incomplete(used))


def lies_alone(tree: Tree) -> bool:
    """Say whether the whole tree is one split that `save_to_disk` wrote."""
    return tree.has(_STATE)


def _used(tree: Tree, names: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """Return the files to read in the order of their rows, and what is left out."""
    given = set(names)
    folders = sorted({posixpath.dirname(name) for name in names if is_arrow(name)})
    saved = {f: _saved_files(tree, f) for f in folders if tree.has(posixpath.join(f, _STATE))}
    if saved:
        used = [name for files in saved.values() for name in files if name in given] or list(names)
    else:
        tables = [n for n in names if not is_arrow(n)] or list(names)
        used = sorted(n for n in tables if not (is_arrow(n) and posixpath.basename(n).startswith("cache-")))
    left = given - set(used)
    n_arrow = sum(map(is_arrow, left))
    counts = {"cached Arrow files": n_arrow, "Parquet files beside Arrow folders": len(left) - n_arrow}
    return used, {what: count for what, count in counts.items() if count}


def _saved_files(tree: Tree, folder: str) -> list[str]:
    state = _object(tree, posixpath.join(folder, _STATE))
    listed = [entry.get("filename") for entry in state.get("_data_files") or () if isinstance(entry, dict)]
    files = [posixpath.join(folder, str(file)) for file in listed]
    missing = next((file for file in files if not tree.has(file)), None)
    if missing is not None or not files:
        what = f"lists {posixpath.basename(missing)}, which is not there" if missing else "lists no data files"
        raise DataError(f"{tree.name}: {posixpath.join(folder, _STATE)} {what}: copy the whole folder.")
    return files


def folder_info(tree: Tree, name: str) -> dict:
    """Return what dataset_info.json says in the folder of a file; nothing where there is none.

    Args:
        tree: where the file lies.
        name: of the file.
    """
    info = posixpath.join(posixpath.dirname(name), _INFO)
    return _object(tree, info) if tree.has(info) else {}


def _object(tree: Tree, name: str) -> dict:
    """Return the object in a JSON file.

    Raises:
        DataError: it is no JSON object.
    """
    data = tree.read(name)
    try:
        found = json.loads(data)
    except ValueError as error:
        raise DataError(f"{tree.name}: {name} is not readable as JSON ({error}).") from None
    if not isinstance(found, dict):
        raise DataError(f"{tree.name}: expected a JSON object in {name}, got a {type(found).__name__}.")
    return found


def _place(tree: Tree, name: str) -> _Place:
    *folders, file = name.split("/")
    stem = PurePosixPath(file).stem
    shard = _SHARD.fullmatch(stem)
    if is_arrow(name):
        found = _arrow_place(tree, folders, shard[1] if shard else stem)
        if found is not None:
            return found
    if shard and split_of(shard[1]):
        return _Place(_configuration(folders), shard[1])
    for depth in reversed(range(len(folders))):
        split = split_of(folders[depth].removeprefix("partial-"))
        if split is not None:
            return _Place(_configuration(folders[:depth]), split)
    if _CONVERTED.fullmatch(stem) and folders:
        return _Place(_configuration(folders[:-1]), folders[-1])
    return _Place(_configuration(folders), shard[1] if shard else _split_in(stem))


def _arrow_place(tree: Tree, folders: list[str], label: str) -> _Place | None:
    """Return the place of a file of `save_to_disk`, or of the cache of `load_dataset` (imdb-train.arrow)."""
    folder = "/".join(folders)
    if tree.has(posixpath.join(folder, _STATE)):
        above = folders[:-1]
        if folders and (tree.has(posixpath.join("/".join(above), _SPLITS)) or split_of(folders[-1])):
            return _Place(_configuration(above), folders[-1])
        split = _object(tree, posixpath.join(folder, _STATE)).get("_split")
        return _Place(_configuration(folders), split if isinstance(split, str) else _USUAL[0])
    if "-" in label and tree.has(posixpath.join(folder, _INFO)):
        return _Place(_configuration(folders), label.rpartition("-")[2])
    return None


def _configuration(folders: Sequence[str]) -> str:
    return "/".join(folder for folder in folders if folder.casefold() != "data")


def _split_in(stem: str) -> str | None:
    """Return the split that a word of a file's name stands for; None where no word does, or several."""
    whole = split_of(stem)
    if whole is not None:
        return whole
    words = {split_of(word) for word in re.split(r"[-_.\s\d]+", stem)} & set(_USUAL)
    return words.pop() if len(words) == 1 else None


def _own_name(name: str) -> str:
    stem = PurePosixPath(name).stem
    shard = _SHARD.fullmatch(stem)
    return shard[1] if shard else stem


def _check_configurations(tree: Tree, places: Mapping[str, _Place]) -> None:
    """Raise where the same split lies in several folders that do not belong to it."""
    by_split: dict[str, set[str]] = {}
    for place in places.values():
        if place.split is not None:
            by_split.setdefault(same_split(place.split), set()).add(place.configuration)
    found = set().union(*(folders for folders in by_split.values() if len(folders) > 1))
    if found:
        shown = ", ".join(sorted(folder or "(the folder itself)" for folder in found))
        raise DataError(
            f"{tree.name}: there are several configurations, each with splits of its own: {shown}. Give the folder of "
            "one of them as the data."
        )


def _incomplete(names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each set of shards of which some are not there."""
    there: dict[tuple[str, str], set[str]] = {}
    for name in names:
        shard = _SHARD.fullmatch(PurePosixPath(name).stem)
        if shard:
            there.setdefault((posixpath.join(posixpath.dirname(name), shard[1]), shard[3]), set()).add(shard[2])
    return tuple(
        f"Only {len(found)} of the {int(total)} shards of {label} are here."
        for (label, total), found in there.items()
        if len(found) < int(total)
    )
