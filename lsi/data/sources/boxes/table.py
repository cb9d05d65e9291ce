"""Boxes as an annotation gives them, whatever its format: one row a box, and a count of what was left out."""

import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from lsi.data.images import SUFFIXES
from lsi.data.sources.layout import lies_with_masks
from lsi.data.sources.naming_rule import whole_folder
from lsi.data.sources.splits import split_of
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError

OTHER = "other"  # the split of what no split is named for, where others have one
Box = tuple[float, float, float, float]


class Tally:
    """What was left out: how often, and where first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str, count: int = 1) -> None:
        """Count more of something.

        Args:
            what: in the plural.
            where: it is, in words.
            count: how many there are.
        """
        self._counts[what] += count
        self._first.setdefault(what, where)

    def counts(self) -> dict[str, int]:
        """Return the counts by what was left out, with the first of each in brackets."""
        return {f"{what} (first: {self._first[what]})": count for what, count in self._counts.items()}


@dataclass
class BoxTable:
    """Boxes and their images.

    Attributes:
        kind: the format's name.
        unit: of the boxes.
        images: names of the images in the tree.
        sizes: width and height of each image, zeros where the annotation says nothing.
        owner: the image of each box.
        number: of each box among all of its image in the annotation, from 0; ids hold it.
        boxes: left, top, width, height of each.
        labels: class name of each.
        splits: of each box, None where none is named.
        rows: of each box in its source.
        lengths: number of rows of the source by split, "" where there are no splits.
        fields: all else that is said of each box.
        files: annotation files that hold the boxes of several images.
        left_out: what is no box that can be cropped.
        notes: sentences for the plan.
    """

    kind: str
    unit: Literal["pixels", "fractions"]
    images: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    lengths: Counter[str] = field(default_factory=Counter)
    fields: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    left_out: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)

    def add(self, owner: int, number: int, box: Box, label: str, split: str | None, more: dict[str, Any]) -> None:
        """Add a box.

        Args:
            owner: its image.
            number: of the box among all of its image, from 0.
            box: left, top, width, height.
            label: its class name.
            split: None where none is named.
            more: all else that is said of it.
        """
        self.owner.append(owner)
        self.number.append(number)
        self.boxes.append(box)
        self.labels.append(label)
        self.splits.append(split)
        self.fields.append(more)

    def add_image(self, name: str, size: tuple[int, int] = (0, 0)) -> int:
        """Add an image and return its number."""
        self.images.append(name)
        self.sizes.append(size)
        return len(self.images) - 1

    def is_croppable(self, box: Box, owner: int, where: str) -> bool:
        """Say whether a box has a size and touches its image; count it as left out where not.

        Args:
            box: left, top, width, height.
            owner: number of its image.
            where: what a message names.
        """
        left, top, width, height = box
        most = self.sizes[owner] if self.unit == "pixels" else (1, 1)
        if width <= 0 or height <= 0:
            self.left_out.add("boxes without width or height", where)
            return False
        is_outside = left + width <= 0 or top + height <= 0 or (all(most) and (left >= most[0] or top >= most[1]))
        if is_outside:
            self.left_out.add("boxes outside their image", where)
        return not is_outside


class ImageFinder:
    """Images of a tree, found by the name that an annotation gives them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(name for name in names if suffix_of(name) in SUFFIXES)
        self._by_own_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in self.names:
            own = posixpath.basename(name)
            self._by_own_name.setdefault(own, []).append(name)
            self._by_stem.setdefault(posixpath.splitext(own)[0], []).append(name)

    def find(self, name: str, beside: str, split: str | None, where: str) -> str | None:
        """Return the image that a name means, None where there is none.

        It may lie beside the annotation, or anywhere below the root: the one whose folders agree with the most folders
        of the name, and then with the split. An image in the folder of another split is another image of this name.

        Args:
            name: with or without folders, of any machine.
            beside: folder of the annotation.
            split: of the annotation.
            where: what a message names.

        Raises:
            DataError: several images fit.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        return self._nearest(self._by_own_name.get(wanted.name, []), wanted, beside, split, where)

    def in_one_folder(self, names: Iterable[str], beside: str, split: str | None) -> list[str] | None:
        """Return the images that names mean below the one folder that holds each as it is written, None where none is.

        None also where a folder outside it holds at least half of them and may be meant instead.

        It is that of the annotation or one in it, or else one above it or in that.

        Args:
            names: with or without folders.
            beside: folder of the annotation.
            split: of the annotation.
        """
        there, folders = set(self.names), {PurePosixPath(name).parent for name in self.names}
        wanted = [name.replace("\\", "/") for name in names]
        for base in (PurePosixPath(beside), *PurePosixPath(beside).parents):
            below = {base / f.relative_to(base).parts[0] for f in folders if f != base and f.is_relative_to(base)}
            of_split = [f for f in (base, *below) if split is None or split_of_path(f"{f}/_") in (None, split)]
            holding = [f for f in of_split if all(_below(f, name) in there for name in wanted)]
            if holding:
                held = self._held(wanted, split) | {"/".join(f.parts): len(wanted) for f in holding}
                return [_below(holding[0], name) for name in wanted] if whole_folder(held, len(wanted)) else None
        return None

    def _held(self, names: Iterable[str], split: str | None) -> dict[str, int]:
        """Return how many of some names each folder of a split or of none holds as they are written."""
        held = Counter(
            image[: -len(name)].rstrip("/")
            for name in names
            for image in self._by_own_name.get(posixpath.basename(name), [])
            if f"/{image}".endswith(f"/{name}")
        )
        return {f: n for f, n in held.items() if split is None or split_of_path(f"{f}/_") in (None, split)}

    def find_stem(self, stem: str, said: str, where: str) -> str | None:
        """Return the image that is called as its annotation is, apart from the suffix; else the one that it names.

        Args:
            stem: name of the annotation with its folders, without its suffix.
            said: the name of the image in the annotation, which is often that of another machine.
            where: what a message names.

        Raises:
            DataError: several images fit.
        """
        beside, own = posixpath.split(stem)
        found = self._by_stem.get(own, [])
        if not found:
            return self.find(said, beside, split_of_path(stem), where) if said else None
        named = [name for name in found if posixpath.basename(name) == posixpath.basename(said.replace("\\", "/"))]
        return self._nearest(named or found, PurePosixPath(own), beside, split_of_path(stem), where)

    def _nearest(
        self, found: list[str], wanted: PurePosixPath, beside: str, split: str | None, where: str
    ) -> str | None:
        known = (None, split, split_of_path(str(wanted)))
        if split is not None:
            found = [name for name in found if split_of_path(_apart(name, beside)) in known]
        if len(found) < 2:
            return found[0] if found else None
        folder = posixpath.normpath(posixpath.join(beside, wanted.parent))
        found = [name for name in found if (posixpath.dirname(name) or ".") == folder] or found
        agreeing = [_n_shared(PurePosixPath(name).parent.parts, wanted.parent.parts) for name in found]
        found = [name for name, n in zip(found, agreeing, strict=True) if n == max(agreeing)]
        found = [name for name in found if split is not None and split_of_path(name) == split] or found
        found = [name for name in found if not lies_with_masks(name)] or found
        if len(found) > 1:
            raise DataError(f"{where}: several images are called {wanted}: {found[0]}, {found[1]}.")
        return found[0]


def agreement(image: str, named: str, beside: str = "") -> tuple[int, int]:
    """Return how well the folders of an image agree with a name that leads to it; the larger, the better.

    Args:
        image: its name in the tree.
        named: by an annotation, with or without folders.
        beside: folder of the annotation.

    Returns:
        Folders that both share from their ends, and those that image and annotation share from the root.
    """
    folders = PurePosixPath(image).parent.parts
    n_above = len(folders) - len(PurePosixPath(_apart(image, beside)).parent.parts)
    return _n_shared(folders, PurePosixPath(named.replace("\\", "/")).parent.parts), n_above


def _below(folder: PurePosixPath, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))


def _apart(name: str, folder: str) -> str:
    """Return a file's name below the folders that it shares with another folder: these tell nothing apart."""
    parts, others = PurePosixPath(name).parts, PurePosixPath(folder).parts
    n_shared = 0
    while n_shared < min(len(parts) - 1, len(others)) and parts[n_shared] == others[n_shared]:
        n_shared += 1
    return "/".join(parts[n_shared:])


def _n_shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many folders two paths share, counted from their ends."""
    shared = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        shared += 1
    return shared


def split_of_path(name: str) -> str | None:
    """Return the split that the nearest of a file's folders stands for."""
    return next((split for split in map(split_of, reversed(PurePosixPath(name).parent.parts)) if split), None)


def plain_fields(values: Mapping[str, Any], used: Iterable[str]) -> dict[str, Any]:
    """Return the numbers, texts and truth values among the fields of a box, those one level down as outer.inner."""
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if key in used:
            continue
        if isinstance(value, dict):
            plain |= {f"{key}.{k}": v for k, v in value.items() if isinstance(v, str | int | float)}
        elif value is None or isinstance(value, str | int | float):
            plain[key] = value
    return plain
