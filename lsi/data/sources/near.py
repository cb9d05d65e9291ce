"""Folders near a table that the paths in it may be relative to."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from lsi.data.images import SUFFIXES
from lsi.data.trees import LocalTree, Tree, is_junk
from lsi.data.trees.outputs import output_in

_FOLDERS = 500  # so many folders beside a table are looked into


def own_folder(table: str) -> str:
    """Return the folder that a table lies in, "" for the tree's root."""
    return str(PurePosixPath(table).parent) if "/" in table else ""


def folders_near(tree: Tree, table: str) -> tuple[tuple[str, ...], ...]:
    """Return folders that paths may be relative to: the table's own, those below it, those above and beside it."""
    own = own_folder(table)
    above = _rooted([str(p) for p in PurePosixPath(own).parents]) if own else []
    if not own and isinstance(tree, LocalTree):
        above = [".."]  # a table that was given by itself: paths may begin with the folder that it lies in
    if not isinstance(tree, LocalTree):
        folders = {str(PurePosixPath(n).parent) for n in tree.names() if PurePosixPath(n).suffix.lower() in SUFFIXES}
        every = {p for f in folders for p in (f, *map(str, PurePosixPath(f).parents))} - {"."}
        others = [f for f in sorted(every, key=lambda f: (f.count("/"), f)) if f != own]
        below = [f for f in others if not own or f.startswith(own + "/")]
        beside = [f for f in others if f not in below and f not in above]
        return (own,), tuple(below[:_FOLDERS]), tuple(above), tuple(beside[:_FOLDERS])
    root = tree.root
    below = [f for f in _subfolders(root / own, own) if output_in(root / f) is None]
    below += [f for b in below[:50] for f in _subfolders(root / b, b) if output_in(root / f) is None]
    parent = str(PurePosixPath(own).parent) if own else ".."
    parent = "" if parent == "." else parent
    here = os.path.realpath(root / own)
    beside = [f for f in _subfolders(root / parent, parent) if os.path.realpath(root / f) != here]
    return (own,), tuple(below[:_FOLDERS]), tuple(above), tuple(beside[:_FOLDERS])


def files_in(folder: Path) -> frozenset[str] | None:
    """Return the names of the files in a folder, none where there is no such folder; None where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError):
        return None


def _rooted(folders: Sequence[str]) -> list[str]:
    return ["" if folder == "." else folder for folder in folders]


def _subfolders(folder: Path, name: str) -> list[str]:
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not is_junk(entry.name) and _is_folder(entry))
    except OSError:
        return []
    return [f"{name}/{entry}" if name else entry for entry in entries[:_FOLDERS]]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # a link that leads round in a circle
        return entry.is_dir()
    return False
