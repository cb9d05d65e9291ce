"""Boxes of COCO: JSON with images, annotations and categories."""

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from lsi.data.naming import text_of_path
from lsi.data.sources.boxes.table import Box, BoxTable, ImageFinder, plain_fields
from lsi.data.sources.splits import split_in_name
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError

_USUAL = re.compile(r"(^|[_.-])(instances?|coco)([_.-]|\d|$)", re.IGNORECASE)
_OTHER_TASKS = re.compile(r"^(captions|person_keypoints|image_info|panoptic|stuff)", re.IGNORECASE)
_MOST = 1e15  # whatever is larger, or infinite, or NaN, is no place in an image
_USED = ("bbox", "segmentation", "category_id", "image_id", "id", "area", "iscrowd", "keypoints")


def coco_files(names: Iterable[str]) -> list[str]:
    """Return the files that are called as annotations of COCO are: instances_train2017.json, _annotations.coco.json."""
    return sorted(n for n in names if suffix_of(n) == ".json" and _USUAL.search(posixpath.basename(n)[:-5]))


def read_coco(tree: Tree, names: list[str]) -> BoxTable:
    """Return the boxes of all annotations of COCO in a tree; those around crowds are left out.

    Args:
        tree: where they lie, with the images.
        names: of its files.

    Raises:
        DataError: a file cannot be read, or an entry is not what it should be; the message has its number.
    """
    usual = coco_files(names)
    others = [n for n in names if suffix_of(n) == ".json" and not _OTHER_TASKS.match(posixpath.basename(n))]
    finder, table = ImageFinder(names), BoxTable("COCO", "pixels")
    numbers: Counter[str] = Counter()
    for name in usual or sorted(others):
        content = _content(tree, name)
        if _is_coco(content):
            _File(tree, name, content, finder, table, numbers).read()
        elif usual:
            raise DataError(f"{tree.name}/{text_of_path(name)}: expected the lists images, annotations and categories.")
    return table


def _content(tree: Tree, name: str) -> Any:
    try:
        return json.loads(tree.read(name).decode("utf-8-sig"), object_hook=_without_outline)
    except UnicodeDecodeError:
        raise DataError(f"{tree.name}/{text_of_path(name)}: expected UTF-8 text.") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{tree.name}/{text_of_path(name)}: the file is no JSON ({reason}).") from None


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    if "bbox" in entry:  # outlines are most of a file, and not needed
        entry.pop("segmentation", None)
    return entry


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    )


class _File:
    """One annotation file, read into the table of all."""

    def __init__(
        self, tree: Tree, name: str, content: dict, finder: ImageFinder, table: BoxTable, numbers: Counter[str]
    ) -> None:
        self.where = f"{tree.name}/{text_of_path(name)}"
        self.name, self.content, self.finder, self.table, self.numbers = name, content, finder, table, numbers
        self.split = split_in_name(name)
        self.owners: dict[Any, int | None] = {}

    def read(self) -> None:
        categories = self._categories()
        images = self._by_id("images")
        table, offset = self.table, self.table.lengths[self.split or ""]
        table.files.append(self.name)
        table.lengths[self.split or ""] += len(self.content["annotations"])
        for i, entry in enumerate(self.content["annotations"]):
            where = f"{text_of_path(self.name)}, annotation {i}"
            if not isinstance(entry, dict):
                raise DataError(f"{self.where}, annotation {i}: expected an object, got {type(entry).__name__}.")
            owner = self._owner(entry.get("image_id"), images, where)
            number = 0 if owner is None else self.numbers[table.images[owner]]
            if owner is not None:
                self.numbers[table.images[owner]] += 1
            box = self._box(entry, i, where)
            if owner is None or box is None or not table.is_croppable(box, owner, where):
                continue
            category = categories.get(_hashable(entry.get("category_id")))
            if category is None:
                table.left_out.add("boxes of a category that is not listed", f"{where}: {entry.get('category_id')}")
                continue
            table.add(owner, number, box, category, self.split, _fields(entry, box))
            table.rows.append(offset + i)
        n_empty = len(images.keys() - self.owners.keys())
        if n_empty:
            table.left_out.add("images without a box", text_of_path(self.name), n_empty)

    def _categories(self) -> dict[Any, str]:
        names: dict[Any, str] = {}
        for key, entry in self._by_id("categories").items():
            names[key] = str(entry.get("name", key))
        twice = [name for name, count in Counter(names.values()).items() if count > 1]
        if twice:
            self.table.notes.append(f"{self.where}: several categories are called {twice[0]!r}; they are one class.")
        return names

    def _by_id(self, what: str) -> dict[Any, dict]:
        entries: dict[Any, dict] = {}
        for i, entry in enumerate(self.content[what]):
            where = f"{self.where}, {what}, entry {i}"
            if not isinstance(entry, dict) or entry.get("id") is None:
                raise DataError(f"{where}: expected an object with an id.")
            key = _hashable(entry["id"])
            if what == "images" and not isinstance(entry.get("file_name"), str):
                raise DataError(f"{where}: expected a file_name.")
            if key in entries:
                raise DataError(f"{where}: the id {key!r} is given a second time.")
            entries[key] = entry
        return entries

    def _owner(self, image_id: Any, images: dict[Any, dict], where: str) -> int | None:
        """Return the number of an annotation's image, None where it is not there."""
        image_id = _hashable(image_id)
        if image_id not in images:
            self.table.left_out.add("boxes of an image that is not listed", f"{where}: {image_id}")
            return None
        if image_id not in self.owners:
            image = images[image_id]
            found = self.finder.find(image["file_name"], posixpath.dirname(self.name), self.split, self.where)
            size = tuple(v if isinstance(v := image.get(k), int) and 0 < v < 2**31 else 0 for k in ("width", "height"))
            self.owners[image_id] = None if found is None else self.table.add_image(found, (size[0], size[1]))
        owner = self.owners[image_id]
        if owner is None:
            self.table.left_out.add("boxes whose image is not there", f"{where}: {images[image_id]['file_name']}")
        return owner

    def _box(self, entry: dict, number: int, where: str) -> Box | None:
        if entry.get("iscrowd") == 1:
            self.table.left_out.add("boxes around crowds (iscrowd)", where)
            return None
        values = entry.get("bbox")
        if values is None or values == []:
            self.table.left_out.add("annotations without a box", where)
            return None
        if not isinstance(values, list) or len(values) != 4 or not all(map(_is_number, values)):
            raise DataError(
                f"{self.where}, annotation {number}: expected bbox as four numbers x, y, width, height, got {values!r}."
            )
        return float(values[0]), float(values[1]), float(values[2]), float(values[3])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _fields(entry: dict, box: Box) -> dict[str, Any]:
    area: Any = entry.get("area")
    return {
        "area": float(area) if _is_number(area) else box[2] * box[3],
        "image_id": _hashable(entry["image_id"]),
        "annotation_id": _hashable(entry.get("id")),
    } | plain_fields(entry, _USED)


def _hashable(value: Any) -> Any:
    """Return an id as a number or text: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, int | str) else str(value)
