"""What Parquet and Arrow files have in common: columns, groups of rows with bytes, and errors that name the file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.compute as pc

from lsi.data.naming import text_of_path
from lsi.data.trees import Tree
from lsi.errors import DataError, UnreachableError, is_of_surroundings

BUFFER = 2**20  # bytes read at once, so that a column is never in memory as a whole


@dataclass(frozen=True)
class Group:
    """Rows of a column of bytes that are read together.

    `load` gives their bytes a batch at a time; `is_mapped`: they lie in a file that is mapped into memory, so that
    nothing is read before it is asked for.
    """

    n_rows: int
    load: Callable[[], Iterator[pa.Array]]
    is_mapped: bool = False


@runtime_checkable
class ColumnFile(Protocol):
    """A file of columns. Everything it raises is a DataError that names the file.

    `name` is its name in the tree, `place` what messages call it.
    """

    name: str
    place: str
    schema: pa.Schema
    n_rows: int

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return whole columns."""
        ...

    def field(self, column: str, name: str) -> pa.ChunkedArray:
        """Return one field of a column of structs, the other fields unread."""
        ...

    def size(self, column: str) -> int:
        """Return how many bytes a column takes before it is compressed."""
        ...

    def groups(self, column: str) -> list[Group]:
        """Return the bytes of a column of bytes, or of structs with a field `bytes`."""
        ...

    def n_without_bytes(self, column: str) -> int | None:
        """Return in how many rows a column holds no bytes; None where that is not known without reading them."""
        ...


@contextmanager
def reported(what: str):
    """Turn whatever Arrow raises into an error that names a file, and a column where it can.

    Raises:
        DataError: in place of anything that is raised within.
        UnreachableError: the disk, the network or the memory failed.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # Arrow raises errors of its own, of Python, and of the file system behind it
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        said = f"{what}: cannot be read ({reason})."
        if is_of_surroundings(error):
            raise UnreachableError(said) from None
        raise DataError(f"{said} Is the file damaged or incomplete?") from None


def place_of(tree: Tree, name: str) -> str:
    """Return what messages call a file: its path or address."""
    path = tree.path(name)
    return text_of_path(str(path)) if path is not None else f"{tree.name}/{name}"


def bytes_of(array: pa.Array) -> pa.Array:
    """Return the bytes of an image column: null where a row holds none, or only a path."""
    if pa.types.is_struct(array.type):
        has_bytes = array.type.get_field_index("bytes") >= 0
        return pc.struct_field(array, "bytes") if has_bytes else pa.nulls(len(array))  # type: ignore[attr-defined]
    return pa.nulls(len(array)) if is_text(array.type) else array


def is_text(kind: pa.DataType) -> bool:
    """Say whether a type holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Say whether a type holds bytes."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def columns_named(columns: Sequence[str]) -> str:
    """Return columns as messages name them."""
    return (
        f"column {columns[0]}"
        if len(columns) == 1
        else f"columns {', '.join(columns[:4])}" + ", …" * (len(columns) > 4)
    )
