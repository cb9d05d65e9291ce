"""The files of the split that is asked for, as one table of columns."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from lsi.data.naming import safe_name
from lsi.data.sources.columnar.files import open_columns
from lsi.data.sources.columnar.roles import Kind, kind_of
from lsi.data.sources.columnar.shards import Shards, folder_info, lies_alone
from lsi.data.sources.columnar.types import ColumnFile, place_of
from lsi.data.sources.columnar.values import hub_features
from lsi.data.sources.samples import DEFAULT_SPLIT, Options
from lsi.data.sources.splits import ALL, check_split, same_split, split_of
from lsi.data.trees import Tree
from lsi.errors import DataError, UnreachableError

_PRIORITY: tuple[Kind, ...] = ("image", "bytes", "text", "vector", "other")


@dataclass(frozen=True)
class ColumnTable:
    """Files one after the other.

    Attributes:
        place: the folder, or the file that was given by itself.
        name: short, for a folder's name.
        files: that are read, in the order of their rows.
        splits: of each file, the split that its name says; "" where names say none.
        features: of each file, what the Hub's metadata say of its columns.
        others: rows of the splits that are not read.
        notes: sentences for the plan.
    """

    place: str
    name: str
    files: tuple[ColumnFile, ...]
    splits: tuple[str, ...]
    features: tuple[dict[str, Any], ...]
    others: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def names_say_splits(self) -> bool:
        """Whether names of files or folders say splits."""
        return "" not in self.splits

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns of all files."""
        return list(dict.fromkeys(column for file in self.files for column in file.schema.names))

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What each column may hold."""
        found: dict[str, set[Kind]] = {}
        for file, features in zip(self.files, self.features, strict=True):
            for field in file.schema:
                found.setdefault(field.name, set()).add(kind_of(field.type, features.get(field.name)))
        return {column: next(kind for kind in _PRIORITY if kind in kinds) for column, kinds in found.items()}

    @property
    def lengths(self) -> list[int]:
        """Rows of each file."""
        return [file.n_rows for file in self.files]

    @property
    def split_of_rows(self) -> list[str]:
        """The split of each row."""
        return [split for split, length in zip(self.splits, self.lengths, strict=True) for _ in range(length)]

    @property
    def rows_of_splits(self) -> dict[str, int]:
        """Number of rows of each split, those that are not read among them."""
        counts: dict[str, int] = {}
        for split, length in zip(self.splits, self.lengths, strict=True):
            counts[split] = counts.get(split, 0) + length
        return counts | dict(self.others)

    def index(self) -> np.ndarray:
        """Return the position of each row within its split, counted through the files in their order."""
        counted: dict[str, int] = {}
        parts = []
        for split, length in zip(self.splits, self.lengths, strict=True):
            start = counted.get(split, 0)
            parts.append(np.arange(start, start + length))
            counted[split] = start + length
        return np.concatenate(parts)

    def read(self, columns: Sequence[str]) -> dict[str, list[pa.ChunkedArray]]:
        """Return columns file by file; a file that lacks one has nulls there.

        Args:
            columns: their names.

        Raises:
            DataError: a file is damaged.
        """
        found: dict[str, list[pa.ChunkedArray]] = {column: [] for column in columns}
        for file in self.files:
            there = [column for column in columns if column in file.schema.names]
            table = file.read(there) if there else None
            for column in columns:
                lacking = pa.chunked_array([pa.nulls(file.n_rows)])
                found[column].append(lacking if table is None or column not in there else table[column])
        return found


def open_table(tree: Tree, shards: Shards, options: Options, is_file: bool) -> ColumnTable:
    """Return the files of the split that is asked for, opened; of the others the rows are counted.

    Args:
        tree: where the files lie.
        shards: which file holds which split.
        options: which split; with a column of splits that someone named, names of files say nothing.
        is_file: whether one file was given by itself.

    Raises:
        DataError: there is no such split, or a file is damaged.
    """
    splits, notes = dict(shards.splits), list(shards.notes)
    first = next(iter(splits.values()))[0]
    place = place_of(tree, first) if is_file else tree.name
    if options.columns.split is not None:
        splits = {"": tuple(sorted(name for names in splits.values() for name in names))}
    elif (is_file or lies_alone(tree)) and len(splits) == 1 and options.split == DEFAULT_SPLIT:
        (split, names), splits = splits.popitem(), {}
        is_other = split and same_split(split) != DEFAULT_SPLIT
        splits["" if is_other else split] = names
        notes += [f"{place} was given by itself, so it is read, though it is the split {split}."] if is_other else []
    if "" not in splits:
        check_split(options.split, splits, place)
    wanted = [s for s in splits if s == "" or options.split == ALL or same_split(s) == same_split(options.split)]
    opened = [(split, open_columns(tree, name)) for split in wanted for name in splits[split]]
    if len(wanted) > 1:
        opened = _without_strangers(opened, shards.strangers, notes)
    others = _counted(tree, {s: names for s, names in splits.items() if s not in wanted}, notes)
    files = tuple(file for _, file in opened)
    features = tuple(hub_features(file, folder_info(tree, file.name)) for file in files)
    name = _short_name(first if is_file else "", place)
    return ColumnTable(place, name, files, tuple(split for split, _ in opened), features, others, tuple(notes))


def _without_strangers(
    opened: list[tuple[str, ColumnFile]], strangers: frozenset[str], notes: list[str]
) -> list[tuple[str, ColumnFile]]:
    """Return the files without those that no split's name was found for and that have other columns."""
    known = next((set(file.schema.names) for split, file in opened if split not in strangers), set())
    left = [file.name for split, file in opened if split in strangers and set(file.schema.names) != known]
    notes += (
        [f"{', '.join(left[:3])}: no split by name, and other columns than the splits have: left out."] if left else []
    )
    return [(split, file) for split, file in opened if file.name not in left]


def _counted(tree: Tree, splits: Mapping[str, Sequence[str]], notes: list[str]) -> dict[str, int]:
    """Return the rows of splits by what their files say of themselves; one that cannot be opened gets a note."""
    counts = {}
    for split, names in splits.items():
        try:
            counts[split] = sum(open_columns(tree, name).n_rows for name in names)
        except UnreachableError:
            raise
        except DataError as error:
            counts[split] = 0
            notes.append(f"The split {split} is not counted: {error}")
    return counts


def _short_name(file: str, place: str) -> str:
    if not file:
        return safe_name(posixpath.basename(place.rstrip("/")))
    stem = posixpath.splitext(posixpath.basename(file))[0]
    folder = posixpath.basename(posixpath.dirname(place))
    return safe_name(f"{folder}-{stem}" if split_of(stem) else stem)
