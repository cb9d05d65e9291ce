"""Parquet files and folders in Hugging Face layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsi.data.encoding import encode_labels, no_labels, numbers, safe_name
from lsi.data.images import EncodedImages, FileImages, Images
from lsi.data.record import Dataset
from lsi.data.sources.splits import ALL, SPLITS, check_split, same_split, split_of_file
from lsi.data.sources.tables import from_table, rows_of_split
from lsi.errors import DataError

LABEL_COLUMNS = ("label", "labels", "fine_label", "target")


def from_parquet(path: Path, split: str, targets: tuple[str, ...] = ()) -> Dataset:
    """Return a Parquet file or folder: Hugging Face layout (`image`, `label`), or a manifest (`path`, `label`).

    Args:
        path: the file, or the folder with shards; their names or folders may begin with their split.
        split: which split, by file name, folder or the column split; "all" for every one.
        targets: names of columns of numbers to predict.

    Raises:
        DataError: not readable as Parquet, or the split or a column is missing.
    """
    shards = _shards(path, split)
    table = _read(shards, path)
    if "image" not in table.column_names:
        return from_table(table.to_pandas(), path, split, targets)
    column = table["split"].to_pylist() if "split" in table.column_names else None
    rows = rows_of_split(column, split, path, table.num_rows)
    table = table.take(rows) if len(rows) < table.num_rows else table
    label_column = next((c for c in LABEL_COLUMNS if c in table.column_names and c not in targets), None)
    labels, names = no_labels(table.num_rows)
    if label_column is not None:
        labels, names = encode_labels(table[label_column].to_pylist(), _class_names(table.schema, label_column))
    images, names_in_file = _images(table["image"], rows, path)
    name = safe_name(path.parent.name + "-" + path.stem if path.stem in SPLITS else path.stem)
    return Dataset(
        name,
        names_in_file,
        labels,
        names,
        images,
        split=None if column is None else np.array([str(column[i]) for i in rows]),
        text=np.array(table["text"].to_pylist(), dtype=object) if "text" in table.column_names else None,
        index=rows,
        targets=numbers({c: table[c].to_pylist() for c in table.column_names if c in targets}, targets, path),
        target_names=targets,
        is_labelled=label_column is not None,
        files=tuple(shards),
    )


def _shards(path: Path, split: str) -> list[Path]:
    """Return the files of a split, in the order of their names."""
    if path.is_file():
        return [path]
    files = [f for f in sorted(path.rglob("*.parquet")) if not f.name.startswith(".")]
    splits = {f: split_of_file(f.relative_to(path)) for f in files}
    known = {s for s in splits.values() if s is not None}
    if not known or split == ALL:
        return files
    check_split(split, known, path)
    return [f for f in files if splits[f] == same_split(split)]


def _read(files: list[Path], path: Path) -> pa.Table:
    try:
        return pa.concat_tables([pq.ParquetFile(f).read() for f in files], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise DataError(f"{path}: not readable as Parquet ({error}).") from error


def _images(column: pa.ChunkedArray, rows: np.ndarray, path: Path) -> tuple[Images, np.ndarray]:
    """Return the images of a column of bytes or of {bytes, path}, and an id for each."""
    values: Any = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks else pa.array([], column.type)
    is_struct = pa.types.is_struct(values.type)
    has_paths = is_struct and values.type.get_field_index("path") >= 0
    paths: list[Any] = values.field("path").to_pylist() if has_paths else [None] * len(values)
    content = values.field("bytes") if is_struct else values
    ids = np.array([f"{row:06d}" + (f"/{p}" if p else "") for row, p in zip(rows, paths, strict=True)])
    if content.null_count == len(content) and has_paths:
        return FileImages([(path if path.is_dir() else path.parent) / str(p) for p in paths]), ids
    return EncodedImages(content, ids.tolist()), ids


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Return the class names that Hugging Face's metadata give a label column."""
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return None
    try:
        return json.loads(raw)["info"]["features"][column].get("names")
    except (ValueError, KeyError, AttributeError):
        return None
