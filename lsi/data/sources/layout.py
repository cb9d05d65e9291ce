"""What the folders of a tree mean: classes, splits, wrappers around them, or nothing; found from names alone."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lsi.data.naming import text_of_path
from lsi.data.plan import counted, some
from lsi.data.sources.folders import Folder
from lsi.data.sources.nested import (
    LIKE_SPLIT,
    PICTURES,
    are_like_splits,
    class_folders,
    hold_the_same,
    holds_splits,
    holds_splits_alone,
    refuse_splits_inside,
    unwrapped,
)
from lsi.data.sources.splits import NO_SPLIT, split_of, splits_in_names
from lsi.data.trees import is_junk
from lsi.errors import DataError

_MASKS = frozenset({"masks", "mask", "annotations", "annotation", "segmentationclass", "segmentationobject",
                    "segmentations", "gt", "groundtruth", "ground_truth", "labels", "depth", "trimaps"})  # fmt: skip
_MASK_OF = re.compile(r"(.+)[ _-](?:mask|seg|segmentation|gt)(?:_\d+)?\.\w+$", re.I)  # X_mask.png beside X.jpg


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
    """What the folders mean: the groups of images, its kind, where tables may lie, what was ignored.

    `called` holds the splits by their folders' names, where these say them only beside one another.
    """

    kind: str
    groups: list[Group]
    table_folders: list[Folder]
    ignored: Counter[str]
    notes: list[str]
    called: dict[str, str] = field(default_factory=dict)


def interpret(root: Folder, ignored: Counter[str]) -> Layout:
    """Return what the folders mean.

    A split's folder is told by its name, and that classes or nothing but splits lie beside it. A folder that alone
    holds everything is a wrapper. Folders below those of the classes belong to their class.

    Args:
        root: of the tree.
        ignored: what was ignored so far, by its kind.

    Raises:
        DataError: which folders are the classes cannot be told.
    """
    ignored = Counter(ignored)
    base, wrappers = _past_masks(root, ignored)
    tables = [root, *wrappers]
    kids = base.with_images
    splits = kids if are_like_splits(kids) else [kid for kid in kids if split_of(kid.name)]
    called = splits_in_names([kid.name for kid in kids], hold_the_same=hold_the_same(kids))
    if called:
        return _of_splits(base, kids, tables, ignored, called)
    if splits and (
        all(kid in splits or _is_masks_of_split(kid.name) for kid in kids)
        or (holds_splits(base) and all(kid in splits or kid.name.casefold() in PICTURES | _MASKS for kid in kids))
        or any(class_folders(unwrapped(kid, split_of(kid.name))[0]) for kid in splits)
    ):
        return _of_splits(base, splits, tables, ignored)
    if len(kids) > 1 and all(holds_splits_alone(kid) for kid in kids):
        return _of_classes_with_splits(base, tables, ignored)
    if len(kids) > 1:
        refuse_splits_inside(kids)
        groups, notes = _of_classes(base, None, ignored)
        return Layout("class folders", groups, tables, ignored, notes)
    return _flat(base, kids, tables, ignored)


def _past_masks(folder: Folder, ignored: Counter[str], split: str | None = None) -> tuple[Folder, list[Folder]]:
    """Return what the folders around it wrap, that of the images where masks lie beside them, and the folders passed.

    Images in the folders beside them are counted as ignored.
    """
    base, passed = unwrapped(folder, split)
    pictures = _beside_masks(base.with_images)
    if pictures is None:
        return base, passed
    _ignore(base, pictures, ignored)
    if base.images:
        ignored[f"images beside {text_of_path(base.child(pictures.name))}/"] += len(base.images)
    inner, more = unwrapped(pictures, split)
    return inner, [*passed, pictures, *more]


def _ignore(base: Folder, pictures: Folder, ignored: Counter[str]) -> None:
    for kid in base.with_images:
        if kid is not pictures:
            ignored[f"images in {text_of_path(base.child(kid.name))}/"] += len(kid.all_images())


def _images_of_class(folder: Folder, ignored: Counter[str]) -> list[str]:
    """Return the images of a class at any depth, without the masks that lie beside them."""
    pictures = None if folder.images else _beside_masks(folder.with_images)
    if pictures is None:
        return _without_masks(folder.all_images(), ignored)
    _ignore(folder, pictures, ignored)
    return _without_masks(pictures.all_images(), ignored)


def _without_masks(images: list[str], ignored: Counter[str]) -> list[str]:
    """Return the images without those that are called as the mask of another one, where most of the others have one."""
    found = {name: match[1] for name in images if (match := _MASK_OF.match(name))}
    if not found:
        return images
    stems = {name.rpartition(".")[0] for name in images}
    found = {name: stem for name, stem in found.items() if stem in stems}
    if not found or 2 * len(set(found.values())) < len(images) - len(found):
        return images
    ignored["masks beside their images"] += len(found)
    return [name for name in images if name not in found]


def _beside_masks(kids: list[Folder]) -> Folder | None:
    """Return the folder of the images where masks and the like lie in the folders beside it, None elsewhere."""
    pictures = [kid for kid in kids if kid.name.casefold() in PICTURES]
    others = [kid for kid in kids if kid.name.casefold() not in PICTURES]
    is_so = len(pictures) == 1 and others and all(kid.name.casefold() in _MASKS for kid in others)
    return pictures[0] if is_so else None


def lies_with_masks(name: str) -> bool:
    """Say whether a file lies below a folder that is called as those of masks and annotations are."""
    return any(part.casefold() in _MASKS for part in PurePosixPath(name).parent.parts)


def _is_masks_of_split(name: str) -> bool:
    """Say whether a folder is called as masks of a split are (train_masks)."""
    words = re.split(r"[\s_.-]+", name.casefold())
    return any(word in _MASKS for word in words) and any(map(split_of, words))


def _of_splits(
    base: Folder,
    splits: list[Folder],
    tables: list[Folder],
    ignored: Counter[str],
    called: dict[str, str] | None = None,
) -> Layout:
    """Return split folders, each the split that its name says, or that it is `called`."""
    groups: list[Group] = []
    notes: list[str] = []
    for kid in base.with_images:
        if kid not in splits:
            count = len(kid.all_images())
            ignored[f"images in {text_of_path(kid.name)}/{NO_SPLIT}"] += count
    if base.images:
        ignored["images beside the split folders"] += len(base.images)
    for split in splits:
        name = (called or {}).get(split.name, split.name)
        inner, wrappers = _past_masks(split, ignored, split_of(name))
        tables = [*tables, split, *wrappers]
        if class_folders(inner):
            found, said = _of_classes(inner, name, ignored)
            groups += found
            notes += said
        else:
            groups.append(Group(inner, _without_masks(inner.all_images(), ignored), None, name))
    kind = "split folders with class folders" if any(g.label is not None for g in groups) else "split folders"
    return Layout(kind, groups, tables, ignored, notes, called or {})


def _of_classes_with_splits(base: Folder, tables: list[Folder], ignored: Counter[str]) -> Layout:
    """Return class folders that hold splits.

    Raises:
        DataError: the splits of several hold folders of the same names, which could as well be the classes, or the
            upper folders are called as folds are.
    """
    kids = base.with_images
    splits = [split for kid in kids for split in kid.with_images]
    inside = [{folder.name for split in kid.with_images for folder in split.with_images} for kid in kids]
    common = set.intersection(*inside)
    if len(common) > 1 and not all(name.casefold() in PICTURES | _MASKS for name in common):
        folders = some([text_of_path(kid.name) for kid in kids], 3)
        raise DataError(
            f"{folders} hold splits with folders of the same names in them "
            f"({some(map(text_of_path, sorted(common)), 3)}): whether these or the upper folders are the classes "
            "cannot be told: give one of them as --data."
        )
    if all(LIKE_SPLIT.match(kid.name) for kid in kids):
        folders = some([text_of_path(kid.name) for kid in kids], 3)
        raise DataError(
            f"{folders} are called as folds or parts of one set are, and hold splits: give one of them as --data."
        )
    groups = [
        Group(base, _images_of_class(split, ignored), kid.name, split.name) for kid in kids for split in kid.with_images
    ]
    notes = _on_folders_below(splits) if all(s.with_images and not s.images for s in splits) else []
    return Layout("class folders with splits in them", groups, tables, ignored, notes)


def _on_folders_below(folders: list[Folder]) -> list[str]:
    """Return a sentence on folders below those of the classes that could be classes; none without any."""
    inner = sorted(
        {folder.name for above in folders for folder in above.with_images if not _beside_masks(above.with_images)}
    )
    shown = some(map(text_of_path, inner), 4)
    return [f"The classes are the upper folders, as ImageFolder reads them; below them lie {shown}."] if inner else []


def _of_classes(base: Folder, split: str | None, ignored: Counter[str]) -> tuple[list[Group], list[str]]:
    kids = base.with_images
    names = {kid.name for kid in kids}
    again = [kid for kid in kids if sum(inner.name in names for inner in kid.with_images) > 1]
    for kid in again:
        place = text_of_path(base.child(kid.name))
        ignored[f"images in {place}/, which holds folders of the same names again"] += len(kid.all_images())
    kids = [kid for kid in kids if kid not in again]
    groups = [Group(base, _images_of_class(kid, ignored), kid.name, split) for kid in kids]
    notes = []
    if base.images:
        ignored[f"images beside the class folders of {text_of_path(base.path) or 'the folder'}"] += len(base.images)
    if all(kid.with_images and not kid.images for kid in kids):
        notes += _on_folders_below(kids)
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
        images = _without_masks([base.child(name) for name in sorted(base.images)], ignored)
        return Layout("folder of images", [Group(base, images)] if images else [], tables, ignored, notes)
    images = _without_masks(base.all_images(), ignored)
    if kids:
        tables = [*tables, kids[0]]
        notes.append(
            f"{counted(len(images), 'image')} in one folder, {text_of_path(kids[0].name)}/: one class says nothing, so "
            "they are taken as images without labels."
        )
    return Layout("folder of images", [Group(base, images)] if images else [], tables, ignored, notes)
