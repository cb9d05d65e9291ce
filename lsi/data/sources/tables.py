"""Tables of samples: one row names an image, holds a text or ready-made features, and says the label and the rest."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from lsi.data.images import SUFFIXES, Images
from lsi.data.labels import LabelRules
from lsi.data.naming import is_missing, numbered, safe_name, text_of_path
from lsi.data.plan import counted, some
from lsi.data.sources.columns import OPTIONS, Roles, assign_roles
from lsi.data.sources.references import Resolver
from lsi.data.sources.samples import Options, Samples
from lsi.data.sources.splits import rows_asked, split_of_file, splits_of_folders
from lsi.data.sources.text_tables import LINES, SEPARATED, TABLES, is_sample_submission, read_frame, vectors
from lsi.data.sources.tree_images import images_in
from lsi.data.trees import RemoteTree, Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError, UnreachableError

__all__ = ["LINES", "SEPARATED", "TABLES", "as_numbers", "from_frame", "is_sample_submission", "names_images",
           "numbers", "read_frame", "vectors"]  # fmt: skip

_GUESSED_FROM = 50


def from_frame(
    frame: pd.DataFrame, tree: Tree, table: str, options: Options, rules: LabelRules | None = None
) -> Samples:
    """Return the samples of a table.

    Args:
        frame: one row a sample.
        tree: where the table and the files that it names lie.
        table: name of the table in the tree.
        options: which columns are what.
        rules: how label values are understood, where the table's file says more than its values.

    Raises:
        DataError: no column says what the samples are, or a value does not fit.
    """
    where, columns = text_of_path(table), [str(c) for c in frame.columns]
    frame = frame.set_axis(columns, axis=1)
    roles = assign_roles(columns, options.columns, where, options.targets)
    notes = list(roles.notes)
    usual, resolver = roles, Resolver(tree, table, options.within)
    if roles.image is None:
        roles = _by_content(frame, roles, resolver, notes, options.targets)
    splits = _splits(frame, roles, notes)
    asked = rows_asked(splits, options.split, len(frame))
    roles, (images, ids, paths, name_notes) = _with_images(frame, roles, usual, resolver, splits, asked)
    if splits is None and split_of_file(table) is None:
        splits = _splits_of_folders(paths, notes)
    if roles.label is None and roles.rest and options.needs_labels:
        notes.append(_no_label(roles))
    labels = None if roles.label is None else [None if v is pd.NA else v for v in frame[roles.label].tolist()]
    label_rules = replace(rules or LabelRules(""), where=f"{where}, column {roles.label}")
    rest = options.beside(columns, roles)
    metadata = None if not rest else frame[rest].reset_index(drop=True)
    return Samples(
        safe_name(PurePosixPath(table).stem),
        _place(tree, table),
        "table",
        ids if roles.id is None else [str(v) for v in frame[roles.id]],
        images,
        labels,
        label_rules,
        splits,
        np.arange(len(frame)),
        {"": len(frame)},
        text=None if roles.text is None else ["" if is_missing(v) else str(v) for v in frame[roles.text]],
        features=_features(frame, roles, where, asked),
        targets=numbers({c: frame[c] for c in columns}, options.targets, where, asked),
        target_names=options.targets,
        metadata=metadata,
        paths=paths,
        columns=roles.named(),
        files=_table_file(tree, table),
        notes=(*notes, *name_notes),
    )  # fmt: skip


def names_images(frame: pd.DataFrame, tree: Tree, table: str, options: Options, by_content: bool = True) -> bool:
    """Say whether a column of a table names files of a tree, at least half of them.

    Args:
        frame: the table.
        tree: where the files lie.
        table: name of the table in the tree.
        options: which columns are what.
        by_content: whether columns count that have no usual name.
    """
    resolver = Resolver(tree, table, options.within)
    roles = assign_roles(
        [str(c) for c in frame.columns], replace(options.columns, label=None, split=None, id=None), table
    )
    every = [str(c) for c in frame.columns] if by_content else []
    named = [roles.image] if roles.image is not None else every
    return any(resolver.fits(_some_values(frame, c)) for c in named)


def _some_values(frame: pd.DataFrame, column: str) -> list[str]:
    """Return values of a column from rows all over the table: those of one split or class may stand together."""
    rows = np.unique(np.linspace(0, len(frame) - 1, _GUESSED_FROM).astype(np.int64)) if len(frame) else []
    return [str(value) for value in frame[column].iloc[rows]]


def _by_content(
    frame: pd.DataFrame, roles: Roles, resolver: Resolver, notes: list[str], targets: tuple[str, ...]
) -> Roles:
    """Return the roles with the column as image whose values are names of files, where no column has a usual name.

    Beside texts or features it must name images, each once, and no files behind an address are listed for it.
    """
    there, where = ", ".join(map(str, frame.columns)), text_of_path(resolver.table)
    is_needed = roles.text is None and roles.features is None
    if not is_needed and isinstance(resolver.tree, RemoteTree) and not resolver.tree.is_listed:
        return roles
    if is_needed and any(PurePosixPath(str(c)).suffix.lower() in SUFFIXES for c in frame.columns):
        raise _no_header(where, there)
    values = {column: _some_values(frame, column) for column in roles.rest if column not in targets}
    possible = {c: v for c, v in values.items() if is_needed or (_are_of_images(v) and resolver.could_fit(v))}
    candidates = [c for c, v in possible.items() if resolver.fits(v)]
    if len(candidates) > 1:  # numbers, say, are called like images of other data near by
        candidates = [c for c in candidates if resolver.could_fit(values[c])] or candidates
    if len(candidates) == 1:
        if is_needed and resolver.fits(candidates):
            raise _no_header(where, there)
        return replace(roles, image=candidates[0], rest=tuple(c for c in roles.rest if c != candidates[0]))
    several = f" Several could be the image ({', '.join(candidates)})." if candidates else ""
    if not is_needed:
        notes += [f"{where}: no column is taken for the image.{several} {OPTIONS['image']} chooses."] if several else []
        return roles
    raise DataError(
        f"{where}: no column is called image, path, file_name, text or features or the like; there are {there}."
        f"{several} Name the one that holds paths with {OPTIONS['image']}."
    )


def _no_header(where: str, there: str) -> DataError:
    return DataError(
        f"{where}: the first line is no header ({there}): put names of columns above it, such as path,label."
    )


def _are_of_images(values: list[str]) -> bool:
    """Say whether names differ and none has the suffix of another kind of file."""
    return len(set(values)) == len(values) and all(suffix_of(value) in ("", *SUFFIXES) for value in values)


def _with_images(
    frame: pd.DataFrame, roles: Roles, usual: Roles, resolver: Resolver, splits: list[str] | None, asked: np.ndarray
) -> tuple[Roles, tuple[Images | None, Any, list[str], list[str]]]:
    """Return the roles and what `_images` finds; the usual roles where texts or features do without these images.

    Raises:
        DataError: the images are needed, or a column of a usual name holds them, and they cannot be used.
    """
    where = text_of_path(resolver.table)
    found = [] if roles == usual else [f"{where}: column {roles.image} names files, so it is taken for the image."]
    try:
        images, ids, paths, notes = _images(frame, roles, resolver, splits, asked)
        return roles, (images, ids, paths, [*found, *notes])
    except UnreachableError:
        raise
    except DataError as error:
        if usual.image is not None or (usual.text is None and usual.features is None):
            raise
        images, ids, paths, _ = _images(frame, usual, resolver, splits, asked)
        return usual, (images, ids, paths, [f"No column is taken for the image: {error}"])


def _images(
    frame: pd.DataFrame, roles: Roles, resolver: Resolver, splits: list[str] | None, asked: np.ndarray
) -> tuple[Images | None, Any, list[str], list[str]]:
    """Return the images that a table names, their ids, their files, and sentences on how they were found.

    Of the rows of splits that are not `asked` for, several may name one image.
    """
    if roles.image is None:
        return None, numbered(len(frame)), [], []
    where = text_of_path(resolver.table)
    values = ["" if is_missing(v) else str(v) for v in frame[roles.image]]
    references = resolver.resolve(values, roles.image, splits)
    notes = [f"{references.note}."] if references.note else []
    if references.n_missing:
        verb = "names" if references.n_missing == 1 else "name"
        notes.append(f"{where}: {counted(references.n_missing, 'row')} {verb} no file here (first: "
                     f"{references.first_missing or 'an empty cell'}).")  # fmt: skip
    ids = [text_of_path(value) or f"row {row}" for row, value in enumerate(values)]
    twice = pd.Series(ids)[asked].duplicated()
    if twice.any() and roles.id is None:
        first = int(twice.index[twice][0])
        raise DataError(
            f"{where}: row {first} names {ids[first]} a second time: expected each image once, or "
            "a column of ids of their own (--id-column)."
        )
    return images_in(resolver.tree, references.names), ids, references.names, notes


def _features(frame: pd.DataFrame, roles: Roles, where: str, asked: np.ndarray) -> np.ndarray | None:
    """Return ready-made features, NaN where a row is of no split that is asked for."""
    if roles.features is None:
        return None
    rows = np.flatnonzero(asked)
    found = vectors(frame[roles.features].iloc[rows].tolist(), f"{where}, column {roles.features}", rows)
    if len(rows) == len(frame):
        return found
    every = np.full((len(frame), found.shape[1]), np.nan, dtype=found.dtype)
    every[rows] = found
    return every


def _no_label(roles: Roles) -> str:
    return f"No column is called label, class or the like; {OPTIONS['label']} chooses among {some(roles.rest, 6)}."


def _splits(frame: pd.DataFrame, roles: Roles, notes: list[str]) -> list[str] | None:
    if roles.split is None:
        return None
    values = ["" if is_missing(v) else str(v).strip() for v in frame[roles.split]]
    if not any(values):
        notes.append(f"The column {roles.split} is empty: there are no splits.")
        return None
    return values


def _splits_of_folders(paths: Sequence[str], notes: list[str]) -> list[str] | None:
    """Return the split of each row where most images lie in folders of splits, of several; None where not.

    What lies elsewhere is of no split, "".
    """
    known = splits_of_folders({path.rpartition("/")[0] for path in paths})
    found = [known[path.rpartition("/")[0]] or "" for path in paths]
    n_named = sum(map(bool, found))
    if 2 * n_named < len(found) or len(set(found) - {""}) < 2:
        return None
    notes.append("Rows are of the split whose folder their image lies in.")
    if n_named < len(found):
        count = len(found) - n_named
        are = "is" if count == 1 else "are"
        notes.append(f"{counted(count, 'row')} {are} of no split: the image lies in no folder of one.")
    return found


def numbers(
    table: Mapping[str, Any], names: tuple[str, ...], where: object, asked: np.ndarray | None = None
) -> np.ndarray | None:
    """Return columns of numbers as one array (n, m), or None where no names are given.

    Args:
        table: columns by name.
        names: of the columns to take.
        where: what a message names.
        asked: (n,) the rows that must hold numbers; None: all. In the others NaN stands for anything else.

    Raises:
        DataError: a column is missing or holds something else than numbers; the message names the row.
    """
    if not names:
        return None
    missing = [c for c in names if c not in table]
    if missing:
        raise DataError(f"{where}: no column {', '.join(missing)} to predict; there are {', '.join(map(str, table))}.")
    columns = []
    for name in names:
        values = table[name]
        array = as_numbers(values)
        is_bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        bad = np.flatnonzero(is_bad if asked is None or len(asked) != len(array) else is_bad & asked)
        if len(bad):
            got = list(values)[int(bad[0])]
            raise DataError(f"{where}: expected a number in column {name}, row {int(bad[0])}, got {str(got)[:40]!r}.")
        columns.append(array.reshape(len(array), -1))
    return np.concatenate(columns, axis=1)


def as_numbers(values: Any) -> np.ndarray:
    """Return values as numbers, NaN for what is none: neither dates nor durations are, though they count something."""
    if np.ndim(values) != 1:
        kind = np.asarray(values).dtype.kind
        return np.asarray(values, dtype=np.float64) if kind not in "mM" else np.full(np.shape(values), np.nan)
    times = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64, type(pd.NaT))
    plain = [None if isinstance(value, times) else value for value in values]
    return np.asarray(pd.to_numeric(pd.Series(plain), errors="coerce"), dtype=np.float64)


def _place(tree: Tree, table: str) -> str:
    path = tree.path(table)
    return text_of_path(str(path)) if path is not None else f"{tree.name}/{table}"


def _table_file(tree: Tree, table: str) -> tuple:
    path = tree.path(table)
    return () if path is None else (path,)
