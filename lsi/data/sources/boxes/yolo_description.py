"""What describes data of YOLO: class names and splits in data.yaml, or class names in classes.txt or obj.names."""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.plan import some
from lsi.data.sources.boxes.plain_yaml import Value, read_plain_yaml
from lsi.data.sources.boxes.table import ImageFinder, split_of_path
from lsi.data.sources.splits import split_of, split_of_folder
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError, unreadable_passed_over

_NAMES = frozenset({"classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt"})
_SPLITS = ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class Description:
    """What is said of the classes and splits.

    Attributes:
        names: class name by number; None where no file has them.
        splits: split by image.
        has_keypoints: lines hold the points of a pose behind the box.
        files: names of the files that describe and are no labels.
        notes: sentences for the plan.
        names_below: class name by number for the label files below a folder, where the folders' files differ.
    """

    names: Mapping[int, str] | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    has_keypoints: bool = False
    files: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    names_below: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def name_of(self, number: int, file: str) -> str | None:
        """Return the name of a class, its number where no class has a name, None where it alone has none.

        Args:
            number: of the class.
            file: the label file that holds it.
        """
        folder = posixpath.dirname(file)
        while folder and folder not in self.names_below:
            folder = posixpath.dirname(folder)
        names = self.names_below.get(folder, self.names)
        return str(number) if names is None else names.get(number)

    def split_of(self, image: str) -> str | None:
        """Return the split of an image."""
        return self.splits.get(image)


def is_description(name: str) -> bool:
    """Say whether a file is called as those that describe data of YOLO are."""
    own = posixpath.basename(name).casefold()
    return own in _NAMES or own.endswith((".yaml", ".yml", ".names"))


def read_description(tree: Tree, names: list[str]) -> Description:
    """Return what the files nearest to the root say of the data.

    Args:
        tree: where they lie.
        names: of its files.

    Raises:
        DataError: a file cannot be read.
    """
    found = sorted(filter(is_description, names), key=_rank)
    finder = ImageFinder(names)
    lists = {name for name in names if posixpath.basename(name) in {f"{split}.txt" for split in _SPLITS}}
    files = frozenset({*found, *lists})
    described = [n for n in found if n.casefold().endswith((".yaml", ".yml"))]
    for place, name in enumerate(described):
        where = f"{tree.name}/{text_of_path(name)}"
        values = _values(tree, name)
        if values.get("names"):
            splits, notes = _splits(tree, values, finder, lists)
            names_of = _class_names(values["names"], where)
            below, more = _names_below(tree, described[place:], names_of, _described_names)
            notes = [f"{text_of_path(name)}: {note}" for note in notes]
            notes += more or _others(tree, name, described[place + 1 :])
            return Description(names_of, splits, bool(values.get("kpt_shape")), files, tuple(notes), below)
    splits, notes = _splits(tree, {posixpath.basename(n)[:-4]: n for n in sorted(lists)}, finder, lists)
    listings = [n for n in found if n not in described]
    if listings:
        named = _listed_names(tree, listings[0])
        below, more = _names_below(tree, listings, named, _listed_names)
        return Description(named, splits, files=files, notes=(*notes, *more), names_below=below)
    note = "No data.yaml, classes.txt or obj.names gives the classes names: they are called by their numbers."
    return Description(None, splits, files=files, notes=(*notes, note))


def _rank(name: str) -> tuple[int, bool, str]:
    """Return what descriptions are ordered by: the nearest to the root first, and data.yaml before others there."""
    return name.count("/"), posixpath.basename(name).casefold() not in ("data.yaml", "data.yml"), name


def _values(tree: Tree, name: str) -> Mapping[str, Value]:
    where = f"{tree.name}/{text_of_path(name)}"
    return read_plain_yaml(_text(tree, name), ("names", "path", "kpt_shape", *_SPLITS), where)


def _others(tree: Tree, taken: str, names: list[str]) -> list[str]:
    """Return a sentence where other files give the classes names as well."""
    others = []
    for name in names:
        with unreadable_passed_over():
            others += [text_of_path(name)] if _values(tree, name).get("names") else []
    if not others:
        return []
    return [f"{text_of_path(taken)} gives the classes their names; {some(others, 4)} would as well."]


def _text(tree: Tree, name: str) -> str:
    try:
        return tree.read(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{tree.name}/{text_of_path(name)}: expected UTF-8 text.") from None


def _described_names(tree: Tree, name: str) -> dict[int, str]:
    names = _values(tree, name).get("names")
    return _class_names(names, f"{tree.name}/{text_of_path(name)}") if names else {}


def _listed_names(tree: Tree, name: str) -> dict[int, str]:
    lines = [line.strip() for line in _text(tree, name).splitlines()]
    return {i: line for i, line in enumerate(lines) if line}


def _names_below(
    tree: Tree, files: list[str], first: dict[int, str], names_of: Callable[[Tree, str], dict[int, str]]
) -> tuple[dict[str, Mapping[int, str]], list[str]]:
    """Return the class names in each folder that has a file of them, and a sentence; nothing where all are the same."""
    below: dict[str, Mapping[int, str]] = {}
    told: list[str] = []
    for name in files:
        with unreadable_passed_over():
            names = names_of(tree, name)
            if names and below.setdefault(posixpath.dirname(name), names) is names:
                told.append(text_of_path(name))
    if all(names == first for names in below.values()):
        return {}, []
    return below, [f"Class names differ in {some(told, 4)}: those nearest above a label file are its own, and those of "
                   f"{told[0]} where none are above it."]  # fmt: skip


def _class_names(value: Value, where: str) -> dict[int, str]:
    if isinstance(value, list):
        return {i: str(name) for i, name in enumerate(value)}
    if isinstance(value, dict) and all(key.isdecimal() for key in value):
        return {int(key): str(name) for key, name in value.items()}
    raise DataError(f"{where}: expected names as a list, or by class number, got {str(value)[:60]!r}.")


def _splits(
    tree: Tree, values: Mapping[str, Value], finder: ImageFinder, lists: set[str]
) -> tuple[dict[str, str], list[str]]:
    """Return the split of the images that the description's folders and lists hold, and what leads to none.

    An image that several lead to is of the split whose folder or list is named with more of its path.
    """
    splits: dict[str, str] = {}
    certainty: dict[str, int] = {}
    notes = []
    for key in _SPLITS:
        value, split = values.get(key), split_of(key) or key
        for place in value if isinstance(value, list) else [value]:
            if not isinstance(place, str):
                continue
            images, n_parts = _images_of(tree, place, split, finder, lists)
            for image in images:
                if n_parts > certainty.get(image, 0):
                    splits[image], certainty[image] = split, n_parts
            notes += [] if images else [f"{key} leads to no image here ({place})."]
    return splits, notes


def _images_of(tree: Tree, place: str, split: str, finder: ImageFinder, lists: set[str]) -> tuple[list[str], int]:
    """Return the images below a folder, or in a list of images, and the parts of the path that they are found by.

    Paths of other machines count by their ends, as long as the end still says the split where the path says it.

    Args:
        tree: where they lie.
        place: a path.
        split: that its images are of.
        finder: of images.
        lists: names of the lists of images.
    """
    parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    is_here = not re.match(r"/|[A-Za-z]:", place)
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        if suffix_of(tail) == ".txt":
            listing = next((name for name in sorted(lists) if f"/{name}".endswith(f"/{tail}")), None)
            if listing is not None:
                return _listed(tree, listing, split, finder), len(parts) - start
        elif is_here and split_of_folder("/".join(parts)) and not split_of_folder(tail):
            break
        elif suffix_of(tail) not in SUFFIXES:
            images = [name for name in finder.names if f"/{tail}/" in f"/{name}"]
            if start and not split_of_folder(tail):
                images = [name for name in images if split_of_path(name) in (None, split)]
            if images:
                return images, len(parts) - start
    return [], 0


def _listed(tree: Tree, listing: str, split: str, finder: ImageFinder) -> list[str]:
    where = f"{tree.name}/{text_of_path(listing)}"
    lines = [line.strip() for line in _text(tree, listing).splitlines()]
    found = [finder.find(line, posixpath.dirname(listing), split, where) for line in lines if line]
    return [name for name in found if name is not None]
