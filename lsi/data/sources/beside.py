"""Tables beside class folders: their columns are kept, and a table that says more than the folders is named."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from lsi.data.naming import rows_by_name, text_of_path
from lsi.data.plan import some
from lsi.data.sources.columns import Wanted, assign_roles, key_columns
from lsi.data.sources.parquet_tables import PARQUET, read_table
from lsi.data.sources.samples import Options, Samples
from lsi.data.sources.splits import ALL
from lsi.data.sources.tables import from_frame, names_images
from lsi.data.trees import Tree
from lsi.errors import DataError, UnreachableError

# of folders that hold parts of one download, rather than a class each
_PART = re.compile(r"(parts?|batch(es)?|chunks?|shards?|images?|imgs?|photos|pictures|jpe?gs?|pngs?|vol(ume)?s?|data|"
                   r"sets?|folders?|dirs?|archives?|zips?|splits?|subsets?)[\W_]*$", re.I)  # fmt: skip
_FORMS = (lambda path: path.name, lambda path: path.stem)
_JSON = ".json"  # may hold anything


def with_columns(tree: Tree, samples: Samples, tables: list[str], options: Options) -> Samples:
    """Return samples with the columns of the tables beside them whose rows name their images.

    Of an image that several tables name, the first one's values count, those of text before Parquet. A table without a
    column of a usual name that names images all the same gets a note, and so does one that cannot be read or names most
    of them wrongly.

    Args:
        tree: where the tables lie.
        samples: images of class folders.
        tables: names of the tables.
        options: which columns are what.

    Raises:
        DataError: the folders are parts of one set, as far as their names say, and a table names their images.
        UnreachableError: a table cannot be reached.
    """
    ignored, notes, metadata = dict(samples.ignored), list(samples.notes), samples.metadata
    for table in sorted(tables, key=lambda name: name.lower().endswith(PARQUET)):
        try:
            frame, found = read_table(tree, table)
        except UnreachableError:
            raise
        except DataError as error:
            notes += [] if PurePosixPath(table).suffix.lower() == _JSON else [_unread(error)]
            continue
        described, problem = _described(frame, tree, table, options)
        own, n_rows = (None, 0) if described is None else _values(frame, described, samples)
        if own is None or not n_rows:
            other = _other_column(frame, table, samples, options)
            notes += problem if problem and _is_of_most(frame, samples) else other
            continue
        _refuse_parts(samples, table, n_rows)
        if metadata is None:
            metadata = own
        else:
            names = list(dict.fromkeys([*metadata.columns, *own.columns]))
            metadata = metadata.combine_first(own)[names]
        suffix = PurePosixPath(table).suffix.lower()
        ignored[suffix] = max(0, ignored.get(suffix, 0) - 1)
        kept = f"{table} names {n_rows:,} of the images: its columns are kept beside; the folders are the labels."
        notes += [*found, kept]
    return replace(samples, metadata=metadata, ignored=ignored, notes=tuple(notes))


def _unread(error: DataError) -> str:
    return f"The folders are the labels, and a table beside them is not read: {error}"


def _described(frame: pd.DataFrame, tree: Tree, table: str, options: Options) -> tuple[Samples | None, list[str]]:
    """Return the samples that a table names in a column of a usual name, None where it does not; and what is wrong."""
    try:
        is_named = names_images(frame, tree, table, options, by_content=False)
        return from_frame(frame, tree, table, replace(options, split=ALL)) if is_named else None, []
    except UnreachableError:
        raise
    except DataError as error:
        return None, [_unread(error)]


def _values(frame: pd.DataFrame, described: Samples, samples: Samples) -> tuple[pd.DataFrame, int]:
    """Return the values of a table's columns for each sample, None where it names none, and how many it names."""
    columns = frame.drop(columns=[described.columns["image"]])
    positions = {name: i for i, name in enumerate(samples.ids)}
    rows = [(positions[n], i) for i, n in enumerate(map(text_of_path, described.paths)) if n in positions]
    taken = np.full(len(samples.ids), -1)
    for place, row in rows:
        taken[place] = row
    own = columns.iloc[taken].reset_index(drop=True).astype(object)
    own[taken < 0] = None
    return own, len(rows)


def _is_of_most(frame: pd.DataFrame, samples: Samples) -> bool:
    """Say whether a column holds what at least half of the images are called, though several may be called so."""
    columns = [set(map(_last, texts)) for _, texts in _names_in(frame)]
    for form in _FORMS:
        names = [form(PurePosixPath(str(name))) for name in samples.ids]
        if any(2 * sum(name in values for name in names) >= len(names) for values in columns):
            return True
    return False


def _other_column(frame: pd.DataFrame, table: str, samples: Samples, options: Options) -> list[str]:
    """Return a sentence where a column of any name holds the names of at least half of the images."""
    ids = list(map(str, samples.ids))
    column, n_named = _naming(frame, ids)
    if not n_named:
        if _are_parts(samples):
            _refuse_parts(samples, table, _several_each(frame, ids))
        return []
    _refuse_parts(samples, table, n_named)
    chosen = "" if _usual_column(frame, table, options) in (None, column) else f" with --image-column {column}"
    return [
        f"{table} names {n_named:,} of the images in its column {column}; the folders are taken as the labels. "
        f"Give it as --data{chosen} for its own."
    ]


def _usual_column(frame: pd.DataFrame, table: str, options: Options) -> str | None:
    """Return the column that is taken for the image by its name or because someone named it."""
    return assign_roles([str(c) for c in frame.columns], Wanted(options.columns.image), table).image


def names_some(frame: pd.DataFrame, table: str, images: list[str], options: Options) -> list[str]:
    """Return a sentence where a table names at least half of the images, though most of its rows name none.

    They may also stand in another column than that of a usual name, which names none.

    Args:
        frame: the table.
        table: its name.
        images: names of the images.
        options: which columns are what.
    """
    column, n_named = _naming(frame, list(map(text_of_path, images)))
    usual = _usual_column(frame, table, options)
    if not n_named:
        texts = [] if usual is None else frame[usual].dropna().astype(str).tolist()
        if not texts or not images:
            return []
        return [
            f"{table} is not read: its column {usual} names none of the images here (it begins with "
            f"{text_of_path(texts[0])}, the images with {text_of_path(images[0])})."
        ]
    if usual not in (None, column):
        return [
            f"{table} names {n_named:,} of the images in its column {column}, but the column {usual}, which is taken "
            f"for the image, names too few, so it is not read: choose the other with --image-column {column}."
        ]
    return [
        f"{table} names {n_named:,} of the images in its column {column}, but most of its {len(frame):,} rows lead to "
        f"no file here (it begins with {text_of_path(str(frame[column].iloc[0]))}), so it is not read: write its paths "
        "as they are from its own folder."
    ]


def _naming(frame: pd.DataFrame, ids: list[str]) -> tuple[str, int]:
    """Return the column that holds the names of at least half of the images, and of how many; 0 where none does."""
    forms = _forms(ids)
    for column, texts in _names_in(frame):
        values = [_last(text) for text in texts]
        n_named = max(sum(names[value] == 1 for value in set(values)) for names in forms)
        if 2 * n_named < len(ids) <= 2 * max(sum(names[value] > 0 for value in values) for names in forms):
            n_named = int((rows_by_name(texts, ids)[0] >= 0).sum())
        if 2 * n_named >= len(ids):
            return column, n_named
    return "", 0


def _several_each(frame: pd.DataFrame, ids: list[str]) -> int:
    """Return how many of the images a column names, where each of its names may be that of several."""
    forms = _forms(ids)
    named = [sum(names[value] for value in set(map(_last, texts))) for _, texts in _names_in(frame) for names in forms]
    return max(named, default=0)


def _forms(ids: list[str]) -> list[Counter[str]]:
    return [Counter(form(PurePosixPath(name)) for name in ids) for form in _FORMS]


def _names_in(frame: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Yield the distinct texts of each column that may hold names: a number is one of anything."""
    usual = {column for column, _ in key_columns(list(map(str, frame.columns)))}
    for column in map(str, frame.columns):
        texts = list(dict.fromkeys(map(str, frame[column])))
        if column in usual or not all(_last(text).isdigit() for text in texts):
            yield column, texts


def _last(value: str) -> str:
    return value.replace("\\", "/").rpartition("/")[2]


def _folders_of(samples: Samples) -> list[str]:
    """Return the names of the class folders."""
    return sorted({str(label) for label in samples.labels if label is not None}) if samples.labels else []


def _are_parts(samples: Samples) -> bool:
    """Say whether the class folders are called as parts of one set are: they differ by a number, case aside."""
    folders = _folders_of(samples)
    stems = {re.sub(r"\d+$", "", folder.casefold()) for folder in folders}
    return len(folders) > 1 and len(stems) == 1 and _PART.search(stems.pop()) is not None


def _refuse_parts(samples: Samples, table: str, n_named: int) -> None:
    """Raise where a table names most images and the class folders are called as parts of one set are.

    Raises:
        DataError: they are.
    """
    if not _are_parts(samples) or 2 * n_named < len(samples.ids):
        return
    folders, first = _folders_of(samples), {}
    twice = next(((first[n], i) for i in map(str, samples.ids) if first.setdefault(n := PurePosixPath(i).name, i) != i),
                 None)  # fmt: skip
    advice = f"so give {table} as --data"
    if twice is not None:
        advice = f"and {twice[0]} and {twice[1]} are called alike: take one copy away, and give {table} as --data"
    raise DataError(
        f"{samples.place}: the folders {some(folders, 3)} differ by a number alone, and {table} names {n_named:,} of "
        f"their images: as parts of one set they are no classes, {advice}."
    )
