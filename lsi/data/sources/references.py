"""From what a table says of an image to its file: relative to the table or a folder near it, with or without suffix."""

import os
import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.sources.confined import check_reference
from lsi.data.sources.splits import same_split, split_of_file, split_of_folder
from lsi.data.trees import LocalTree, Tree, is_junk
from lsi.errors import DataError

_LOOKED_AT = 200
_FOLDERS = 500  # so many folders beside a table are looked into
_USUAL = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")
_ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
_IMAGES = frozenset({"images", "image", "imgs", "img", "pictures", "photos", "jpg", "jpegs", "jpeg", "png"})


@dataclass(frozen=True)
class References:
    """Names of files, relative to a tree's root or absolute, one a row; `note` says where they were found."""

    names: list[str]
    note: str
    n_missing: int
    first_missing: str = ""


@dataclass(frozen=True)
class _Rule:
    """How a table's names become files: below which folders they lie, with which suffix and form of Unicode."""

    tier: tuple[str, ...]
    suffix: str = ""
    form: str = ""

    def name(self, base: str, text: str) -> str:
        return _join(base, unicodedata.normalize(self.form, text) if self.form else text) + self.suffix  # type: ignore[arg-type]

    @cached_property
    def splits(self) -> dict[str, str | None]:
        """The split that each folder is of, None for none."""
        return {base: split_of_folder(base) for base in self.tier}

    def bases(self, split: str | None) -> tuple[str, ...]:
        """Return the folders that a row of a split may lie in: none of another split where its own has one."""
        if split is None or split not in self.splits.values():
            return self.tier
        return tuple(base for base in self.tier if self.splits[base] in (None, split))


@dataclass(frozen=True)
class Resolver:
    """Finds the files that a column of a table names.

    Names count from the table's own folder where they lead to files there; otherwise from the folders below it, then
    from those above it, and only where none of these holds a single one, from the folders beside it.

    Attributes:
        tree: where the table and the files lie.
        table: name of the table in the tree.
    """

    tree: Tree
    table: str
    _listings: dict[str, frozenset[str]] = field(default_factory=dict)

    def resolve(self, values: Sequence[str], column: str, splits: Sequence[str] | None = None) -> References:
        """Return the file of each value.

        A name that leads to files in several folders is that of its split's folder, or of the one called images.

        Args:
            values: n texts of a column.
            column: its name, for messages.
            splits: n names of splits; None: all rows are of the split that the table's name says, if any.

        Raises:
            DataError: no folder holds such files, and the message says what was tried; or several hold one of the same
                name. Or a value is a web address, or leads out of the folders that may be read.
        """
        where = f"{text_of_path(self.table)}, column {column}"
        for row, value in enumerate(values):
            if _ADDRESS.match(value) and not value.startswith("file://"):
                raise DataError(
                    f"{where}: row {row} is an address ({value[:80]}): expected a path; download the images."
                )
        texts = [_plain(value) for value in values]
        of_rows = self._splits(len(texts), splits)
        rule, _, _ = self._best(list(zip(texts, of_rows, strict=True)))
        if rule is None:
            shown = next((t for t in texts if t), "")
            near = [base for tier in self._tiers for base in tier]
            tried = ", ".join(repr(text_of_path(_join(base, shown))) for base in near[:3])
            raise DataError(f"{where}: none of its paths leads to a file; tried {tried} in {self.tree.name}.")
        names, used = self._names(rule, texts, of_rows, where)
        check_reference(self.tree, names)
        elsewhere = [text_of_path(f"{base}/") for base in used if base and base != self._own]
        notes = [f"{where}: paths are relative to {' and '.join(elsewhere)}"] if elsewhere else []
        notes += [f"{where}: names stand without their suffix {rule.suffix}"] if rule.suffix else []
        missing = [name for name in names if not self._has(name)]
        return References(names, "; ".join(notes), len(missing), text_of_path(missing[0]) if missing else "")

    def fits(self, values: Sequence[str]) -> bool:
        """Say whether some folder near the table holds files of at least half of the names."""
        rule, hits, looked = self._best([(_plain(value), None) for value in values if value])
        return rule is not None and hits * 2 >= looked

    def _splits(self, n_rows: int, splits: Sequence[str] | None) -> list[str | None]:
        if splits is None:
            return [split_of_file(self.table)] * n_rows
        return [same_split(split) if split else None for split in splits]

    def _best(self, rows: list[tuple[str, str | None]]) -> tuple[_Rule | None, int, int]:
        """Return the rule that leads from some evenly spaced rows to files, to how many, and how many were tried."""
        some = [row for row in rows if row[0]]
        some = some[:: max(1, len(some) // _LOOKED_AT)]
        bare = bool(some) and not any(PurePosixPath(text).suffix.lower() in SUFFIXES for text, _ in some)
        suffixes = ("", *_USUAL) if bare else ("",)
        forms = ("",) if all(text.isascii() for text, _ in some) else ("", "NFC", "NFD")
        own, below, above, beside = self._tiers
        for form in forms:
            at_home, most = self._most([_Rule(own, suffix, form) for suffix in suffixes], some)
            if 2 * most < len(some):
                lower, found = self._most([_Rule(below, suffix, form) for suffix in suffixes], some)
                at_home, most = (lower, found) if found > most else (at_home, most)
            for tier in (above, beside):
                if at_home is None:
                    at_home, most = self._most([_Rule(tier, suffix, form) for suffix in suffixes], some)
            if at_home is not None:
                return at_home, most, len(some)
        return None, 0, len(some)

    def _most(self, rules: list[_Rule], rows: list[tuple[str, str | None]]) -> tuple[_Rule | None, int]:
        """Return the rule that leads from most rows to files, the first of equals, and from how many."""
        best, most = None, 0
        for rule in rules:
            hits = sum(any(self._is_file(rule.name(b, text)) for b in rule.bases(split)) for text, split in rows)
            if hits > most:
                best, most = rule, hits
            if rows and most == len(rows):
                break
        return best, most

    def _names(
        self, rule: _Rule, texts: Sequence[str], splits: Sequence[str | None], where: str
    ) -> tuple[list[str], list[str]]:
        """Return the file of each row, and the folders that they lie in.

        Raises:
            DataError: a name leads to different files.
        """
        bases = self._holding(rule, [text for text in texts if text])
        names, used = [], set[str]()
        for row, (text, split) in enumerate(zip(texts, splits, strict=True)):
            if not text:
                names.append("")
                continue
            allowed = [base for base in rule.bases(split) if base in bases]
            is_sure = len(bases) == 1 and bases == allowed
            base = bases[0] if is_sure else self._base(rule, text, allowed, split, f"{where}: row {row}")
            names.append(rule.name(base, text))
            used.add(base)
        return names, [base for base in rule.tier if base in used]

    def _holding(self, rule: _Rule, texts: list[str]) -> list[str]:
        """Return the folders of a rule that hold files of these names, found by looking at some of them at a time."""
        bases: list[str] = []
        lost = texts
        while lost:
            some = lost[:: max(1, len(lost) // _LOOKED_AT)]
            more = [b for b in rule.tier if b not in bases and any(self._is_file(rule.name(b, text)) for text in some)]
            bases = [b for b in rule.tier if b in bases or b in more]
            if not more:
                break
            lost = [text for text in lost if not any(self._is_file(rule.name(b, text)) for b in bases)]
        return bases

    def _base(self, rule: _Rule, text: str, allowed: list[str], split: str | None, where: str) -> str:
        """Return the folder that holds a file of this name, the first one where none does.

        Raises:
            DataError: several do, and neither the split nor the folders' names tell which is meant.
        """
        found = [base for base in allowed if self._is_file(rule.name(base, text))]
        of_split = [base for base in found if split is not None and rule.splits[base] == split]
        of_images = [base for base in found if PurePosixPath(base).name.casefold() in _IMAGES]
        for preferred in (found, of_split, of_images):
            if len({self._real(rule.name(base, text)) for base in preferred}) == 1:
                return preferred[0]
        if found:
            places = " and in ".join(text_of_path(f"{base}/") for base in found[:3])
            raise DataError(
                f"{where} names {text_of_path(text)}, which lies in {places}: write the folder into the column, or "
                "call the table or a column of splits after the split that its rows are of."
            )
        return allowed[0] if allowed else rule.bases(split)[0]

    def _real(self, name: str) -> str:
        path = self.tree.path(name)
        return name if path is None else os.path.realpath(path)

    def _is_file(self, name: str) -> bool:
        return PurePosixPath(name).suffix.lower() not in (".csv", ".json", ".jsonl", ".txt") and self._has(name)

    def _has(self, name: str) -> bool:
        """Say whether there is a file of that name; what a folder lists is not asked for one by one."""
        folder, _, last = name.rpartition("/")
        return last in self._listed(folder) or self.tree.has(name)

    def _listed(self, folder: str) -> frozenset[str]:
        """Return the names of the files in a folder of this machine, none where it cannot be listed."""
        if folder not in self._listings:
            self._listings[folder] = frozenset()
            if isinstance(self.tree, LocalTree):
                with suppress(OSError, ValueError), os.scandir(self.tree.root / folder) as entries:
                    self._listings[folder] = frozenset(entry.name for entry in entries if entry.is_file())
        return self._listings[folder]

    @property
    def _own(self) -> str:
        return str(PurePosixPath(self.table).parent) if "/" in self.table else ""

    @cached_property
    def _tiers(self) -> tuple[tuple[str, ...], ...]:
        """Folders that paths may be relative to: the table's own, those below it, those above and beside it."""
        own = self._own
        above = _rooted([str(p) for p in PurePosixPath(own).parents]) if own else []
        if not isinstance(self.tree, LocalTree):
            folders = {
                str(PurePosixPath(n).parent) for n in self.tree.names() if PurePosixPath(n).suffix.lower() in SUFFIXES
            }
            every = {p for f in folders for p in (f, *map(str, PurePosixPath(f).parents))} - {"."}
            others = [f for f in sorted(every, key=lambda f: (f.count("/"), f)) if f != own]
            below = [f for f in others if not own or f.startswith(own + "/")]
            beside = [f for f in others if f not in below and f not in above]
            return (own,), tuple(below[:_FOLDERS]), tuple(above), tuple(beside[:_FOLDERS])
        root = self.tree.root
        below = _subfolders(root / own, own)
        below += [f for b in below[:50] for f in _subfolders(root / b, b)]
        parent = str(PurePosixPath(own).parent) if own else ".."
        parent = "" if parent == "." else parent
        here = os.path.realpath(root / own)
        beside = [f for f in _subfolders(root / parent, parent) if os.path.realpath(root / f) != here]
        return (own,), tuple(below[:_FOLDERS]), tuple(above), tuple(beside[:_FOLDERS])


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
