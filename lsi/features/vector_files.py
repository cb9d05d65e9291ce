"""Files of ready vectors: rows of numbers with what they belong to, from .npy, .npz, Parquet or CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lsi.data.naming import is_index
from lsi.data.npz import read_npz
from lsi.errors import DataError
from lsi.features.vector_keys import LOOKED_AT, checked_keys, guessed_keys, is_guess, key_names, usual_keys
from lsi.references import split_file

_COLUMNS = ("class_names", "classes", "columns")
# numbers in a table that are no part of a vector unless they are asked for
_OTHER_NUMBERS = frozenset(
    {"label", "labels", "class", "category", "target", "targets", "given_label", "y", "split", "subset", "fold",
     "row", "n", "width", "height", "annotation_id"}
)  # fmt: skip
SUFFIXES = (".npy", ".npz", ".parquet", ".csv", ".tsv")


@dataclass(frozen=True)
class VectorFile:
    """What a file of vectors holds.

    Attributes:
        path: of the file.
        values: (m, d) numbers as they lie there, memory-mapped where the file allows.
        keys: (m,) texts that say which sample a row belongs to, by the name of their column, the surest first; none
            where the file names no samples.
        columns: d names of the numbers, or none.
        ignored: names of columns that were not read.
        passed_over: indices of dataframes whose texts tell no rows apart.
        guessed: names of keys that are texts under a name that says nothing.
    """

    path: Path
    values: np.ndarray
    keys: Mapping[str, np.ndarray]
    columns: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


def read_vectors(specification: str, option: str, usual: tuple[str, ...], wanted: Sequence[str] = ()) -> VectorFile:
    """Return the vectors in PATH[:KEY].

    Args:
        specification: the file, and which array or column, or the start of the names of which columns.
        option: what a message names.
        usual: names of arrays and columns to look for where no KEY is given.
        wanted: names of single columns to take, in this order, where all of them are there.

    Raises:
        DataError: there is no such file, it cannot be read, or it holds no such vectors.
    """
    path, name = split_file(specification)
    if not path.is_file():
        raise DataError(f"--{option}: no such file: {path}.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"--{option}: expected a file of the kinds {', '.join(SUFFIXES)}, got {path}.")
    found = _from_arrays(path, name, usual) if suffix in (".npy", ".npz") else _from_table(path, name, usual, wanted)
    if found.values.ndim != 2 or found.values.dtype.kind not in "fiu" or not found.values.shape[1]:
        raise DataError(
            f"{path}: expected numbers of shape (samples, {usual[0]}), got {found.values.dtype} of shape "
            f"{found.values.shape}."
        )
    keys = checked_keys(path, found.keys, len(found.values))
    passed_over = tuple(c for c in found.keys if is_index(c) and c not in keys)
    return replace(found, keys=keys, passed_over=passed_over, guessed=tuple(c for c in keys if is_guess(path, c)))


def _from_arrays(path: Path, name: str, usual: tuple[str, ...]) -> VectorFile:
    arrays = read_npz(path)
    if isinstance(arrays, np.ndarray):
        if name:
            raise DataError(f"{path}: an .npy file holds one array; leave :{name} out.")
        return VectorFile(path, arrays, _keys_beside(path))
    keys = key_names({k: v.dtype.kind in "US" for k, v in arrays.items() if v.ndim == 1})
    keys = keys or guessed_keys({k: v for k, v in arrays.items() if v.ndim == 1 and v.dtype.kind in "US"})
    columns = _first(arrays, _COLUMNS)
    chosen = name or _first(arrays, usual)
    if not chosen:
        matrices = [k for k, v in arrays.items() if v.ndim == 2 and v.dtype.kind in "fiu"]
        chosen = matrices[0] if len(matrices) == 1 else ""
    if chosen not in arrays:
        raise DataError(f"{path}: it holds {', '.join(arrays)}: say which are the vectors with {path}:NAME.")
    values = arrays[chosen]
    names = _texts(arrays[columns]).tolist() if columns and values.ndim == 2 else []
    fitting = tuple(names) if len(names) == values.shape[-1] else ()
    return VectorFile(path, values, {key: _texts(arrays[key]) for key in keys if key != chosen}, fitting)


def ids_beside(path: Path) -> Path | None:
    """Return the file of ids beside NAME.npy, NAME_ids.npy or NAME_ids.txt; None where there is none."""
    if path.suffix.lower() != ".npy":
        return None
    names = (path.with_name(f"{path.stem}_ids{suffix}") for suffix in (".npy", ".txt"))
    return next((file for file in names if file.is_file()), None)


def _keys_beside(path: Path) -> dict[str, np.ndarray]:
    """Return the ids in the file beside NAME.npy, in a text a line each; nothing where there are none."""
    lines = ids_beside(path)
    if lines is None:
        return {}
    if lines.suffix == ".npy":
        found = read_npz(lines)
        return {lines.name: _texts(found)} if isinstance(found, np.ndarray) else {}
    try:
        return {lines.name: np.array(lines.read_text(encoding="utf-8-sig").splitlines(), dtype=object)}
    except UnicodeDecodeError:
        raise DataError(f"{lines}: expected ids as UTF-8 text, a line each.") from None


def _from_table(path: Path, name: str, usual: tuple[str, ...], wanted: Sequence[str]) -> VectorFile:
    table, keys = (_parquet if path.suffix.lower() == ".parquet" else _csv)(path, wanted)
    rest = {c: v for c, v in table.items() if c not in keys}
    lists = [c for c, v in rest.items() if _is_list_type(v.type)]
    columns: list[str] = []
    if wanted and all(c in rest for c in wanted):
        columns = list(wanted)
    elif name in lists or (not name and lists):
        one = name or _first({c: rest[c] for c in lists}, usual) or (lists[0] if len(lists) == 1 else "")
        if not one:
            raise DataError(f"{path}: the columns {', '.join(lists)} hold lists: say which with {path}:NAME.")
        return VectorFile(path, _stacked(path, one, rest[one]), _key_columns(table, keys))
    else:
        columns = [
            c for c, v in rest.items() if _is_number_type(v.type) and (c.startswith(name) if name else not _is_other(c))
        ]
    if not columns:
        called = f" called {name}…" if name else ""
        raise DataError(f"{path}: expected a column of lists or columns of numbers{called}, got {', '.join(table)}.")
    values = np.stack([_as_numbers(path, c, rest[c]) for c in columns], axis=1)
    ignored = tuple(c for c, v in rest.items() if c not in columns and _is_number_type(v.type))
    return VectorFile(path, values, _key_columns(table, keys), tuple(columns), ignored)


def _parquet(path: Path, wanted: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the columns that may matter, as Arrow arrays, and which hold ids; images and the like stay unread."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        texts = {f.name: pa.types.is_string(f.type) or pa.types.is_large_string(f.type) for f in schema}
        keys = key_names({f.name: texts[f.name] for f in schema
                           if f.name not in wanted and (texts[f.name] or _is_number_type(f.type))})  # fmt: skip
        others = [c for c, is_text in texts.items() if is_text and c not in wanted]
        if others and not keys:
            with pq.ParquetFile(path) as file:
                heads = [*islice(file.iter_batches(LOOKED_AT, columns=others), 1)]
            keys = guessed_keys({c: np.array(h[c].to_pylist(), dtype=object) for h in heads for c in others})
        simple = [f.name for f in schema if f.name in keys or _is_number_type(f.type) or _is_list_type(f.type)]
        table = pq.read_table(path, columns=simple)
    except Exception as error:  # Arrow's errors and those of the file system
        raise DataError(f"{path}: not readable as Parquet ({type(error).__name__}: {error}).") from error
    return {name: table[name] for name in table.column_names}, keys


def _csv(path: Path, wanted: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the columns as Arrow arrays, and which hold ids; texts such as "[0.1, 0.2]" become lists."""
    import pandas as pd
    import pyarrow as pa

    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        how: dict[str, Any] = {"sep": max(",;\t", key=header.count), "encoding": "utf-8-sig"}
        names = [str(c) for c in pd.read_csv(path, nrows=0, **how).columns]
        as_text: Any = dict.fromkeys(usual_keys([c for c in names if c not in wanted]), str)  # 007 stays 007
        frame = pd.read_csv(path, converters=as_text, low_memory=False, **how)
        is_text = {c: frame[c].dtype.kind not in "fiub" for c in names if c not in wanted}
        keys = key_names(is_text)
        keys = keys or guessed_keys({c: frame[c].to_numpy(dtype=object) for c, is_one in is_text.items() if is_one})
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected UTF-8 text: save the table as CSV UTF-8.") from None
    except Exception as error:  # pandas raises many kinds
        raise DataError(f"{path}: not readable as a table ({type(error).__name__}: {error}).") from error
    if all(_is_decimal(c) for c in names):
        raise DataError(f"{path}: expected a first line with the names of the columns, got {header.strip()[:40]}.")
    table = {}
    for name, values in ((str(c), frame[c]) for c in frame.columns):
        if name in keys or values.dtype.kind in "fiu":
            table[name] = pa.array(values)
        elif len(values) and str(values.iloc[0]).startswith("["):
            table[name] = pa.array(_lists(path, name, values))
        else:
            table[name] = pa.nulls(len(values))
    return table, keys


def _is_decimal(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text.strip().isdigit()


def _lists(path: Path, name: str, texts: Any) -> list[list[float]]:
    rows = []
    for number, text in enumerate(texts, 1):
        try:
            rows.append([float(v) for v in str(text).strip().strip("[]").replace(",", " ").split()])
        except ValueError:
            raise DataError(f"{path}, row {number}: expected a list of numbers in column {name}, got "
                            f"{str(text)[:40]}.") from None  # fmt: skip
    return rows


def _stacked(path: Path, name: str, column: Any) -> np.ndarray:
    """Return a column of lists as (m, d), chunk by chunk."""
    parts, width = [], None
    for chunk in column.chunks if hasattr(column, "chunks") else [column]:
        lengths = np.asarray(chunk.value_lengths().fill_null(-1)) if len(chunk) else np.zeros(0, int)
        width = int(lengths[0]) if width is None and len(lengths) else width
        odd = np.flatnonzero(lengths != width)
        if len(odd) or (width or 0) < 0:
            row = sum(map(len, parts)) + (int(odd[0]) if len(odd) else 0)
            said = "nothing" if lengths[odd[0] if len(odd) else 0] < 0 else f"{lengths[odd[0]]}"
            raise DataError(
                f"{path}, row {row + 1}: expected {max(width or 0, 1)} numbers in column {name}, got {said}."
            )
        flat = chunk.flatten()
        parts.append(np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(chunk), width or 0))
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def _is_list_type(kind: Any) -> bool:
    """Say whether an Arrow type is one of lists of numbers."""
    import pyarrow as pa

    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and _is_number_type(kind.value_type)


def _is_number_type(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _as_numbers(path: Path, name: str, column: Any) -> np.ndarray:
    if not _is_number_type(column.type):
        raise DataError(f"{path}: expected numbers in column {name}, got {column.type}.")
    return np.asarray(column.to_numpy(zero_copy_only=False) if not hasattr(column, "chunks") else column.to_numpy())


def _key_columns(table: Mapping[str, Any], names: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: _texts(np.array(table[name].to_pylist(), dtype=object)) for name in names}


def _texts(values: np.ndarray) -> np.ndarray:
    """Return ids as text: bytes decoded, whole floats as integers, "" for nothing."""

    def text(value: Any) -> str:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return "" if value is None or value != value else str(value)

    return np.array([text(v) for v in np.asarray(values).reshape(-1).tolist()], dtype=object)


def _every(table: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return all columns of a table that have one of these names, blanks and case aside, in the order of the names."""
    there = {c.strip().casefold(): c for c in reversed(list(table))}
    return [there[n] for n in names if n in there]


def _first(table: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the first of these names that the table has, blanks and case aside; "" where it has none."""
    return next(iter(_every(table, names)), "")


def _is_other(name: str) -> bool:
    return name.strip().casefold() in _OTHER_NUMBERS or is_index(name)
