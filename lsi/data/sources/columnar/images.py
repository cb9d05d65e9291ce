"""Images of Parquet and Arrow files: bytes that stay in the files until they are asked for, or paths of other files."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from lsi.data.fetched import FetchedImages
from lsi.data.images import BEHIND, Images
from lsi.data.naming import text_of_path
from lsi.data.plan import counted
from lsi.data.sources.columnar.stored_bytes import StoredBytes
from lsi.data.sources.columnar.table import ColumnTable
from lsi.data.sources.columnar.types import ColumnFile, is_text, reported
from lsi.data.sources.columns import OPTIONS
from lsi.data.sources.confined import check_reference
from lsi.data.sources.references import Resolver
from lsi.data.sources.tree_images import images_in
from lsi.data.trees import Tree
from lsi.errors import DataError


@dataclass(frozen=True)
class FoundImages:
    """n images, an id for each, the files that paths lead to where there are only paths, and sentences."""

    images: Images
    ids: list[str]
    paths: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_images(tree: Tree, table: ColumnTable, column: str, splits: Sequence[str] | None) -> FoundImages:
    """Return the images of a column: of bytes, of structs with bytes or path, or of paths as text.

    Args:
        tree: where the files lie, and those that paths lead to.
        table: the files.
        column: of images.
        splits: of the rows of all files; None: names of files say them, if anything does.

    Raises:
        DataError: a file lacks the column, no path leads to a file, or a path as text stands twice.
    """
    for file in table.files:
        if column not in file.schema.names:
            raise DataError(f"{file.place}: no column {column}; there are {', '.join(file.schema.names)}.")
    texts = [_paths(file, column) for file in table.files]
    flat = [text for part in texts for text in part]
    if all(file.n_without_bytes(column) == file.n_rows for file in table.files):
        ends = np.cumsum(table.lengths)
        references = [
            Resolver(tree, file.name).resolve(
                [t or "" for t in part], column, None if splits is None else splits[end - len(part) : end]
            )
            for file, part, end in zip(table.files, texts, ends.tolist(), strict=True)
            if part
        ]
        names = [name for found in references for name in found.names]
        notes = list(dict.fromkeys(f"{found.note}." for found in references if found.note))
        n_missing = sum(found.n_missing for found in references)
        if n_missing:
            first = next(found.first_missing for found in references if found.n_missing)
            notes.append(f"{counted(n_missing, 'row')} name no file here (first: {first or 'nothing'}).")
        are_texts = all(is_text(file.schema.field(column).type) for file in table.files)
        ids = _ids_of_paths(flat, names, table.place) if are_texts else _ids(flat)
        return FoundImages(images_in(tree, names), ids, names, notes)
    return FoundImages(_Stored(tree, table, column, texts).images(), _ids(flat))


def _paths(file: ColumnFile, column: str) -> list[str | None]:
    """Return the path of each row, None where it has none."""
    kind = file.schema.field(column).type
    with reported(f"{file.place}, column {column}"):
        if is_text(kind):
            return file.read([column])[column].to_pylist()
        if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
            return file.field(column, "path").to_pylist()
    return [None] * file.n_rows


def _ids(paths: Sequence[str | None]) -> list[str]:
    return [f"{row:06d}/{path}" if path else f"{row:06d}" for row, path in enumerate(paths)]


def _ids_of_paths(paths: Sequence[str | None], names: Sequence[str], place: str) -> list[str]:
    """Return the paths as ids; where different files are called the same, their places in the tree."""
    ids = [text_of_path(path or "") or f"row {row}" for row, path in enumerate(paths)]
    if len(set(ids)) == len(ids):
        return ids
    ids = [text_of_path(name) or f"row {row}" for row, name in enumerate(names)]
    seen: set[str] = set()
    for row, name in enumerate(ids):
        if name in seen:
            raise DataError(
                f"{place}: row {row} names {name} a second time: expected each image once, or a column of ids of their "
                f"own ({OPTIONS['id']})."
            )
        seen.add(name)
    return ids


class _Stored:
    """Rows with bytes, and rows of which only the path is there, which is relative to their file's folder."""

    def __init__(self, tree: Tree, table: ColumnTable, column: str, paths: Sequence[Sequence[str | None]]) -> None:
        self.tree, self.files, self.column = tree, table.files, column
        self.bytes = StoredBytes([group for file in table.files for group in file.groups(column)])
        self.ends = np.cumsum(table.lengths)
        self.stamps = [tree.stamp(file.name) for file in table.files]
        self.may_lack = [file.n_without_bytes(column) != 0 for file in table.files]
        self.paths = [list(part) if may else None for part, may in zip(paths, self.may_lack, strict=True)]

    def images(self) -> FetchedImages:
        return FetchedImages(_Names(self), self.fetch, self.stamp)

    def place(self, position: int) -> tuple[int, int]:
        """Return the number of a row's file, and the row in it."""
        number = int(np.searchsorted(self.ends, position, side="right"))
        return number, position - (int(self.ends[number - 1]) if number else 0)

    def reference(self, number: int, row: int) -> str | None:
        """Return the name of the file that a row's path leads to, where the row may have no bytes."""
        paths = self.paths[number]
        path = None if paths is None else paths[row]
        if not path:
            return None
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.files[number].name), path.replace("\\", "/")))

    def fetch(self, position: int) -> bytes | None:
        data = self.bytes[position]
        if data:
            return data
        reference = self.reference(*self.place(position))
        if reference is None:
            return data
        check_reference(self.tree, [reference])
        return self.tree.read(reference)

    def stamp(self, position: int) -> tuple[str, int, int] | None:
        number, row = self.place(position)
        own = self.stamps[number]
        if own is None:
            return None
        reference = self.reference(number, row)
        other = None if reference is None else self.tree.stamp(reference)
        place = f"{own[0]}#{self.column}#{row}"
        if other is None:
            return place, own[1], own[2]
        return f"{place}{BEHIND}{other[0]}", own[1] + other[1], own[2] + other[2]  # a change of either changes a sum


class _Names(Sequence):
    """What messages call each image, made when it is asked for."""

    def __init__(self, stored: _Stored) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return int(self.stored.ends[-1])

    def __getitem__(self, index):
        number, row = self.stored.place(index)
        return f"{self.stored.files[number].place}, column {self.stored.column}, row {row}"
