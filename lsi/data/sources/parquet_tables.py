"""Tables that lie beside images, Parquet among them: its plain columns, as those of a CSV."""

from pathlib import PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa

from lsi.data.sources.columnar import values as column_values
from lsi.data.sources.columnar.files import open_columns
from lsi.data.sources.text_tables import read_frame
from lsi.data.trees import Tree

PARQUET = ".parquet"
_MOST_FLOATS = 50  # columns: where most of more are such, they are the numbers of vectors


def read_table(tree: Tree, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return a table beside images, one row a sample, and sentences on how it was read.

    Of Parquet, columns of bytes, lists and structs are left out; where there are no two others, or most of many are
    the numbers of vectors, the table says nothing of the images, and all are.

    Args:
        tree: where the table lies.
        name: of the table.

    Raises:
        DataError: the file is no such table.
    """
    if PurePosixPath(name).suffix.lower() != PARQUET:
        return read_frame(tree, name)
    file = open_columns(tree, name)
    flat = [field.name for field in file.schema if not pa.types.is_nested(field.type)]
    columns, _ = column_values.kept_columns([file], flat)
    n_floats = sum(pa.types.is_floating(file.schema.field(column).type) for column in columns)
    if len(columns) < 2 or n_floats > max(_MOST_FLOATS, len(columns) // 2):
        return pd.DataFrame(), ()
    table, features = file.read(columns), column_values.hub_features(file)
    frame, notes = column_values.metadata({column: [table[column]] for column in columns})
    frame = pd.DataFrame() if frame is None else frame
    for column in frame.columns:
        if pa.types.is_duration(table[column].type):
            frame[column] = table[column].to_pandas().astype(str)  # else text of digits, which reads as a number
        names = column_values.class_names(features.get(column))
        if names is not None:
            frame[column] = [_name(value, names) for value in table[column].to_pylist()]
    return frame, tuple(notes)


def _name(value: Any, names: list[str]) -> Any:
    """Return the name of a class by its number; −1 stands for none, as in data of the Hugging Face Hub."""
    if not isinstance(value, int) or not -1 <= value < len(names):
        return value
    return None if value == -1 else names[value]
