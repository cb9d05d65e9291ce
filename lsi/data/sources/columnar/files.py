"""Opening Parquet and Arrow files, wherever they lie."""

import io
import shutil
import tempfile
from typing import Any

from lsi.data.sources.columnar.arrow_file import ArrowFile
from lsi.data.sources.columnar.parquet_file import ParquetFile
from lsi.data.sources.columnar.shards import is_arrow
from lsi.data.sources.columnar.types import BUFFER, ColumnFile, place_of, reported
from lsi.data.trees import Tree
from lsi.errors import DataError

_LFS = b"version https://git-lfs"


def open_columns(tree: Tree, name: str) -> ColumnFile:
    """Return a Parquet or Arrow file; its values are not read yet.

    Args:
        tree: where it lies.
        name: of the file.

    Raises:
        DataError: it is empty, a Git LFS pointer, no such file or damaged, or two of its columns have the same name.
    """
    file = _opened(tree, name)
    try:
        columns = _read(tree, name, file)
    except DataError:
        file.close()
        raise
    if tree.path(name) is not None:
        file.close()
    with reported(columns.place):
        names = _names(columns.schema)
    twice = next((column for column in names if names.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{columns.place}: two columns are called {twice}: rename one of them.")
    return columns


def _names(fields: Any) -> list[str]:
    """Return the names of fields; those below them are read as well, for in a damaged file they may be no text."""
    for field in fields:
        _names([field.type.field(i) for i in range(field.type.num_fields)])
    return [field.name for field in fields]


def _read(tree: Tree, name: str, file: io.BufferedIOBase) -> ColumnFile:
    place = place_of(tree, name)
    with reported(place):
        head = file.read(64)
    if not head:
        raise DataError(f"{place}: the file is empty (0 bytes).")
    if head.startswith(_LFS):
        raise DataError(f"{place}: a Git LFS pointer, not the data itself: run `git lfs pull`.")
    if is_arrow(name):
        return ArrowFile(name, place, file, head.startswith(b"ARROW1"))
    if not head.startswith((b"PAR1", b"PARE")):
        raise DataError(f"{place}: not readable as Parquet (it begins with {head[:8]!r}).")
    return ParquetFile(tree, name, None if tree.path(name) is not None else file)


def _opened(tree: Tree, name: str) -> io.BufferedIOBase:
    """Return a file that can be read in any order without lying in memory: what an archive unpacks goes to the disk."""
    file = tree.open(name)
    is_on_disk = tree.path(name) is not None
    if is_on_disk or not (isinstance(file, io.BytesIO) or is_arrow(name)):
        return file
    with reported(place_of(tree, name)), file:
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its reader
        shutil.copyfileobj(file, copy, BUFFER)
    copy.seek(0)
    return copy
