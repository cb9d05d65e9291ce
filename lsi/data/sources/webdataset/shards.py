"""Tars as WebDataset has them, whose members share a key and differ in suffix: which tars, and what goes together."""

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsi.data.images import SUFFIXES
from lsi.data.sources.columns import ALIASES
from lsi.data.sources.splits import split_in_name
from lsi.data.trees import TARS, LocalTree, RemoteTree, TarTree, Tree, open_tree
from lsi.data.trees.filenames import address_of, expand_braces, is_junk, without_junk
from lsi.errors import DataError

# of the values that WebDataset's own readers take for text, or numbers as text
TEXTS = frozenset({"txt", "text", "caption", "transcript", "cls2", "count", "index", "inx", "idx", "id", "url", "split",
                   *ALIASES["label"]})  # fmt: skip
_LABELS = frozenset({"cls", "class", "label", "labels", "target", "json"})
_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
_STEM = re.compile(r"((?:.*/)?[^./][^/]*)\.([^./]+)")
Split = Callable[[str], tuple[str, str] | None]


@dataclass
class Group:
    """The members of a sample: the tar they lie in, their key, and their names by suffix, lower case, without dot."""

    shard: int
    key: str
    members: dict[str, str] = field(default_factory=dict)


def key_and_suffix(name: str) -> tuple[str, str] | None:
    """Return a member's key, up to the first dot of its own name, and its suffix; None for junk or without one."""
    return _split(_KEY, name)


def _stem_and_suffix(name: str) -> tuple[str, str] | None:
    return _split(_STEM, name)


def split_for(tree: Tree, names: Iterable[str]) -> Split:
    """Return what tells the key of a name from its suffix: the first dot in a tar, as WebDataset has it.

    Elsewhere it is the last dot where an image with several has a text of its own, such as cat.0.jpg beside cat.0.txt.

    Args:
        tree: where the files lie.
        names: of all files there.
    """
    if isinstance(tree, TarTree):
        return key_and_suffix
    found = [parts for name in names if (parts := _stem_and_suffix(name)) is not None]
    texts = {stem for stem, suffix in found if is_text_suffix(suffix) or suffix == "json"}
    dotted = (stem for stem, suffix in found if is_image_suffix(suffix) and "." in posixpath.basename(stem))
    return _stem_and_suffix if any(stem in texts for stem in dotted) else key_and_suffix


def _split(pattern: re.Pattern[str], name: str) -> tuple[str, str] | None:
    match = pattern.fullmatch(name)
    if match is None or any(map(is_junk, name.split("/"))) or (name.startswith("__") and name.endswith("__")):
        return None
    return match[1], match[2].lower()


def is_image_suffix(suffix: str) -> bool:
    """Say whether a suffix such as jpg or seg.png is that of an image."""
    return f".{suffix.rpartition('.')[2]}" in SUFFIXES


def is_text_suffix(suffix: str) -> bool:
    """Say whether a suffix such as cls, cls.txt or txt is that of a text."""
    return suffix.rpartition(".")[2] in TEXTS


def is_webdataset(names: Iterable[str], split: Split = key_and_suffix) -> bool:
    """Say whether members share keys: most images have a label, a text or JSON beside them.

    A tar of class folders is none, though texts may lie beside its images, unless they are labels.

    Args:
        names: of the members.
        split: tells the key of a name from its suffix.
    """
    suffixes: dict[str, set[str]] = {}
    for name in names:
        if (found := split(name)) is not None:
            suffixes.setdefault(found[0], set()).add(found[1])
    images = {key: group for key, group in suffixes.items() if any(map(is_image_suffix, group))}
    paired = [key for key, group in images.items() if any(is_text_suffix(s) or s == "json" for s in group)]
    if not paired or 2 * len(paired) < len(images):
        return False
    has_labels = any(s.partition(".")[0] in _LABELS - {"json"} for key in paired for s in suffixes[key])
    return has_labels or len({posixpath.dirname(key) for key in images}) == 1


def find_shards(names: Iterable[str]) -> list[str]:
    """Return the names of the tars, in order."""
    return sorted(name for name in without_junk(names) if name.casefold().endswith(TARS))


def open_shards(path: Path | str) -> list[Tree]:
    """Return the tars that a path stands for: one, those of a folder, or those of a pattern such as t-{000..003}.tar.

    Raises:
        DataError: one of them is not there or cannot be read.
        UsageError: an address needs a package that is not installed.
    """
    names = expand_braces(str(path))
    if len(names) > 1:
        return [open_tree(name) for name in names]
    tree = open_tree(path)
    if isinstance(tree, LocalTree):
        return [open_tree(tree.root / name) for name in find_shards(tree.names())]
    if isinstance(tree, RemoteTree):
        return [open_tree(f"{address_of(tree.address)}/{name}") for name in find_shards(tree.names())]
    return [tree]


def grouped(trees: Sequence[Tree]) -> tuple[list[Group], dict[str, int], list[str]]:
    """Return the samples of all tars in their order, what belongs to none with its number, and notes.

    Raises:
        DataError: a sample has two members of one suffix.
    """
    groups: list[Group] = []
    others: Counter[str] = Counter()
    n_apart = 0
    for shard, tree in enumerate(trees):
        by_key: dict[str, Group] = {}
        last = None
        split = split_for(tree, tree.names())
        for name in tree.names():
            if (found := split(name)) is None:
                others["hidden or nameless files"] += 1
                continue
            key, suffix = found
            if key not in by_key:
                by_key[key] = Group(shard, key)
                groups.append(by_key[key])
            elif last != key:
                n_apart += 1
            if suffix in by_key[key].members:
                raise DataError(f"{tree.name}: two members of one sample end in .{suffix}: "
                                f"{by_key[key].members[suffix]} and {name}.")  # fmt: skip
            by_key[key].members[suffix] = name
            last = key
        others.update(tree.left_out())
    notes = [f"The members of a sample do not always stand together ({n_apart:,} times): readers that go through a tar "
             "in its order would take them for several samples."] if n_apart else []  # fmt: skip
    return groups, dict(others), notes


def splits_of(trees: Sequence[Tree]) -> list[str] | None:
    """Return the split of each tar by its name and the folders that not all have in common; None without any."""
    splits = [split_in_name(name) for name in _within(trees)[1]]
    return [split or "other" for split in splits] if any(splits) else None


def shown_names(trees: Sequence[Tree]) -> tuple[str, list[str]]:
    """Return the place that all tars lie at, and the name of each within it; the place of one tar is the tar itself."""
    return (trees[0].name, [""]) if len(trees) == 1 else _within(trees)


def _within(trees: Sequence[Tree]) -> tuple[str, list[str]]:
    """Return the folder that holds all tars, and the name of each below it."""
    names = [tree.name for tree in trees]
    common = posixpath.commonprefix([posixpath.dirname(name) + "/" for name in names]).rpartition("/")[0] + "/"
    return common.rstrip("/") or "/", [name.removeprefix(common) for name in names]
