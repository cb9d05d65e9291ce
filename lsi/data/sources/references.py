"""From what a table says of an image to its file: relative to the table or a folder near it, with or without suffix."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.sources.confined import check_reference
from lsi.data.sources.naming_rule import Rule, is_bare, join_path, letters, whole_folder
from lsi.data.sources.near import files_in, folders_near, own_folder
from lsi.data.sources.splits import same_split, split_of_file
from lsi.data.trees import LocalTree, Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError

_LOOKED_AT, _LOOKED_INTO = 200, 50  # rows, and folders
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
class Resolver:
    """Finds the files that a column of a table names.

    Names count from the table's own folder where they lead to files there; otherwise from the folders below it, then
    from those above it, and only where none of these holds a single one, from the folders beside it.

    Attributes:
        tree: where the table and the files lie.
        table: name of the table in the tree.
        within: whether folders beside the tree's root hold other data.
    """

    tree: Tree
    table: str
    within: bool = False
    _listings: dict[str, frozenset[str] | None] = field(default_factory=dict)
    _letters: dict[str, frozenset[str]] = field(default_factory=dict)

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
            tried = ", ".join(repr(text_of_path(join_path(base, shown))) for base in near[:3])
            raise DataError(f"{where}: none of its paths leads to a file; tried {tried} in {self.tree.name}.")
        rule, bases = self._completed(rule, [text for text in texts if text])
        rows = list(zip(texts, of_rows, strict=True))
        try:
            names, used = self._names(rule, bases, rows, where)
        except DataError:
            whole = self._whole(rule, bases, rows)
            if not whole:
                raise
            names, used = self._names(rule, whole, rows, where)
        names = self._below_root(names)
        check_reference(self.tree, names)
        elsewhere = [text_of_path(f"{base}/") for base in used if base and base != self._own]
        notes = [f"{where}: paths are relative to {' and '.join(elsewhere)}"] if elsewhere else []
        suffixes = " or ".join(suffix for suffix in rule.suffixes if suffix)
        notes += [f"{where}: names stand without their suffix {suffixes}"] if suffixes else []
        missing = [name for name in names if not self._has(name)]
        return References(names, "; ".join(notes), len(missing), text_of_path(missing[0]) if missing else "")

    def fits(self, values: Sequence[str]) -> bool:
        """Say whether some folder near the table holds files of at least half of the names."""
        rule, hits, looked = self._best([(_plain(value), None) for value in values if value])
        return rule is not None and hits * 2 >= looked

    def could_fit(self, values: Sequence[str]) -> bool:
        """Say whether a file beside the table or below has one of these names, or they are paths: sooner than `fits`.

        With or without a suffix. Elsewhere numbers, say, are called like the images of other data by chance.
        """
        there = self._names_below
        return there is None or any("/" in text or letters(text) in there for text in map(_plain, values) if text)

    def _splits(self, n_rows: int, splits: Sequence[str] | None) -> list[str | None]:
        if splits is None:
            return [split_of_file(self.table)] * n_rows
        return [same_split(split) if split else None for split in splits]

    def _best(self, rows: list[tuple[str, str | None]]) -> tuple[Rule | None, int, int]:
        """Return the rule that leads from some evenly spaced rows to files, to how many, and how many were tried."""
        some = [row for row in rows if row[0]]
        some = some[:: max(1, len(some) // _LOOKED_AT)]
        are_bare = 2 * sum(is_bare(text) for text, _ in some) > len(some)
        suffixes = ("", *_USUAL) if are_bare else ("",)
        own, below, above, beside = self._tiers
        at_home, most = self._on(own, suffixes, some)
        if 2 * most < len(some):
            lower, found = self._on(below, suffixes, some)
            at_home, most = (lower, found) if found > most else (at_home, most)
        for tier in (above, beside):
            if at_home is None:
                at_home, most = self._on(tier, suffixes, some)
        return at_home, most, len(some)

    def _on(
        self, tier: tuple[str, ...], suffixes: tuple[str, ...], rows: list[tuple[str, str | None]]
    ) -> tuple[Rule | None, int]:
        """Return the rule for folders, with the suffixes that lead to files, and from how many rows it does.

        A suffix counts beside that of most files where no name has both: two files of one name are image and mask.
        """
        hits: dict[str, set[int]] = {}
        for suffix in suffixes:
            rule = Rule(tier, (suffix,))
            hits[suffix] = {
                row
                for row, (text, split) in enumerate(rows)
                if any(self._file(rule, b, text) for b in rule.bases(split))
            }
            if rows and len(hits[suffix]) == len(rows):
                return rule, len(rows)
        named = {row for row, (text, _) in enumerate(rows) if not is_bare(text)}
        kept: list[str] = []
        found: set[int] = set()
        for suffix in sorted(hits, key=lambda s: -len(hits[s])):
            if hits[suffix] - found and not (hits[suffix] & found) - named:
                kept.append(suffix)
                found |= hits[suffix]
        return (Rule(tier, tuple(kept)) if kept else None), len(found)

    def _completed(self, rule: Rule, texts: list[str]) -> tuple[Rule, list[str]]:
        """Return the rule with the suffixes as well that only few files have, and the folders that hold files by it."""
        bases, lost = self._holding(rule, texts)
        known = [text for text in _spaced(texts) if any(self._file(rule, b, text) for b in bases)]
        while lost := [text for text in lost if is_bare(text)]:
            places = dict.fromkeys((*bases, *rule.tier[:_LOOKED_INTO]))
            others = [Rule(rule.tier, (suffix,)) for suffix in ("", *_USUAL) if suffix not in rule.suffixes]
            more = [
                other.suffixes
                for other in others
                if any(self._file(other, b, text) for text in _spaced(lost) for b in places)
                and not any(self._file(other, b, text) for text in known if is_bare(text) for b in bases)
            ]
            if not more:
                break
            rule = Rule(rule.tier, (*rule.suffixes, *more[0]))
            added, lost = self._holding(rule, lost)
            bases = [b for b in rule.tier if b in bases or b in added]
        return rule, bases

    def _names(
        self, rule: Rule, bases: list[str], rows: list[tuple[str, str | None]], where: str
    ) -> tuple[list[str], list[str]]:
        """Return the file of each row, and the folders that they lie in.

        Args:
            rule: that leads from names to files.
            bases: the folders that hold some.
            rows: name and split of each.
            where: what a message names.

        Raises:
            DataError: a name leads to different files.
        """
        names, used = [], set[str]()
        for row, (text, split) in enumerate(rows):
            if not text:
                names.append("")
                continue
            allowed = [base for base in rule.bases(split) if base in bases]
            is_sure = len(bases) == 1 and bases == allowed
            base = bases[0] if is_sure else self._base(rule, text, allowed, split, f"{where}: row {row}")
            possible = rule.names(base, text)
            names.append(possible[0] if len(possible) == 1 else self._file(rule, base, text) or possible[0])
            used.add(base)
        return names, [base for base in rule.tier if base in used]

    def _whole(self, rule: Rule, bases: list[str], rows: list[tuple[str, str | None]]) -> list[str]:
        """Return the folder that holds the files of all rows, none where it is not the only one that may be meant."""
        named = [(text, rule.bases(split)) for text, split in rows if text]
        held = {b: sum(b in own and bool(self._file(rule, b, text)) for text, own in named) for b in bases}
        return whole_folder(held, len(named))

    def _below_root(self, names: list[str]) -> list[str]:
        """Return names as the tree lists them where they lead to a file below its root; others stay as they are.

        They may be absolute, lead out of a folder and in again, or have slashes to spare.
        """
        path = self.tree.path("")
        if path is None:
            return names
        places = dict.fromkeys((os.path.normpath(Path.cwd() / path), os.path.realpath(path)))
        roots = [place.rstrip("/") + "/" for place in places]
        same: dict[tuple[str, str], bool] = {}
        found = []
        for name in names:
            if _is_plain(name):
                found.append(name)
                continue
            full = os.path.normpath(roots[0] + name if not name.startswith("/") else name)
            short = next((full[len(root) :] for root in roots if full.startswith(root)), name)
            folders = name.rpartition("/")[0], short.rpartition("/")[0]
            if folders not in same:  # a link on the way up leads elsewhere
                same[folders] = self._real(folders[0]) == self._real(folders[1])
            found.append(short if same[folders] else name)
        return found

    def _holding(self, rule: Rule, texts: list[str]) -> tuple[list[str], list[str]]:
        """Return the folders of a rule that hold files of these names, and the names without a file.

        They are found by looking at some of the names at a time.
        """
        bases: list[str] = []
        lost = texts
        while lost:
            some = _spaced(lost)
            more = [b for b in rule.tier if b not in bases and any(self._file(rule, b, text) for text in some)]
            bases = [b for b in rule.tier if b in bases or b in more]
            if not more:
                break
            lost = [text for text in lost if not any(self._file(rule, b, text) for b in more)]
        return bases, lost

    def _base(self, rule: Rule, text: str, allowed: list[str], split: str | None, where: str) -> str:
        """Return the folder that holds a file of this name, the first one where none does.

        Raises:
            DataError: several do, and neither the split nor the folders' names tell which is meant.
        """
        files = {base: file for base in allowed if (file := self._file(rule, base, text)) is not None}
        of_split = [base for base in files if split is not None and rule.splits[base] == split]
        of_images = [base for base in files if PurePosixPath(base).name.casefold() in _IMAGES]
        for preferred in (list(files), of_split, of_images):
            if len({self._real(files[base]) for base in preferred}) == 1:
                return preferred[0]
        if files:
            places = " and in ".join(text_of_path(f"{base}/") for base in list(files)[:3])
            raise DataError(
                f"{where} names {text_of_path(text)}, which lies in {places}: write the folder into the column, or "
                "call the table or a column of splits after the split that its rows are of."
            )
        return allowed[0] if allowed else rule.bases(split)[0]

    def _file(self, rule: Rule, base: str, text: str) -> str | None:
        """Return the file that a name means in a folder, None where there is none."""
        return next((name for name in rule.names(base, text) if self._is_file(name)), None)

    def _real(self, name: str) -> str:
        path = self.tree.path(name)
        return name if path is None else os.path.realpath(path)

    def _is_file(self, name: str) -> bool:
        return suffix_of(name) not in (".csv", ".json", ".jsonl", ".txt") and self._has(name)

    def _has(self, name: str) -> bool:
        """Say whether there is a file of that name; of what a folder lists nothing is asked for one by one.

        A file system may take two spellings for one name, so it is asked where a name of the same letters is listed.
        """
        folder, _, last = name.rpartition("/")
        listed = self._listed(folder)
        if listed is None:
            return self.tree.has(name)
        if last in listed:
            return True
        if folder not in self._letters:
            self._letters[folder] = frozenset(map(letters, listed))
        return letters(last) in self._letters[folder] and self.tree.has(name)

    def _listed(self, folder: str) -> frozenset[str] | None:
        """Return the names of the files in a folder of this machine, None where it cannot be listed."""
        if folder not in self._listings:
            tree = self.tree
            self._listings[folder] = files_in(tree.root / folder) if isinstance(tree, LocalTree) else None
        return self._listings[folder]

    @property
    def _own(self) -> str:
        return own_folder(self.table)

    @cached_property
    def _names_below(self) -> frozenset[str] | None:
        """The names of files in the table's folder and below, of images without their suffix too; None: not known."""
        own, below, _, _ = self._tiers
        listings = [self._listed(folder) for folder in (*own, *below)]
        names = {letters(name) for listed in listings for name in listed or ()}
        stems = {letters(PurePosixPath(name).stem) for name in names if suffix_of(name) in SUFFIXES}
        return None if None in listings else frozenset(names | stems)

    @cached_property
    def _tiers(self) -> tuple[tuple[str, ...], ...]:
        *near, beside = folders_near(self.tree, self.table)
        return (*near, tuple(f for f in beside if not (self.within and f.startswith(".."))))


def _plain(value: str) -> str:
    """Return a path as it may be looked up: file addresses and Windows' separators as plain paths."""
    text = value.strip()
    if text.startswith("file://"):
        from urllib.parse import unquote

        text = unquote(text.removeprefix("file://").removeprefix("localhost"))
    if "\\" in text:
        text = text.replace("\\", "/")
    return text[2:].lstrip("/") if text.startswith("./") else text


def _is_plain(name: str) -> bool:
    """Say whether a name has the form in which a tree lists its files, or can be that of no file."""
    return not name or "\0" in name or not {"", ".", ".."} & set(name.split("/"))


def _spaced(texts: list[str]) -> list[str]:
    """Return some texts from all over a list."""
    return texts[:: max(1, len(texts) // _LOOKED_AT)]
