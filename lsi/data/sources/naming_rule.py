"""How a table's names become names of files: the folders that they count from, and the suffixes that they lack."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from lsi.data.images import SUFFIXES
from lsi.data.sources.splits import splits_of_folders
from lsi.data.trees.filenames import suffix_of

_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


@dataclass(frozen=True)
class Rule:
    """How a table's names become files: below which folders they lie, and which suffixes those without one may have."""

    tier: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)

    def names(self, base: str, text: str) -> list[str]:
        """Return the files that a name may mean in a folder, the likeliest first, with its letters in any form."""
        forms = (text,) if text.isascii() else dict.fromkeys((text, *(_normal(form, text) for form in _FORMS)))
        suffixes = self.suffixes if self.suffixes == ("",) or is_bare(text) else ("",)
        return [join_path(base, form) + suffix for suffix in suffixes for form in forms]

    @cached_property
    def splits(self) -> dict[str, str | None]:
        """The split that each folder is of, None for none."""
        return splits_of_folders(self.tier)

    def bases(self, split: str | None) -> tuple[str, ...]:
        """Return the folders that a row of a split may lie in: none of another split where its own has one."""
        if split is None or split not in self.splits.values():
            return self.tier
        return tuple(base for base in self.tier if self.splits[base] in (None, split))


def join_path(base: str, text: str) -> str:
    """Return a path as it is called from the root, where it counts from a folder."""
    return text if not base or text.startswith("/") else f"{base}/{text}"


def whole_folder(held: Mapping[str, int], n_files: int) -> list[str]:
    """Return the one folder that holds all files, none where another outside it holds at least half of them.

    Args:
        held: how many of the files each folder holds, "" for the root.
        n_files: how many there are.
    """
    whole = [folder for folder, n_held in held.items() if n_held == n_files]
    if len(whole) != 1:
        return []
    inside = f"{whole[0]}/" if whole[0] else ""
    rivals = [f for f, n_held in held.items() if f != whole[0] and 2 * n_held >= n_files]
    return whole if all(f.startswith(inside) and not f.startswith(("/", "..")) for f in rivals) else []


def is_bare(text: str) -> bool:
    """Say whether a name has no suffix of an image."""
    return suffix_of(text) not in SUFFIXES


def letters(name: str) -> str:
    """Return one text for names that differ in case or composition alone."""
    return name.casefold() if name.isascii() else _normal("NFC", name).casefold()


def _normal(form: Literal["NFC", "NFD"], text: str) -> str:
    return unicodedata.normalize(form, text)
