"""Boxes of detection data as samples: each box is cropped from its image, and its class is the label."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from lsi.data.crops import CroppedImages
from lsi.data.images import SUFFIXES
from lsi.data.labels import LabelRules
from lsi.data.naming import safe_name, text_of_path
from lsi.data.plan import counted
from lsi.data.sources.boxes.coco import coco_files, read_coco
from lsi.data.sources.boxes.table import OTHER, BoxTable
from lsi.data.sources.boxes.voc import is_voc, read_voc
from lsi.data.sources.boxes.yolo import is_yolo, read_yolo
from lsi.data.sources.columns import refuse_columns
from lsi.data.sources.confined import check_reference
from lsi.data.sources.samples import DEFAULT_SPLIT, Options, Samples
from lsi.data.sources.tree_images import images_in
from lsi.data.trees import LocalTree, Tree
from lsi.data.trees.filenames import suffix_of, without_junk
from lsi.errors import DataError

_READERS: dict[str, Callable[[Tree, list[str]], BoxTable]] = {
    "COCO": read_coco,
    "YOLO": read_yolo,
    "Pascal VOC": read_voc,
}


def find_boxes(names: Iterable[str]) -> str | None:
    """Return the format of the boxes that lie among files, by the files' names; None where there are none."""
    return next(iter(_formats(list(without_junk(names)))), None)


def _formats(names: list[str]) -> list[str]:
    is_there = {"COCO": bool(coco_files(names)), "YOLO": is_yolo(names), "Pascal VOC": is_voc(names)}
    return [kind for kind, found in is_there.items() if found]


def read_boxes(tree: Tree, options: Options) -> Samples:
    """Return one sample a box, its class as label.

    Args:
        tree: images and annotations: COCO, YOLO or Pascal VOC.
        options: no column can be named; the split is chosen later.

    Raises:
        DataError: there are no boxes, or an annotation is not what it should be; the message has file and entry.
    """
    refuse_columns(options.columns, f"{tree.name}: each box is a sample")
    names = list(without_junk(tree.names()))
    formats = known = _formats(names)
    if not formats and any(suffix_of(name) == ".json" for name in names):
        formats = ["COCO"]  # under a name of its own: the content decides
    table = _READERS[formats[0]](tree, names) if formats else None
    if table is None or not (known or table.boxes or any(table.left_out.counts().values())):
        raise DataError(
            f"{tree.name}: --boxes: expected boxes of COCO (instances_*.json), YOLO (labels/*.txt beside images/) or "
            "Pascal VOC (*.xml), found none."
        )
    if not table.boxes:
        raise _no_boxes(tree.name, formats[0], table)
    if len(formats) > 1:
        table.notes.append(f"There are {' and '.join(formats[1:])} boxes as well; those of {formats[0]} are read.")
    return _samples(table, tree)


def read_boxes_of_file(tree: Tree, name: str, options: Options) -> Samples:
    """Return one sample for each box of one annotation file of COCO, whatever else lies beside it.

    The images lie in its folder or below; where there are none, in the folder above or below that.

    Args:
        tree: the folder of the file.
        name: of the file.
        options: no column can be named; the split that the file's name says is read where no other is asked for.

    Raises:
        DataError: the file is no such annotation, or holds no box of an image that is there.
    """
    where = f"{tree.name}/{text_of_path(name)}"
    refuse_columns(options.columns, f"{where}: each box is a sample")
    names, wider = list(without_junk(tree.names())), tree
    root = tree.path("")
    if root is not None and not any(suffix_of(n) in SUFFIXES for n in names):
        folder = root.resolve()
        check_reference(tree, [str(folder.parent)])
        wider, name = LocalTree(folder.parent), f"{folder.name}/{name}"
        names = list(without_junk(wider.names()))
    table = read_coco(wider, names, name)
    if root is not None:
        check_reference(tree, [str(wider.path(image)) for image in table.images])
    if not table.boxes:
        raise _no_boxes(where, "COCO", table)
    samples = replace(_samples(table, wider), name=safe_name(PurePosixPath(name).stem), place=where)
    split = table.splits[0]
    if split is None or options.split != DEFAULT_SPLIT or split == DEFAULT_SPLIT:
        return samples
    note = f"{where} was given by itself, so it is read, though it is the split {split}."
    return replace(samples, splits=None, source_lengths={"": table.lengths[split]}, notes=(*samples.notes, note))


def _no_boxes(where: str, kind: str, table: BoxTable) -> DataError:
    reasons = "; ".join(f"{count:,} {what}" for what, count in table.left_out.counts().items())
    return DataError(f"{where}: --boxes: expected {kind} boxes, found none{f': {reasons}' if reasons else ''}.")


def _samples(table: BoxTable, tree: Tree) -> Samples:
    order = np.lexsort((table.number, table.owner))  # the boxes of an image one after the other: it is decoded once
    owner = np.asarray(table.owner, dtype=np.int64)[order]
    shown = [text_of_path(name) for name in table.images]
    ids = [f"{shown[table.owner[i]]}#{table.number[i]}" for i in order]
    boxes = np.asarray(table.boxes, dtype=np.float64)[order]
    has_splits = any(split is not None for split in table.splits)
    images = images_in(tree, table.images)
    used = len(set(table.owner))
    return Samples(
        safe_name(PurePosixPath(tree.name).name.partition(".")[0]),
        tree.name,
        f"{table.kind} boxes",
        ids,
        CroppedImages(images, boxes, owner, ids, table.unit, np.asarray(table.sizes, dtype=np.int64).reshape(-1, 2)),
        [table.labels[i] for i in order],
        LabelRules(f"{tree.name}, class names", is_text=True),
        [table.splits[i] or OTHER for i in order] if has_splits else None,
        np.asarray(table.rows, dtype=np.int64)[order],
        {(split or OTHER) if has_splits else "": n for split, n in table.lengths.items()},
        metadata=_metadata(table, order, boxes, [shown[i] for i in owner]),
        columns={"image": "crop of each box", "label": "class of the box"},
        files=_files(table, tree),
        ignored=table.left_out.counts() | tree.left_out(),
        noun="boxes",
        notes=(f"Each box is a sample: {counted(len(ids), 'box')} in {counted(used, 'image')}.", *table.notes),
    )


def _metadata(table: BoxTable, order: np.ndarray, boxes: np.ndarray, images: list[str]) -> pd.DataFrame:
    """Return place and size of each box in the unit of its annotation, its image, and what else is said of it."""
    place = {name: boxes[:, i] for i, name in enumerate(("x", "y", "width", "height"))}
    others = pd.DataFrame([table.fields[i] for i in order], dtype=object)  # whole numbers beside a gap stay whole
    others = others.rename(columns={name: f"annotation.{name}" for name in (*place, "image") if name in others})
    return pd.concat([pd.DataFrame({**place, "image": images}), others], axis=1)


def _files(table: BoxTable, tree: Tree) -> tuple[Path, ...]:
    """Return the files that hold the boxes of several images, or the archive that everything lies in."""
    archive = getattr(tree, "file", None)
    if isinstance(archive, Path):
        return (archive,)
    return tuple(path for name in table.files if (path := tree.path(name)) is not None)
