"""What folders hold, by names alone: class folders, splits, or one folder that does nothing but wrap."""

import re

from lsi.data.naming import text_of_path
from lsi.data.plan import some
from lsi.data.sources.folders import Folder
from lsi.data.sources.splits import split_of
from lsi.errors import DataError

PICTURES = frozenset({"images", "image", "imgs", "img", "jpegimages", "photos", "pictures"})
LIKE_SPLIT = re.compile(
    r"(fold|part|batch|split|subset|train|val|valid|validation|dev|test)s?[-_ ]?\d*([-_ ]\w+)*$", re.I
)


def unwrapped(folder: Folder, split: str | None = None) -> tuple[Folder, list[Folder]]:
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


def class_folders(folder: Folder) -> list[Folder]:
    """Return the folders of classes; one alone that is called images, or as a split is, and holds no other is none."""
    kids = folder.with_images
    if len(kids) == 1 and not kids[0].with_images:
        name = kids[0].name.casefold()
        if name in PICTURES or split_of(re.split(r"[\s_.-]+", name)[0]):
            return []
    return kids if len(kids) > 1 or not folder.images else []


def are_like_splits(kids: list[Folder]) -> bool:
    """Say whether folders called fold1, fold2 or train-clean, train-noisy hold the same classes each."""
    inside = [{folder.name for folder in kid.with_images} for kid in kids]
    is_same = len(kids) > 1 and len(inside[0]) > 1 and all(names == inside[0] for names in inside)
    return is_same and not holds_splits(kids[0]) and all(LIKE_SPLIT.match(kid.name) for kid in kids)


def hold_the_same(kids: list[Folder]) -> bool:
    """Say whether folders hold folders of the same names each, several of them, and no images beside."""
    inner = [unwrapped(kid)[0] for kid in kids]
    names = {frozenset(folder.name for folder in kid.with_images) for kid in inner}
    return len(names) == 1 and len(names.pop()) > 1 and not any(kid.images for kid in inner)


def holds_splits(folder: Folder) -> bool:
    """Say whether at least two of the folders in a folder are called as different splits are."""
    return len({split_of(kid.name) for kid in folder.with_images} - {None}) > 1


def refuse_splits_inside(kids: list[Folder]) -> None:
    """Raise where folders beside one another hold splits, with class folders in them or as folds of one set.

    Raises:
        DataError: some do.
    """
    holding = [(kid, unwrapped(kid)[0]) for kid in kids]
    holding = [(kid, inner) for kid, inner in holding if holds_splits(inner)]
    are_folds = len(holding) == len(kids) and all(LIKE_SPLIT.match(kid.name) for kid in kids)
    have_classes = any(len(class_folders(split)) > 1 for _, inner in holding for split in inner.with_images)
    if not holding or not (are_folds or have_classes):
        return
    inside = [kid for kid, _ in holding]
    others = some([text_of_path(f"{kid.name}/") for kid in kids if kid not in inside], 3)
    hold = "holds" if len(inside) == 1 else "are folds or parts of one set, and hold" if are_folds else "hold"
    names = {kid.name for _, inner in holding for kid in inner.with_images if split_of(kid.name)}
    splits = some(map(text_of_path, sorted(names)), 3)
    raise DataError(
        f"{some([text_of_path(f'{kid.name}/') for kid in inside], 3)} {hold} splits ({splits})"
        f"{f', and beside lies {others}' if others else ''}: give {'it' if len(inside) == 1 else 'one of them'} as "
        "--data."
    )


def holds_splits_alone(folder: Folder) -> bool:
    """Say whether all folders in a folder are called as splits are, and no images lie beside them."""
    kids = folder.with_images
    return bool(kids) and not folder.images and all(split_of(kid.name) for kid in kids)
