"""From what a table says of an image to its file: relative to the table or a folder near it, with or without suffix."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.sources.confined import check_reference
from lsi.data.trees import LocalTree, Tree, is_junk
from lsi.errors import DataError

_LOOKED_AT = 200
_FOLDERS = 500  # so many folders beside a table are looked into
_USUAL = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")
_ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


@dataclass(frozen=True)
class References:
    """Names of files, relative to a tree's root or absolute, one a row; `note` says where they were found."""

    names: list[str]
    note: str
    n_missing: int
    first_missing: str = ""


@dataclass(frozen=True)
class Resolver:
    """Finds the files that a column of a table names.

    Attributes:
        tree: where the table and the files lie.
        table: name of the table in the tree.
    """

    tree: Tree
    table: str

    def resolve(self, values: Sequence[str], column: str) -> References:
        """Return the file of each value: all by the same rule, the one that fits most of them.

        Args:
            values: n texts of a column.
            column: its name, for messages.

        Raises:
            DataError: no rule leads to a file; the message says what was tried. Or a value is a web address, or leads
                out of the folders that may be read.
        """
        where = f"{text_of_path(self.table)}, column {column}"
        for row, value in enumerate(values):
            if _ADDRESS.match(value) and not value.startswith("file://"):
                raise DataError(
                    f"{where}: row {row} is an address ({value[:80]}): expected a path; download the images."
                )
        texts = [_plain(value) for value in values]
        rule, hits, looked = self._best(texts)
        if rule is None:
            shown = next((t for t in texts if t), "")
            tried = ", ".join(repr(text_of_path(_join(base, shown))) for base in self._bases[:3])
            raise DataError(f"{where}: none of its paths leads to a file; tried {tried} in {self.tree.name}.")
        base, suffix = rule
        names = [_join(base, text) + suffix if text else "" for text in texts]
        check_reference(self.tree, names)
        notes = [f"{where}: paths are relative to {base}/"] if base and base != self._own else []
        notes += [f"{where}: names stand without their suffix {suffix}"] if suffix else []
        missing = [name for name in names if not self.tree.has(name)] if hits < looked or len(names) <= looked else []
        return References(names, "; ".join(notes), len(missing), text_of_path(missing[0]) if missing else "")

    def fits(self, values: Sequence[str]) -> bool:
        """Say whether some rule leads from at least half of the values to a file."""
        rule, hits, looked = self._best([_plain(value) for value in values if value])
        return rule is not None and hits * 2 >= looked

    def _best(self, texts: Sequence[str]) -> tuple[tuple[str, str] | None, int, int]:
        """Return the base and suffix under which most of some evenly spaced values are files, with how many are."""
        some = [t for t in texts if t]
        some = some[:: max(1, len(some) // _LOOKED_AT)]
        best, most = None, 0
        bare = bool(some) and not any(PurePosixPath(t).suffix.lower() in SUFFIXES for t in some)
        for suffix in ("", *_USUAL) if bare else ("",):
            for base in self._bases:
                hits = sum(self._is_file(_join(base, text) + suffix) for text in some)
                if hits > most:
                    best, most = (base, suffix), hits
                if some and most == len(some):
                    return best, most, len(some)
        return best, most, len(some)

    def _is_file(self, name: str) -> bool:
        return PurePosixPath(name).suffix.lower() not in (".csv", ".json", ".jsonl", ".txt") and self.tree.has(name)

    @property
    def _own(self) -> str:
        return str(PurePosixPath(self.table).parent) if "/" in self.table else ""

    @cached_property
    def _bases(self) -> list[str]:
        """Folders that paths may be relative to: the table's own, those below it, those above and beside it."""
        own = self._own
        if not isinstance(self.tree, LocalTree):
            folders = {
                str(PurePosixPath(n).parent) for n in self.tree.names() if PurePosixPath(n).suffix.lower() in SUFFIXES
            }
            above = [str(p) for p in PurePosixPath(own).parents] if own else []
            every = {p for f in folders for p in (f, *map(str, PurePosixPath(f).parents))}
            return list(dict.fromkeys([own, *_rooted(above), *_rooted(sorted(every, key=lambda f: (f.count("/"), f)))]))
        root = self.tree.root
        below = _subfolders(root / own, own)
        bases = [own, *below, *(f for b in below[:50] for f in _subfolders(root / b, b))]
        if own:
            bases += [str(p) if str(p) != "." else "" for p in PurePosixPath(own).parents]
        parent = str(PurePosixPath(own).parent) if own else ".."
        parent = "" if parent == "." else parent
        here = os.path.realpath(root / own)
        beside = [f for f in _subfolders(root / parent, parent) if os.path.realpath(root / f) != here]
        return list(dict.fromkeys([*bases, *beside]))[:_FOLDERS]


def _rooted(folders: Sequence[str]) -> list[str]:
    return ["" if folder == "." else folder for folder in folders]


def _subfolders(folder: Path, name: str) -> list[str]:
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not is_junk(entry.name) and entry.is_dir())
    except OSError:
        return []
    return [f"{name}/{entry}" if name else entry for entry in entries[:_FOLDERS]]


def _plain(value: str) -> str:
    """Return a path as it may be looked up: file addresses and Windows' separators as plain paths."""
    text = value.strip()
    if text.startswith("file://"):
        from urllib.parse import unquote

        text = unquote(text.removeprefix("file://").removeprefix("localhost"))
    if "\\" in text:
        text = text.replace("\\", "/")
    return text.removeprefix("./")


def _join(base: str, text: str) -> str:
    return text if not base or text.startswith("/") else f"{base}/{text}"
