"""A folder of images: one subfolder per class, splits above them, or images alone."""

from pathlib import Path

import numpy as np

from lsi.data.encoding import encode_labels, no_labels, safe_name
from lsi.data.images import SUFFIXES, FileImages
from lsi.data.record import Dataset
from lsi.data.sources.splits import ALL, SPLITS, check_split, same_split
from lsi.errors import DataError


def from_folder(root: Path, split: str) -> Dataset:
    """Return a folder with one subfolder per class, with splits above them (train/cat/1.jpg), or of images alone.

    Args:
        root: the folder.
        split: which split; "all" for every one; without effect where there are no split folders.

    Raises:
        DataError: there are no images, or there is no such split.
    """
    top = _subfolders(root)
    split_folders = [p for p in top if p.name.casefold() in SPLITS]
    has_splits = bool(split_folders) and len(split_folders) == len(top)
    if has_splits:
        check_split(split, (p.name for p in split_folders), root)
    rows: list[tuple[Path, str, str]] = []
    for folder in split_folders if has_splits else [root]:
        if has_splits and split != ALL and same_split(folder.name) != same_split(split):
            continue
        for group in _subfolders(folder):
            files = sorted(f for f in group.rglob("*") if _is_image(f))
            rows += [(f, group.name, folder.name if has_splits else "") for f in files]
    is_labelled = bool(rows)
    if not rows:
        rows = [(f, "", "") for f in sorted(root.iterdir()) if _is_image(f)]
    if not rows:
        raise DataError(f"{root}: expected image files, or one subfolder per class with image files in it, found none.")
    labels, names = encode_labels([r[1] for r in rows]) if is_labelled else no_labels(len(rows))
    return Dataset(
        safe_name(root.name),
        np.array([str(path.relative_to(root)) for path, _, _ in rows]),
        labels,
        names,
        FileImages([path for path, _, _ in rows]),
        split=np.array([r[2] for r in rows]) if has_splits else None,
        is_labelled=is_labelled,
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
