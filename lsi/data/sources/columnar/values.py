"""Columns of Parquet and Arrow files as labels, features, and whatever is kept beside."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lsi.data.labels import LabelRules
from lsi.data.sources.columnar.types import ColumnFile, is_bytes, is_text, reported
from lsi.data.sources.columns import OPTIONS
from lsi.errors import DataError

MOST_METADATA = 2**29  # bytes of a column that is kept beside


def hub_features(file: ColumnFile, info: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the Hub's metadata say of each column, none where there are no such metadata.

    Args:
        file: whose schema may hold them.
        info: content of the dataset_info.json beside it, if there is one.
    """
    try:
        found = json.loads((file.schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (ValueError, KeyError, TypeError):
        found = (info or {}).get("features")
    return found if isinstance(found, dict) else {}


def class_names(feature: Any) -> list[str] | None:
    """Return the class names of a column, by what the Hub's metadata say of it or of the lists in it."""
    while isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if not isinstance(feature, dict):
        return None
    names = feature.get("names")
    return [str(name) for name in names] if isinstance(names, list) and names else class_names(feature.get("feature"))


def is_vector(kind: pa.DataType) -> bool:
    """Say whether a type holds lists of numbers."""
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests) and (
        pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
    )


def holds_bytes(kind: pa.DataType) -> bool:
    """Say whether there are bytes anywhere in a type."""
    return is_bytes(kind) or any(holds_bytes(kind.field(i).type) for i in range(kind.num_fields))


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without a dictionary and without a type of somebody else's."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def labels(
    files: Sequence[ColumnFile], columns: Sequence[pa.ChunkedArray], features: Sequence[Any], where: str
) -> tuple[list[Any], LabelRules]:
    """Return the values of a label column of all files, and how they are understood.

    Where one file holds class names as text and another their numbers, or their lists of names differ, numbers become
    names.

    Args:
        files: that the columns come from.
        columns: the label column of each file.
        features: what the Hub's metadata say of it, for each file.
        where: what messages name.

    Raises:
        DataError: a value cannot be read.
    """
    values: list[list[Any]] = []
    for file, column in zip(files, columns, strict=True):
        with reported(f"{file.place}, column of labels"):
            values.append(plain(column).to_pylist())
    names = [class_names(feature) for feature in features]
    is_hub = any(feature is not None for feature in features)
    given = list(dict.fromkeys(tuple(n) for n in names if n is not None))
    are_texts = {is_text(column.type) for column, part in zip(columns, values, strict=True) if part}
    if given and (len(given) > 1 or len(are_texts) > 1):
        values = [[_name(v, n or given[0]) for v in part] for part, n in zip(values, names, strict=True)]
        given = []
    flat = [value for part in values for value in part]
    return flat, LabelRules(where, given[0] if given else None, minus_one_is_missing=is_hub)


def _name(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return value
    return names[int(value)] if value == int(value) and 0 <= value < len(names) else value


def vectors(files: Sequence[ColumnFile], name: str, dtype: type = np.float32) -> np.ndarray:
    """Return a column of lists of numbers as an array (n, d), read file by file.

    Args:
        files: that the column is in.
        name: of the column.
        dtype: of the array.

    Raises:
        DataError: a row is missing, of another length, or holds no number or an infinite one.
    """
    values: np.ndarray | None = None
    done = 0
    for file in files:
        where, start = f"{file.place}, column {name}", done
        if name not in file.schema.names:
            raise DataError(f"{file.place}: no column {name}; there are {', '.join(file.schema.names)}.")
        for chunk in plain(file.read([name])[name]).chunks:
            with reported(where):
                lengths = pc.list_value_length(chunk).fill_null(-1).to_numpy(zero_copy_only=False)  # type: ignore[attr-defined]
            if values is None:
                width = next((int(length) for length in lengths if length > 0), 1)
                values = np.empty((sum(f.n_rows for f in files), width), dtype)
            _fill(values[done : done + len(chunk)], chunk, lengths, where, done - start)
            done += len(chunk)
    return np.empty((0, 0), dtype) if values is None else values


def _fill(rows: np.ndarray, chunk: pa.Array, lengths: np.ndarray, where: str, first: int) -> None:
    """Write lists of numbers into rows (n, d); `first` is the row of their file that they begin with."""
    width = rows.shape[1]
    wrong = np.flatnonzero(lengths != width)
    if len(wrong):
        got = "nothing" if lengths[wrong[0]] < 0 else lengths[wrong[0]]
        raise DataError(f"{where}, row {first + int(wrong[0])}: expected a list of {width} numbers, got {got}.")
    with reported(where), np.errstate(over="ignore"):
        rows[:] = chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        row = first + int(wrong[0])
        raise DataError(f"{where}, row {row}: expected {width} numbers; one is missing, NaN or infinite.")


def kept_columns(files: Sequence[ColumnFile], columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return those of the other columns that can be kept beside, and sentences on those that cannot.

    Args:
        files: that the columns may be in.
        columns: their names.
    """
    kept, notes = [], []
    for column in columns:
        there = [file for file in files if column in file.schema.names]
        kinds = [file.schema.field(column).type for file in there]
        is_image = any(pa.types.is_struct(kind) and holds_bytes(kind) for kind in kinds)
        if is_image:
            instead = f"{OPTIONS['image']} {column} takes it for the image"
            notes.append(f"The column {column} holds images or other files as well: left out; {instead}.")
        elif any(map(holds_bytes, kinds)):
            notes.append(f"The column {column} holds bytes: left out.")
        elif sum(file.size(column) for file in there) > MOST_METADATA:
            notes.append(f"The column {column} is larger than {MOST_METADATA >> 20} MiB: left out.")
        else:
            kept.append(column)
    return kept, notes


def metadata(columns: Mapping[str, Sequence[pa.ChunkedArray]]) -> tuple[pd.DataFrame | None, list[str]]:
    """Return columns as a frame of numbers, texts, dates and truth values, and sentences on what was changed.

    Args:
        columns: by name, the column of each file.
    """
    series: dict[str, pd.Series] = {}
    notes = []
    for name, parts in columns.items():
        try:
            series[name], note = _series([plain(part) for part in parts])
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            note = f"cannot be read ({str(error).splitlines()[0]}): left out"
        if note:
            notes.append(f"The column {name} {note}.")
    return (pd.DataFrame(series) if series else None), notes


def _series(parts: Sequence[pa.ChunkedArray]) -> tuple[pd.Series, str]:
    kinds = {part.type for part in parts if not pa.types.is_null(part.type)}
    note = ""
    if any(pa.types.is_nested(kind) for kind in kinds):
        texts = [None if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, default=str)
                 for part in parts for v in part.to_pylist()]  # fmt: skip
        return pd.Series(texts), "holds lists or structs: kept as JSON text"
    try:
        joined = pa.concat_tables([pa.table({"x": part}) for part in parts], promote_options="permissive")["x"]
    except pa.ArrowException:
        joined = pa.chunked_array([chunk for part in parts for chunk in part.cast(pa.string()).chunks], pa.string())
        note = f"holds {' and '.join(sorted(map(str, kinds)))} in different files: kept as text"
    if pa.types.is_decimal(joined.type):
        joined = joined.cast(pa.float64())
    elif pa.types.is_date(joined.type) or pa.types.is_time(joined.type) or pa.types.is_duration(joined.type):
        joined = joined.cast(pa.string())
    if pa.types.is_integer(joined.type) and joined.null_count:  # as floats they would lose digits
        whole = pd.UInt64Dtype() if pa.types.is_uint64(joined.type) else pd.Int64Dtype()
        return joined.to_pandas(types_mapper=lambda _: whole), note
    return joined.to_pandas(), note
