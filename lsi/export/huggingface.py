"""The kept images as Parquet in Hugging Face's layout, with their labels and everything that came with them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsi.data.images import encoded
from lsi.export.names import Names, portable_name
from lsi.export.selection import Selection
from lsi.export.tables import final_labels, plan_of, source_columns, splits_of
from lsi.export.untouched import refuse_sources
from lsi.files import atomic
from lsi.runs.images import RunImages
from lsi.runs.run import Run

MOST_BYTES, MOST_ROWS = 64 * 2**20, 1_000  # of a row group, which readers hold in memory whole
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_OWN = ("image", "label", "source_index", "source_id", "split", "text")
_VALUES = frozenset({"bool", "string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                     "float", "double"})  # fmt: skip
_DTYPES = {"double": "float64", "float": "float32"}  # Arrow's names for Hugging Face's


def parquet_files(run: Run, folder: Path) -> dict[str, Path]:
    """Return the file below `folder` that the images of each split are written to, all in one where there is one split.

    Args:
        run: the run.
        folder: of the export.
    """
    splits = splits_of(run)
    several = sorted(set(splits))
    if len(several) < 2:
        return {name: folder / f"{portable_name(_split(run, splits))}.parquet" for name in several}
    taken = Names()
    return {name: folder / "huggingface" / f"{taken.take(name or 'none')}.parquet" for name in several}


def write_parquet(run: Run, selection: Selection, images: RunImages, folder: Path) -> Path:
    """Write the kept images as Parquet and return what was written.

    Columns: image, source_index, source_id, label (of a classification, with the names of the classes), then text,
    numbers to predict and all columns that came with the data, in their own types.

    Args:
        run: the run.
        selection: which images stay, and their new labels.
        images: those of the run.
        folder: where to write `<split>.parquet`; where the run holds several splits, a file for each and a column
            split, in a folder called huggingface.

    Raises:
        UsageError: the run was computed from such a file.
        DataError: an image cannot be read.
    """
    files = parquet_files(run, folder)
    refuse_sources(run, files.values())
    labels, splits = final_labels(run, selection), np.array(splits_of(run), dtype=object)
    several = len(files) > 1
    beside = source_columns(run, _OWN)
    if not several and "split" in beside.column_names and "split" not in run.manifest["dataset"].get("metadata", []):
        beside = beside.drop_columns(["split"])
    beside = _without_dictionaries(beside)
    fields = [pa.field("image", _IMAGE), pa.field("source_index", pa.int64()), pa.field("source_id", pa.string())]
    if run.task == "classification":
        fields.append(pa.field("label", pa.int64()))
    schema = pa.schema([*fields, *(field.remove_metadata() for field in beside.schema)])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": _features(schema, run)}})})
    index, ids = run.scores["index"].tolist(), run.scores["id"].tolist()

    def write(path: Path, positions: np.ndarray) -> None:
        with atomic(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for group, pictures in _groups(images, positions, index):
                columns = [pa.array(pictures, _IMAGE), pa.array([index[i] for i in group], pa.int64()),
                           pa.array([ids[i] for i in group], pa.string())]  # fmt: skip
                if run.task == "classification":
                    columns.append(pa.array(labels[group], pa.int64()))
                rest = beside.take(pa.array(group, pa.int64())).combine_chunks()
                writer.write_table(pa.Table.from_arrays([*columns, *rest.columns], schema=schema), len(group))

    for name, path in files.items():
        write(path, selection.kept[splits[selection.kept] == name])
    return folder / "huggingface" if several else next(iter(files.values()))


def _groups(images: RunImages, positions: np.ndarray, index: list[int]) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield positions and their encoded images, so many that they fit into a row group."""
    group: list[int] = []
    pictures: list[Any] = []
    size = 0
    for position in positions.tolist():
        data, suffix = encoded(images, position)
        if group and (size + len(data) > MOST_BYTES or len(group) == MOST_ROWS):
            yield group, pictures
            group, pictures, size = [], [], 0
        group.append(position)
        pictures.append({"bytes": data, "path": f"{index[position]}{suffix}"})
        size += len(data)
    if group:
        yield group, pictures


def _split(run: Run, splits: list[str]) -> str:
    """Return the one split that a run holds, by its own name; train where nothing says which."""
    asked = run.asked("data").get("split")
    names = [splits[0] if splits else "", plan_of(run).get("split"), asked]
    return next((str(name) for name in names if name and name != "all"), "train")


def _features(schema: pa.Schema, run: Run) -> dict[str, Any]:
    """Return what Hugging Face's metadata say of the columns; others it reads off their types."""
    features: dict[str, Any] = {}
    for field in schema:
        if field.name == "image":
            features["image"] = {"_type": "Image"}
        elif field.name == "label" and run.task == "classification":
            features["label"] = {"names": run.class_names, "_type": "ClassLabel"}
        elif str(field.type) in _VALUES:
            features[field.name] = {"dtype": _DTYPES.get(str(field.type), str(field.type)), "_type": "Value"}
    return features


def _without_dictionaries(table: pa.Table) -> pa.Table:
    """Return the table with categories as their values, as Hugging Face's Parquet has them."""
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table[number].cast(field.type.value_type))
    return table
