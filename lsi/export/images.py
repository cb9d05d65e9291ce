"""The kept images themselves, under their new labels: a folder by copy or link, or Hugging Face Parquet.

The originals are read, never changed: a copy is the original file byte for byte where there is one, a PNG otherwise.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsi.data.images import Images, encoded
from lsi.errors import DataError, UsageError
from lsi.export.lists import check_folder
from lsi.export.selection import Selection
from lsi.files import atomic
from lsi.runs.images import RunImages
from lsi.runs.run import Run

ImageFormat = Literal["copy", "link", "huggingface"]
_ROWS = 1_000
_NAMED = 10  # so many changed images a message names


def write_images(run: Run, selection: Selection, folder: Path, how: ImageFormat) -> Path:
    """Write the kept images below `folder` and return what was written.

    Args:
        run: the run.
        selection: which images stay, and their new labels.
        folder: where to write; copy and link make `images/<class>/<index>.<suffix>` in it.
        how: copy, link (symbolic, for images that lie in files), or huggingface (`train.parquet`).

    Raises:
        UsageError: the run has no images, the folder is its own or holds images already, or there are no files to
            link to.
        DataError: images have changed since the run or are no longer there; the message names them.
    """
    check_folder(run, folder)
    images = run.images
    if images is None:
        raise UsageError(f"{run.name} has no images to write.")
    refuse_changed(images, selection.kept)
    labels = run.scores["given_label"].to_numpy().astype(np.int64)
    labels[list(selection.relabelled)] = list(selection.relabelled.values())
    if how == "huggingface":
        return _parquet(run, selection, images, labels, folder / "train.parquet")
    return _folder(run, selection, images, labels, folder / "images", link=how == "link")


def refuse_changed(images: RunImages, positions: np.ndarray) -> None:
    """Raise where images are not those that the run was computed on.

    Raises:
        DataError: with the first of them by name.
    """
    changes = images.changes(positions)
    if changes:
        first = "; ".join(f"{images.name(i)} {reason}" for i, reason in list(changes.items())[:_NAMED])
        more = f"; and {len(changes) - _NAMED:,} more" if len(changes) > _NAMED else ""
        raise DataError(
            f"{len(changes):,} of the {len(positions):,} images to write are not those that the run was computed on: "
            f"{first}{more}. Put them back, exclude them, or compute the run again."
        )


def _folder(run: Run, selection: Selection, images: Images, labels: np.ndarray, root: Path, link: bool) -> Path:
    if root.exists():
        raise UsageError(f"{root} is there already: export into a new folder, so that nothing is mixed or overwritten.")
    first = images.source(int(selection.kept[0])) if len(selection.kept) else None
    if link and not isinstance(first, Path):
        raise UsageError("These images do not lie in files of their own: copy them instead of linking.")
    index, temporary = run.scores["index"].to_numpy(), root.with_name(f".{root.name}.{os.getpid()}.tmp")
    try:
        names = _folder_names(run.class_names)
        for position in map(int, selection.kept):
            place = temporary / names[labels[position]]
            place.mkdir(parents=True, exist_ok=True)
            source = images.source(position) if link else None
            if isinstance(source, Path):
                (place / f"{index[position]}{source.suffix}").symlink_to(source.resolve())
                continue
            data, suffix = encoded(images, position)
            (place / f"{index[position]}{suffix}").write_bytes(data)
        temporary.mkdir(parents=True, exist_ok=True)
        temporary.replace(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


def _folder_names(class_names: list[str]) -> list[str]:
    """Return a folder name for each class: its own where that is safe, with its number where two would be one."""
    safe = [re.sub(r"[^\w .-]", "_", name).strip(" .")[:80] or "class" for name in class_names]
    return [name if safe.count(name) == 1 else f"{name}-{c}" for c, name in enumerate(safe)]


def _parquet(run: Run, selection: Selection, images: Images, labels: np.ndarray, path: Path) -> Path:
    index = run.scores["index"].to_numpy()
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features: dict[str, Any] = {"image": {"_type": "Image"}, "source_index": {"dtype": "int64", "_type": "Value"}}
    fields = [("image", image), ("source_index", pa.int64())]
    if run.task == "classification":
        features["label"] = {"names": run.class_names, "_type": "ClassLabel"}
        fields.append(("label", pa.int64()))
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, len(selection.kept), _ROWS):
            rows = []
            for position in map(int, selection.kept[start : start + _ROWS]):
                data, suffix = encoded(images, position)
                name = f"{index[position]}{suffix}"
                rows.append({"image": {"bytes": data, "path": name}, "label": int(labels[position]),
                             "source_index": int(index[position])})  # fmt: skip
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return path
