"""What the folders of a tree mean: classes, splits, wrappers around them, or nothing; found from names alone."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from lsi.data.images import HEIC_SUFFIXES, SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.plan import counted, some
from lsi.data.sources.splits import split_of
from lsi.data.trees import is_junk

_IMAGES = SUFFIXES | HEIC_SUFFIXES  # HEIC without its package is reported as unreadable, not passed over
# the suffixes that torchvision.datasets.ImageFolder lists
IMAGE_FOLDER_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_PICTURES = frozenset({"images", "image", "imgs", "img", "jpegimages", "photos", "pictures"})
_MASKS = frozenset({"masks", "mask", "annotations", "annotation", "segmentationclass", "segmentationobject",
                    "segmentations", "gt", "groundtruth", "ground_truth", "labels", "depth", "trimaps"})  # fmt: skip
_LIKE_SPLIT = re.compile(
    r"(fold|part|batch|split|subset|train|val|valid|validation|dev|test)s?[-_ ]?\d*([-_ ]\w+)*$", re.I
)


@dataclass
class Folder:
    """A folder of a tree.

    Attributes:
        path: its name relative to the tree's root, "" for the root.
        files: names of all files in it, without their folder.
        images: those of them that are images and no junk.
        folders: its subfolders by name.
    """

    path: str
    files: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    folders: "dict[str, Folder]" = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its own name."""
        return PurePosixPath(self.path).name

    @cached_property
    def with_images(self) -> "list[Folder]":
        """The subfolders that hold images at any depth, by name; junk is left out."""
        return [f for name, f in sorted(self.folders.items()) if not is_junk(name) and f.holds_images]

    @cached_property
    def holds_images(self) -> bool:
        """Whether there are images at any depth."""
        return bool(self.images) or bool(self.with_images)

    def child(self, name: str) -> str:
        """Return the name, relative to the root, of something in this folder."""
        return f"{self.path}/{name}" if self.path else name

    def all_images(self) -> list[str]:
        """Return the images at any depth, in the order of ImageFolder: by folder, then by name."""
        folders = sorted(self._visible(), key=lambda folder: folder.path)
        return [folder.child(name) for folder in folders for name in sorted(folder.images)]

    def _visible(self) -> "Iterable[Folder]":
        yield self
        for folder in self.with_images:
            yield from folder._visible()

    def image_folder_order(self) -> list[str]:
        """Return what `torchvision.datasets.ImageFolder` lists for this folder, hidden files and folders included."""
        listed = []
        for _, group in sorted(self.folders.items()):
            for folder in sorted(group._every(), key=lambda f: f.path):
                names = sorted(n for n in folder.files if n.lower().endswith(IMAGE_FOLDER_SUFFIXES))
                listed += [folder.child(n) for n in names]
        return listed

    def _every(self) -> "Iterable[Folder]":
        yield self
        for folder in self.folders.values():
            yield from folder._every()


@dataclass(frozen=True)
class Group:
    """Images that belong together: of a class or of none, of a split or of none.

    `base` is the folder that ImageFolder would be given for them; `images` their names.
    """

    base: Folder
    images: list[str]
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Layout:
    """What the folders mean: the groups of images, its kind, where tables may lie, what was ignored."""

    kind: str
    groups: list[Group]
    table_folders: list[Folder]
    ignored: Counter[str]
    notes: list[str]


def build(names: Iterable[str], is_image: Callable[[str], bool]) -> tuple[Folder, Counter[str]]:
    """Return the folders that names of files make up, and the number of files that are no images, by their kind.

    Args:
        names: of files, with / between folders.
        is_image: tells for a file without a known suffix whether it is an image by its content.
    """
    root, ignored = Folder(""), Counter[str]()
    known: dict[str, Folder] = {"": root}
    for name in names:
        path, _, file = name.rpartition("/")
        folder = known.get(path) or _folder_of(path, known)
        folder.files.append(file)
        if any(is_junk(part) for part in name.split("/")):
            ignored["hidden files"] += 1
            continue
        suffix = PurePosixPath(file).suffix.lower()
        has_no_suffix = not suffix or suffix[1:].isdigit()
        if suffix in _IMAGES or (has_no_suffix and is_image(name)):
            folder.images.append(file)
        else:
            ignored[suffix or "without suffix"] += 1
    return root, ignored


def _folder_of(path: str, known: dict[str, Folder]) -> Folder:
    above, _, name = path.rpartition("/")
    parent = known.get(above) or _folder_of(above, known)
    known[path] = parent.folders.setdefault(name, Folder(path))
    return known[path]


def interpret(root: Folder, ignored: Counter[str]) -> Layout:
    """Return what the folders mean.

    A split's folder is told by its name, and that classes or nothing but splits lie beside it. A folder that alone
    holds everything is a wrapper. Folders below those of the classes belong to their class.

    Args:
        root: of the tree.
        ignored: what was ignored so far, by its kind.
    """
    base, wrappers = _unwrapped(root)
    tables, ignored = [root, *wrappers], Counter(ignored)
    pictures = _beside_masks(base.with_images)
    if pictures is not None:
        for kid in base.with_images:
            if kid is not pictures:
                ignored[f"images in {text_of_path(kid.name)}/"] += len(kid.all_images())
        base, inner = _unwrapped(pictures)
        tables += [pictures, *inner]
    kids = base.with_images
    splits = kids if _are_like_splits(kids) else [kid for kid in kids if split_of(kid.name)]
    if splits and (
        len(splits) == len(kids) or any(_class_folders(_unwrapped(kid, split_of(kid.name))[0]) for kid in splits)
    ):
        return _of_splits(base, splits, tables, ignored)
    if len(kids) > 1 and all(_holds_splits_alone(kid) for kid in kids):
        groups = [Group(base, folder.all_images(), kid.name, folder.name) for kid in kids for folder in kid.with_images]
        return Layout("class folders with splits in them", groups, tables, ignored, [])
    if len(kids) > 1:
        groups, notes = _of_classes(base, None, ignored)
        return Layout("class folders", groups, tables, ignored, notes)
    return _flat(base, kids, tables, ignored)


def _unwrapped(folder: Folder, split: str | None = None) -> tuple[Folder, list[Folder]]:
    """Return the folder that the folders around it do nothing but wrap, and the wrappers passed.

    A split's folder is no wrapper, but for one of the same split (training_set/training_set).
    """
    passed = []
    while True:
        kids = folder.with_images
        if folder.images or len(kids) != 1 or split_of(kids[0].name) not in (None, split):
            return folder, passed
        if not kids[0].with_images or kids[0].images:
            return folder, passed
        folder = kids[0]
        passed.append(folder)


def _beside_masks(kids: list[Folder]) -> Folder | None:
    """Return the folder of the images where masks and the like lie in the folders beside it, None elsewhere."""
    pictures = [kid for kid in kids if kid.name.casefold() in _PICTURES]
    others = [kid for kid in kids if kid.name.casefold() not in _PICTURES]
    is_so = len(pictures) == 1 and others and all(kid.name.casefold() in _MASKS for kid in others)
    return pictures[0] if is_so else None


def _are_like_splits(kids: list[Folder]) -> bool:
    """Say whether folders called fold1, fold2 or train-clean, train-noisy hold the same classes each."""
    inside = [{folder.name for folder in kid.with_images} for kid in kids]
    is_same = len(kids) > 1 and len(inside[0]) > 1 and all(names == inside[0] for names in inside)
    return is_same and all(_LIKE_SPLIT.match(kid.name) for kid in kids)


def _class_folders(folder: Folder) -> list[Folder]:
    return folder.with_images if len(folder.with_images) > 1 or not folder.images else []


def _holds_splits_alone(folder: Folder) -> bool:
    kids = folder.with_images
    return bool(kids) and not folder.images and all(split_of(kid.name) for kid in kids)


def _of_splits(base: Folder, splits: list[Folder], tables: list[Folder], ignored: Counter[str]) -> Layout:
    groups: list[Group] = []
    notes: list[str] = []
    for kid in base.with_images:
        if kid not in splits:
            count = len(kid.all_images())
            ignored[f"images in {text_of_path(kid.name)}/, which is no split"] += count
    if base.images:
        ignored["images beside the split folders"] += len(base.images)
    for split in splits:
        inner, wrappers = _unwrapped(split, split_of(split.name))
        tables = [*tables, split, *wrappers]
        if _class_folders(inner):
            found, said = _of_classes(inner, split.name, ignored)
            groups += found
            notes += said
        else:
            groups.append(Group(inner, inner.all_images(), None, split.name))
    kind = "split folders with class folders" if any(g.label is not None for g in groups) else "split folders"
    return Layout(kind, groups, tables, ignored, notes)


def _of_classes(base: Folder, split: str | None, ignored: Counter[str]) -> tuple[list[Group], list[str]]:
    groups = [Group(base, kid.all_images(), kid.name, split) for kid in base.with_images]
    notes = []
    if base.images:
        ignored[f"images beside the class folders of {text_of_path(base.path) or 'the folder'}"] += len(base.images)
    nested = [kid.name for kid in base.with_images if kid.with_images and not kid.images]
    if nested and len(nested) == len(groups):
        inner = sorted({folder.name for kid in base.with_images for folder in kid.with_images})
        notes.append(f"The classes are the upper folders, as ImageFolder reads them; below them lie {some(inner, 4)}.")
    without = [name for name, kid in sorted(base.folders.items()) if not is_junk(name) and not kid.holds_images]
    if without:
        shown = some(map(text_of_path, without), 4)
        notes.append(f"{counted(len(without), 'folder')} beside the classes without an image: {shown}.")
    named = [g.label for g in groups if g.label and split_of(g.label)]
    if named:
        notes.append(f"The folder {named[0]} is taken for a class: it holds images beside other class folders.")
    return groups, notes


def _flat(base: Folder, kids: list[Folder], tables: list[Folder], ignored: Counter[str]) -> Layout:
    notes = []
    if base.images:
        for kid in kids:
            ignored[f"images in {text_of_path(kid.name)}/"] += len(kid.all_images())
        images = [base.child(name) for name in sorted(base.images)]
        return Layout("folder of images", [Group(base, images)] if images else [], tables, ignored, notes)
    images = base.all_images()
    if kids:
        tables = [*tables, kids[0]]
        notes.append(
            f"{counted(len(images), 'image')} in one folder, {text_of_path(kids[0].name)}/: one class says nothing, so "
            "they are taken as images without labels."
        )
    return Layout("folder of images", [Group(base, images)] if images else [], tables, ignored, notes)
