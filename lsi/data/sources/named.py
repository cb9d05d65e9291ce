"""Files of labels or targets beside the data: which array or column is meant."""

from pathlib import Path
from typing import Any

import numpy as np

from lsi.data.images import SUFFIXES
from lsi.data.naming import is_index
from lsi.data.sources.arrays import ARRAYS, load_arrays
from lsi.data.sources.columns import Wanted, assign_roles, key_columns
from lsi.data.sources.tables import TABLES, read_frame
from lsi.data.sources.text_tables import SEPARATED, parquet_columns
from lsi.data.trees import LocalTree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError


def read_named(specification: str, option: str, usual: tuple[str, ...]) -> tuple[str, dict[str, np.ndarray]]:
    """Return which array PATH[:KEY] names, and all arrays or columns of that file.

    Args:
        specification: PATH or PATH:KEY.
        option: what a message names.
        usual: names of arrays to look for where no KEY is given.

    Raises:
        DataError: there is no such file or array, or there are several beside an index and names of samples, and none
            is called as usual.
    """
    path_text, _, name = specification.rpartition(":") if not Path(specification).exists() else (specification, "", "")
    path = Path(path_text or specification)
    if not path.is_file():
        raise DataError(f"{option}: no such file: {path}.")
    arrays, index = _columns(path, option)
    if path.suffix.lower() in SEPARATED and name not in arrays:
        _refuse_no_header(arrays, f"{option}: {path}")
    naming = {*index, *filter(is_index, arrays), *(column for column, _ in key_columns(list(arrays)))}
    possible = [column for column in arrays if column not in naming] or list(arrays)
    if not name and len(possible) > 1 and not set(usual) & set(arrays):
        role = assign_roles(list(arrays), Wanted(), option).label if "label" in usual else None
        if role is None:
            raise DataError(f"{option}: {path} holds {', '.join(arrays)}: say which with {path}:NAME.")
        name = role
    name = name or next((k for k in usual if k in arrays), possible[0])
    if name not in arrays:
        raise DataError(f"{option}: {path} holds {', '.join(arrays)}, not {name!r}.")
    return name, arrays


def _columns(path: Path, option: str) -> tuple[dict[str, Any], list[str]]:
    """Return the arrays or columns of a file, and which of them are the index of the dataframe that was saved."""
    suffix = path.suffix.lower()
    if suffix in TABLES:
        frame, _ = read_frame(LocalTree(path.parent), path.name)
        return {str(c): frame[c].to_numpy(dtype=object) for c in frame.columns}, []
    if suffix in (".parquet", ".pq"):
        return parquet_columns(path)
    if suffix not in ARRAYS:
        raise DataError(
            f"{option}: expected a file of the kinds {', '.join((*ARRAYS, *TABLES, '.parquet'))}, got {path}."
        )
    return load_arrays(path), []


def _refuse_no_header(columns: dict[str, Any], where: str) -> None:
    """Raise where the first line of a table names an image, or holds words alone that stand below them as well.

    Raises:
        DataError: it does.
    """
    names_image = any(suffix_of(column) in SUFFIXES for column in columns)
    if names_image or all(not column.isdigit() and (values == column).any() for column, values in columns.items()):
        raise DataError(
            f"{where}: the first line is no header ({', '.join(columns)}): put names of columns above it, such as "
            "path,label."
        )
