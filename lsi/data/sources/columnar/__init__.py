"""Parquet and Arrow files as samples: shards, splits and columns as the Hugging Face Hub has them, of any size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lsi.data.labels import LabelRules
from lsi.data.naming import numbered
from lsi.data.sources.columnar import values as column_values
from lsi.data.sources.columnar.files import open_columns
from lsi.data.sources.columnar.images import find_images
from lsi.data.sources.columnar.roles import choose_roles, image_columns, kind_of
from lsi.data.sources.columnar.shards import COLUMNAR, find_shards, is_arrow
from lsi.data.sources.columnar.table import ColumnTable, open_table
from lsi.data.sources.columnar.types import reported
from lsi.data.sources.columns import Roles
from lsi.data.sources.samples import Options, Samples
from lsi.data.sources.splits import rows_asked
from lsi.data.sources.tables import numbers
from lsi.data.trees import Tree
from lsi.errors import DataError, unreadable_passed_over

__all__ = ["COLUMNAR", "holds_images", "read_columnar"]

Columns = dict[str, list[pa.ChunkedArray]]


def holds_images(tree: Tree, name: str) -> bool:
    """Say whether a file has a column of images by its schema; a file that cannot be opened has none.

    Args:
        tree: where the file lies.
        name: of the Parquet or Arrow file.

    Raises:
        UnreachableError: the file cannot be reached.
    """
    with unreadable_passed_over():
        file = open_columns(tree, name)
        features = column_values.hub_features(file) or {}
        return bool(image_columns({field.name: kind_of(field.type, features.get(field.name)) for field in file.schema}))
    return False


def read_columnar(tree: Tree, names: Sequence[str], options: Options, is_file: bool = False) -> Samples:
    """Return the samples of Parquet or Arrow files: of the split that is asked for, the others are counted.

    Images stay in the files until they are asked for. A column of splits counts where names of files and folders say
    nothing. Rows are counted through the files of a split in the order of their names, as `datasets.load_dataset` does.

    Args:
        tree: where the files lie.
        names: of all Parquet and Arrow files there.
        options: which split, columns and targets.
        is_file: whether one file was given by itself, which is then read whatever split its name says.

    Raises:
        DataError: a file is damaged, a column or the split is missing, or a value does not fit; the message names file,
            column and row.
    """
    if not names:
        raise DataError(f"{tree.name}: no Parquet or Arrow files lie here.")
    shards = find_shards(tree, names)
    table = open_table(tree, shards, options, is_file)
    if not sum(table.lengths):
        raise DataError(f"{table.place}: the table is empty: it has columns and no rows.")
    roles, notes = _roles(table, options)
    beside, dropped = column_values.kept_columns(table.files, roles.rest)
    used = (roles.label, roles.split, roles.id, roles.text, *options.targets)
    columns = table.read(list(dict.fromkeys([c for c in used if c in table.columns] + beside)))
    metadata, changed = column_values.metadata({column: columns[column] for column in beside})
    values, rules = _labels(table, columns, roles)
    splits = table.split_of_rows if table.names_say_splits else _splits(columns, roles, table, notes)
    images = None if roles.image is None else find_images(tree, table, roles.image, splits)
    ids = numbered(sum(table.lengths)) if images is None else images.ids
    is_one = splits is None or not table.names_say_splits
    samples = Samples(
        table.name,
        table.place,
        _kind(table),
        ids if roles.id is None else _ids(columns, roles.id, table),
        None if images is None else images.images,
        values,
        rules,
        splits,
        table.index(),
        {"": sum(table.lengths)} if is_one else table.rows_of_splits,
        {} if is_one else table.others,
        None if roles.text is None else ["" if text is None else text for text in _flat(columns, roles.text, table)],
        None if roles.features is None else column_values.vectors(table.files, roles.features),
        _targets(table, columns, options, rows_asked(splits, options.split, len(ids))),
        options.targets,
        metadata,
        () if images is None else images.paths,
        roles.named(),
        tuple(path for file in table.files if (path := tree.path(file.name)) is not None),
        dict(shards.ignored) | ({} if is_file else tree.left_out()),
        (*table.notes, *roles.notes, *notes, *dropped, *changed, *(() if images is None else images.notes)),
    )
    return _with_texts(samples)


def _roles(table: ColumnTable, options: Options) -> tuple[Roles, list[str]]:
    """Return which column plays which role; where names of files say the splits, no column does."""
    roles = choose_roles(table.kinds, options, table.place)
    if not table.names_say_splits or roles.split is None:
        return roles, []
    kept = {*roles.rest, roles.split}
    note = f"The files' names say the splits: the column {roles.split} is kept beside."
    return replace(roles, split=None, rest=tuple(c for c in table.columns if c in kept)), [note]


def _labels(table: ColumnTable, columns: Columns, roles: Roles) -> tuple[list[Any] | None, LabelRules]:
    if roles.label is None:
        return None, LabelRules(table.place)
    features = [found.get(roles.label, {}) if found else None for found in table.features]
    return column_values.labels(table.files, columns[roles.label], features, f"{table.place}, column {roles.label}")


def _splits(columns: Columns, roles: Roles, table: ColumnTable, notes: list[str]) -> list[str] | None:
    """Return the split of each row by a column, with its class names where the Hub's metadata have such."""
    if roles.split is None:
        return None
    features = [found.get(roles.split) for found in table.features]
    names = next((n for n in map(column_values.class_names, features) if n is not None), None)
    values = _flat(columns, roles.split, table)
    if names is not None:
        values = [names[v] if isinstance(v, int) and 0 <= v < len(names) else v for v in values]
    texts = ["" if v is None or v != v else str(v).strip() for v in values]
    if not any(texts):
        notes.append(f"The column {roles.split} is empty: there are no splits.")
        return None
    return texts


def _flat(columns: Columns, name: str, table: ColumnTable) -> list[Any]:
    values: list[Any] = []
    for file, part in zip(table.files, columns[name], strict=True):
        with reported(f"{file.place}, column {name}"):
            values += column_values.plain(part).to_pylist()
    return values


def _ids(columns: Columns, name: str, table: ColumnTable) -> list[str]:
    values = _flat(columns, name, table)
    missing = next((row for row, value in enumerate(values) if value is None or value == ""), None)
    if missing is not None:
        raise DataError(f"{table.place}, column {name}, row {missing}: expected an id, got nothing.")
    return [str(value) for value in values]


def _targets(table: ColumnTable, columns: Columns, options: Options, asked: np.ndarray) -> np.ndarray | None:
    values: dict[str, Any] = dict.fromkeys(table.columns, ())
    for name in options.targets:
        if table.kinds.get(name) == "vector":
            values[name] = column_values.vectors(table.files, name, np.float64)
        elif name in columns:
            values[name] = _flat(columns, name, table)
    return numbers(values, options.targets, table.place, asked)


def _kind(table: ColumnTable) -> str:
    form = "Arrow" if is_arrow(table.files[0].name) else "Parquet"
    what = f"{form} file" if len(table.files) == 1 else f"{len(table.files):,} {form} files"
    return f"Hugging Face {what}" if any(table.features) else what


def _with_texts(samples: Samples) -> Samples:
    """Return the samples without those that have neither a text nor anything else."""
    if samples.text is None or samples.index is None or samples.images is not None or samples.features is not None:
        return samples
    rows = [row for row, text in enumerate(samples.text) if text.strip()]
    if not rows:
        raise DataError(f"{samples.place}, column {samples.columns['text']}: expected texts, all rows are empty.")
    if len(rows) == len(samples.text):
        return samples
    return replace(
        samples,
        ids=np.asarray(samples.ids)[rows],
        labels=None if samples.labels is None else [samples.labels[row] for row in rows],
        splits=None if samples.splits is None else [samples.splits[row] for row in rows],
        index=samples.index[rows],
        text=[samples.text[row] for row in rows],
        targets=None if samples.targets is None else samples.targets[rows],
        metadata=None if samples.metadata is None else samples.metadata.iloc[rows].reset_index(drop=True),
        ignored={**samples.ignored, "rows without text": len(samples.text) - len(rows)},
    )
