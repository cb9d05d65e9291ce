"""Boxes of COCO: JSON with images, annotations and categories."""

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lsi.data.naming import text_of_path
from lsi.data.plan import some
from lsi.data.sources.boxes.table import Box, BoxTable, ImageFinder, agreement, plain_fields
from lsi.data.sources.splits import split_in_name
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError, unreadable_passed_over

_USUAL = re.compile(r"(^|[_.-])(instances?|coco)([_.-]|\d|$)", re.IGNORECASE)
_OTHER_TASKS = re.compile(r"^(captions|person_keypoints|image_info|panoptic|stuff)", re.IGNORECASE)
_LOOKED_AT = 20  # files of any name, for boxes that nobody named
_MOST = 1e15  # whatever is larger, or infinite, or NaN, is no place in an image
_WORDS = (b'"images"', b'"annotations"', b'"categories"', b'"bbox"')
_USED = ("bbox", "segmentation", "category_id", "image_id", "id", "area", "iscrowd", "keypoints")


def coco_files(names: Iterable[str]) -> list[str]:
    """Return the files that are called as annotations of COCO are: instances_train2017.json, _annotations.coco.json."""
    return sorted(n for n in names if suffix_of(n) == ".json" and _USUAL.search(posixpath.basename(n)[:-5]))


def read_coco(tree: Tree, names: list[str], only: str | None = None) -> BoxTable:
    """Return the boxes of all annotations of COCO in a tree, or of one file; those around crowds are left out.

    Args:
        tree: where they lie, with the images.
        names: of its files.
        only: the file to read, None for all.

    Raises:
        DataError: a file cannot be read, or an entry is not what it should be; the message has its number. Or two
            files hold boxes of one image.
    """
    usual = coco_files(names) if only is None else [only]
    others = [n for n in names if suffix_of(n) == ".json" and not _OTHER_TASKS.match(posixpath.basename(n))]
    table = BoxTable("COCO", "pixels")
    found = _Found(ImageFinder(names), table)
    for name in usual or sorted(others):
        content = _content(tree, name)
        if _is_coco(content):
            _File(tree, name, content, found).read()
        elif usual:
            raise DataError(f"{tree.name}/{text_of_path(name)}: expected the lists images, annotations and categories.")
    if usual and only is None:
        stems = {posixpath.splitext(n)[0] for n in names if suffix_of(n) != ".json"}
        alone = [n for n in sorted(set(others) - set(usual)) if n[:-5] not in stems]  # others are about one image each
        table.notes += _unread(tree, alone[:_LOOKED_AT])
    return table


def _unread(tree: Tree, names: list[str]) -> list[str]:
    """Return a sentence that names the files which hold boxes of COCO under a name of their own, none without any."""
    there = []
    for name in names:
        with unreadable_passed_over():  # whatever it is, nobody asked for it
            content = tree.read(name)
            there += [text_of_path(name)] if all(word in content for word in _WORDS) else []
    if not there:
        return []
    hold = "holds" if len(there) == 1 else "hold"
    return [f"{some(there, 4)} {hold} boxes as well, and {'is' if len(there) == 1 else 'are'} not read beside files "
            "called instances: give it as --data for its own."]  # fmt: skip


def _content(tree: Tree, name: str) -> Any:
    data = tree.read(name)
    try:
        return json.loads(data.decode("utf-8-sig"), object_hook=_without_outline)
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


@dataclass
class _Found:
    """What the files before have led to.

    Attributes:
        finder: of images.
        table: of all boxes.
        numbers: of annotations by image.
        files: the file that the boxes of an image of a split come from.
    """

    finder: ImageFinder
    table: BoxTable
    numbers: Counter[str] = field(default_factory=Counter)
    files: dict[tuple[str | None, str], str] = field(default_factory=dict)


class _File:
    """One annotation file, read into the table of all."""

    def __init__(self, tree: Tree, name: str, content: dict, found: _Found) -> None:
        self.where = f"{tree.name}/{text_of_path(name)}"
        self.name, self.content, self.found, self.table, self.numbers = name, content, found, found.table, found.numbers
        self.split = split_in_name(name)
        self.files: dict[Any, str | None] = {}
        self.owners: dict[Any, int | None] = {}

    def read(self) -> None:
        categories = self._categories()
        images = self._by_id("images")
        used = {_hashable(e.get("image_id")) for e in self.content["annotations"] if isinstance(e, dict)}
        self.files = self._files({key: str(image["file_name"]) for key, image in images.items() if key in used})
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

    def _files(self, names: Mapping[Any, str]) -> dict[Any, str | None]:
        """Return the file of each image by its id; one that several names lead to is that of the name that fits best.

        Raises:
            DataError: several files fit one name.
        """
        files = self._each(names)
        claims: dict[str, list[Any]] = {}
        for key, file in files.items():
            if file is not None:
                claims.setdefault(file, []).append(key)
        for file, keys in claims.items():
            if len({posixpath.normpath(names[key]) for key in keys}) > 1:
                fits = [agreement(file, names[key]) for key in keys]
                is_sure = fits.count(max(fits)) == 1
                files |= {key: None for key, fit in zip(keys, fits, strict=True) if fit < max(fits) or not is_sure}
        return files

    def _each(self, names: Mapping[Any, str]) -> dict[Any, str | None]:
        """Return the file of each image; those of one folder where that alone tells several of a name apart."""
        finder, beside = self.found.finder, posixpath.dirname(self.name)
        try:
            return {key: finder.find(name, beside, self.split, self.where) for key, name in names.items()}
        except DataError:
            files = finder.in_one_folder(names.values(), beside, self.split)
            if files is None:
                raise
            return dict(zip(names, files, strict=True))

    def _owner(self, image_id: Any, images: dict[Any, dict], where: str) -> int | None:
        """Return the number of an annotation's image, None where it is not there."""
        image_id = _hashable(image_id)
        if image_id not in images:
            self.table.left_out.add("boxes of an image that is not listed", f"{where}: {image_id}")
            return None
        if image_id not in self.owners:
            image = images[image_id]
            found = self.files[image_id]
            if found is not None:
                self._check_alone(found)
            size = tuple(v if isinstance(v := image.get(k), int) and 0 < v < 2**31 else 0 for k in ("width", "height"))
            self.owners[image_id] = None if found is None else self.table.add_image(found, (size[0], size[1]))
        owner = self.owners[image_id]
        if owner is None:
            self.table.left_out.add("boxes whose image is not there", f"{where}: {images[image_id]['file_name']}")
        return owner

    def _check_alone(self, image: str) -> None:
        """Raise where another file of the same split has boxes of an image: each would be a sample twice.

        Raises:
            DataError: it has.
        """
        other = self.found.files.setdefault((self.split, image), self.name)
        if other != self.name:
            raise DataError(
                f"{text_of_path(other)} and {text_of_path(self.name)} both hold boxes of {text_of_path(image)}: "
                "give one of them as --data."
            )

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
