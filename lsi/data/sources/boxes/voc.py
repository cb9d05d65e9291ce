"""Boxes of Pascal VOC: an XML file an image, with an object for each box."""

import math
import posixpath
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.sources.boxes.table import OTHER, Box, BoxTable, ImageFinder, agreement, split_of_path
from lsi.data.sources.splits import split_of
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")  # they make a parser read other files, or unpack without end


def is_voc(names: Iterable[str]) -> bool:
    """Say whether XML files are called as images are."""
    names = list(names)
    described = {posixpath.basename(name)[:-4] for name in names if suffix_of(name) == ".xml"}
    return bool(described) and any(
        posixpath.splitext(posixpath.basename(name))[0] in described and suffix_of(name) in SUFFIXES for name in names
    )


def read_voc(tree: Tree, names: list[str]) -> BoxTable:
    """Return the boxes of Pascal VOC in a tree.

    Args:
        tree: where they lie, with the images.
        names: of its files.

    Raises:
        DataError: a file is no XML, or a box has no numbers.
    """
    table, finder = BoxTable("Pascal VOC", "pixels"), ImageFinder(names)
    listed = _listed_splits(tree, names)
    files = sorted(name for name in names if suffix_of(name) == ".xml")
    rivals: dict[str, list[str]] = {}
    for name in files:
        rivals.setdefault(posixpath.basename(name), []).append(name)
    for name in files:
        where = f"{tree.name}/{text_of_path(name)}"
        root = _root(tree.read(name), where)
        objects = root.findall("object")
        stem = posixpath.splitext(posixpath.basename(name))[0]
        image = finder.find_stem(name[:-4], root.findtext("filename") or "", where)
        if image is None or _is_of_another(image, name, rivals[posixpath.basename(name)], tree):
            table.left_out.add("boxes whose image is not there", text_of_path(name), len(objects))
            continue
        if not objects:
            table.left_out.add("images without a box", text_of_path(image))
        split = listed.get(stem) if listed else split_of_path(image) or split_of_path(name)
        owner = table.add_image(image, _size(root))
        for i, element in enumerate(objects):
            _add(element, i, owner, split, table, (where, f"{text_of_path(name)}, object {i}"))
    has_splits = any(split is not None for split in table.splits)
    for split in table.splits:
        source = (split or OTHER) if has_splits else ""
        table.rows.append(table.lengths[source])
        table.lengths[source] += 1
    return table


def _is_of_another(image: str, name: str, rivals: list[str], tree: Tree) -> bool:
    """Say whether another annotation of the same name lies nearer to an image.

    Raises:
        DataError: another lies as near.
    """
    fit = agreement(image, name, posixpath.dirname(name))
    others = {rival: agreement(image, rival, posixpath.dirname(rival)) for rival in rivals if rival != name}
    alike = [rival for rival, other in others.items() if other == fit]
    if alike and fit == max(others.values()):
        raise DataError(
            f"{tree.name}: {text_of_path(name)} and {text_of_path(alike[0])} both describe {text_of_path(image)}: "
            "leave one of them out."
        )
    return any(other > fit for other in others.values())


def _add(
    element: ElementTree.Element, number: int, owner: int, split: str | None, table: BoxTable, places: tuple[str, str]
) -> None:
    """Add one object to the table; `places` are the file and the object in words."""
    box = _box(element.find("bndbox"), f"{places[0]}, object {number}")
    label = (element.findtext("name") or "").strip()
    if not table.is_croppable(box, owner, places[1]):
        return
    if not label:
        table.left_out.add("boxes without a name", places[1])
        return
    others = {e.tag: e.text.strip() for e in element if e.tag != "name" and not len(e) and e.text and e.text.strip()}
    table.add(owner, number, box, label, split, {"area": box[2] * box[3]} | others)


def _root(data: bytes, where: str) -> ElementTree.Element:
    if any(word in data.upper() for word in _FORBIDDEN):
        raise DataError(f"{where}: expected XML without a document type and entities.")
    if b"\0" in data[:4]:  # UTF-16 would hide them
        raise DataError(f"{where}: expected XML in UTF-8.")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{where}: the file is no XML ({error}).") from None


def _size(root: ElementTree.Element) -> tuple[int, int]:
    words = [root.findtext(f"size/{edge}") or "" for edge in ("width", "height")]
    return (int(words[0]), int(words[1])) if all(word.strip().isdecimal() for word in words) else (0, 0)


def _box(element: ElementTree.Element | None, where: str) -> Box:
    words = [None if element is None else element.findtext(edge) for edge in _EDGES]
    try:
        left, top, right, bottom = (float(word or "") for word in words)
    except ValueError:
        left = top = right = bottom = math.nan
    if not math.isfinite(left + top + right + bottom):
        raise DataError(f"{where}: expected numbers {', '.join(_EDGES)} in bndbox, got {words}.")
    return left, top, right - left, bottom - top


def _listed_splits(tree: Tree, names: list[str]) -> dict[str, str]:
    """Return the split by the image's name without suffix, from ImageSets/Main/train.txt and its like."""
    splits: dict[str, str] = {}
    for name in names:
        folder, own = posixpath.split(name)
        split = split_of(own[:-4])
        if "imagesets" in folder.casefold().split("/") and own.endswith(".txt") and split is not None:
            words = tree.read(name).decode("utf-8", "replace").split()
            splits |= {posixpath.splitext(posixpath.basename(word))[0]: split for word in words}
    return splits
