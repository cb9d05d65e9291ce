"""Trees of images: class folders, splits above or below them, images alone, or images with a table beside them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from lsi.data.images import sniff
from lsi.data.labels import LabelRules
from lsi.data.naming import safe_name, text_of_path
from lsi.data.plan import agreeing
from lsi.data.sources.beside import names_some, with_columns
from lsi.data.sources.columns import Wanted, refuse_columns
from lsi.data.sources.exported import NAMES, class_rules, holds_export, of_export, with_class_names
from lsi.data.sources.folders import build
from lsi.data.sources.layout import Group, Layout, interpret
from lsi.data.sources.parquet_tables import PARQUET, read_table
from lsi.data.sources.samples import Options, Samples, joined
from lsi.data.sources.splits import ALL, same_split, split_of_file
from lsi.data.sources.tables import TABLES, from_frame, is_sample_submission, names_images
from lsi.data.sources.tree_images import images_in
from lsi.data.trees import Tree
from lsi.errors import DataError, UnreachableError, unreadable_passed_over

_HEAD = 64  # bytes that tell an image by its content


def read_tree(tree: Tree, names: list[str], options: Options, name: str) -> Samples:
    """Return the samples of a tree of images.

    Args:
        tree: the files.
        names: all their names.
        options: which split, which columns of a table.
        name: of the data, for a folder's name.

    Raises:
        DataError: there are no images, or several tables could say what they are.
    """
    root, ignored = build(names, lambda file: _is_image(tree, file))
    ignored.update(tree.left_out())
    layout = with_class_names(tree, interpret(root, ignored))
    tables = _tables(layout)
    if not layout.groups:
        raise DataError(_nothing(tree, layout, tables))
    labelled = any(group.label is not None for group in layout.groups)
    if tables and (not labelled or options.columns.image or options.columns.label):
        samples = _with_table(tree, layout, tables, options, name)
        if samples is not None:
            return samples
    refuse_columns(
        options.columns, f"{tree.name}: {'folders say the labels' if labelled else 'no table names the images'}"
    )
    samples = _samples(tree, layout, name)
    if labelled and tables:
        return with_columns(tree, samples, tables, options)
    return samples


def _is_image(tree: Tree, name: str) -> bool:
    with unreadable_passed_over(), tree.open(name) as file:
        return sniff(file.read(_HEAD)) is not None
    return False


def _samples(tree: Tree, layout: Layout, name: str) -> Samples:
    groups = layout.groups
    files = [file for group in groups for file in group.images]
    has_splits = any(group.split is not None for group in groups)
    labels: list[str | None] | None = None
    if any(group.label is not None for group in groups):
        labels = [None if g.label is None else text_of_path(g.label) for g in groups for _ in g.images]
    splits = [g.split or "" for g in groups for _ in g.images] if has_splits else None
    index, lengths = _image_folder_index(groups)
    order = np.lexsort((index, _ranks(splits))) if splits else np.argsort(index, kind="stable")
    return Samples(
        safe_name(name),
        tree.name,
        layout.kind,
        _unique([text_of_path(files[i]) for i in order]),
        images_in(tree, [files[i] for i in order]),
        None if labels is None else [labels[i] for i in order],
        LabelRules(tree.name, is_text=True),
        None if splits is None else [splits[i] for i in order],
        index[order],
        lengths,
        split_folders=layout.called,
        files=_container(tree),
        ignored=dict(layout.ignored),
        notes=tuple(layout.notes),
    )


def _image_folder_index(groups: list[Group]) -> tuple[np.ndarray, dict[str, int]]:
    """Return the position of each image in ImageFolder's list of its base, and the length of that list by split.

    Images that ImageFolder does not list come after all that it does; images without class folders are counted as
    they stand.
    """
    counted: dict[str, int] = {}
    places: dict[str, dict[str, int]] = {}
    index: list[int] = []
    for group in groups:
        path = group.base.path
        if path not in places:
            listed = group.base.image_folder_order() if group.label is not None else []
            places[path] = {file: i for i, file in enumerate(listed)}
            counted[path] = len(listed)
        for file in group.images:
            place = places[path].get(file)
            if place is None:
                place, counted[path] = counted[path], counted[path] + 1
            index.append(place)
    split_bases = {group.split or "": group.base.path for group in groups}
    shared = len({group.base.path for group in groups}) == 1
    lengths = {"": counted[groups[0].base.path]} if shared else {s: counted[p] for s, p in split_bases.items()}
    return np.array(index, dtype=np.int64), lengths


def _ranks(values: list[str]) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1]


def _unique(ids: list[str]) -> list[str]:
    """Return ids that differ: names that differ only in bytes that are no text get a number."""
    if len(set(ids)) == len(ids):
        return ids
    seen: dict[str, int] = {}
    unique = []
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _container(tree: Tree) -> tuple[Path, ...]:
    """Return the archive that the images lie in, if it lies on this machine."""
    file = getattr(tree, "file", None)
    return (file,) if isinstance(file, Path) else ()


def _tables(layout: Layout) -> list[str]:
    """Return the tables that may name the images; of those of an export, the one that names them as written."""
    names = []
    for folder in {folder.path: folder for folder in layout.table_folders}.values():
        files = sorted(name for name in folder.files if not name.startswith("."))
        if holds_export(files):
            files = [NAMES]
            layout.notes.append(f"The images are an export's: of the tables beside them {NAMES} alone is read.")
        names += map(folder.child, files)
    return [n for n in names if PurePosixPath(n).suffix.lower() in (*TABLES, PARQUET) and not is_sample_submission(n)]


def _with_table(tree: Tree, layout: Layout, tables: list[str], options: Options, name: str) -> Samples | None:
    """Return the samples of the table that names the images, None where it is none, which the layout then notes."""
    options = replace(options, within=True)
    fitting: dict[str, Samples] = {}
    problems: dict[str, DataError] = {}
    notes: list[str] = []
    unreadable = set(tables)
    images = [image for group in layout.groups for image in group.images]
    for table in tables:
        try:
            frame, found = read_table(tree, table)
            unreadable.discard(table)
            if names_images(frame, tree, table, options):
                samples = from_frame(frame, tree, table, options, class_rules(of_export(tree, table)))
                fitting[table] = replace(samples, notes=(*found, *samples.notes))
            else:
                notes += names_some(frame, table, images, options)
        except UnreachableError:
            raise
        except DataError as error:
            problems[table] = error
    _refuse_problems(problems, unreadable, list(fitting), options)
    notes += [f"A table beside the images is not read: {error}" for error in problems.values()]
    fitting = _without_parquet(fitting, notes, options)
    if not fitting:
        layout.notes.extend(notes)
        return None
    samples = _of_tables(fitting, tree, options)
    named = {name for part in fitting.values() for name in part.paths}
    used = Counter(PurePosixPath(table).suffix.lower() for table in fitting)
    ignored = Counter(layout.ignored) - used
    ignored[f"images that {' and '.join(fitting)} does not name"] = sum(image not in named for image in images)
    return replace(samples, name=safe_name(name), place=tree.name, kind=f"images named by {' and '.join(fitting)}",
                   ignored=ignored, files=_container(tree), notes=(*samples.notes, *notes))  # fmt: skip


def _without_parquet(fitting: dict[str, Samples], notes: list[str], options: Options) -> dict[str, Samples]:
    """Return the tables of text where there are some: Parquet beside them may hold the same, or vectors.

    Of several Parquet tables alone none is read, unless their names tell splits or someone named a column.
    """
    chosen = {table: samples for table, samples in fitting.items() if not table.lower().endswith(PARQUET)}
    if not chosen and (len(fitting) == 1 or _tell_splits(fitting) or options.columns != Wanted()):
        return fitting
    notes += [
        f"{table} names the images as well and is not read: give it as --data for its own."
        for table in fitting
        if table not in chosen
    ]
    return chosen


def _tell_splits(tables: Iterable[str]) -> bool:
    splits = [split_of_file(table) for table in tables]
    return len(set(splits)) == len(splits) and None not in splits


def _refuse_problems(
    problems: dict[str, DataError], unreadable: set[str], fitting: list[str], options: Options
) -> None:
    """Raise where a table that cannot be used may be the one that is meant.

    It is of the split that is asked for and cannot be read, or no other table is of that split. A .json or
    .parquet may hold anything, and counts only where a column was named.

    Args:
        problems: by table.
        unreadable: those of which no row is known.
        fitting: the tables that name the images.
        options: which split and columns.

    Raises:
        DataError: the problem.
    """
    asked = None if options.split == ALL else same_split(options.split)
    is_there = any(asked is None or split_of_file(table) in (None, asked) for table in fitting)
    for table, error in problems.items():
        if PurePosixPath(table).suffix.lower() in (".json", PARQUET) and options.columns == Wanted():
            continue
        split = split_of_file(table)
        if not is_there or (table in unreadable and split is not None and asked in (None, split)):
            raise error


def _of_tables(fitting: dict[str, Samples], tree: Tree, options: Options) -> Samples:
    """Return the one table's samples, of the split that its name says, or those of the tables of each split.

    Raises:
        DataError: several tables name the images, and their names tell no splits.
    """
    splits = {table: split_of_file(table) for table in fitting}
    if len(fitting) == 1:
        (samples,), (split,) = fitting.values(), splits.values()
        return samples if split is None or samples.splits else replace(samples, splits=[split] * len(samples.ids))
    if not _tell_splits(fitting):
        raise DataError(
            f"{tree.name}: several tables name the images ({', '.join(fitting)}): give the one to read as --data."
        )
    parts = {str(splits[table]): samples for table, samples in fitting.items()}
    if options.split == ALL:
        return joined(parts)
    chosen = next((p for split, p in parts.items() if split == same_split(options.split)), None)
    if chosen is None:
        return joined(parts)  # which says what splits there are
    split = same_split(options.split)
    sizes = {name: len(part.ids) for name, part in parts.items() if name != split}
    return replace(chosen, splits=[split] * len(chosen.ids), other_splits=sizes)


def _nothing(tree: Tree, layout: Layout, tables: list[str]) -> str:
    """Return the message for a tree without images: what lies there instead."""
    most = sorted(layout.ignored.items(), key=lambda item: (-item[1], item[0]))[:6]
    there = ", ".join(agreeing(count, what) for what, count in most)
    are = "is" if sum(count for _, count in most) <= 1 else "are"
    table = f" To read a table, give it itself as --data, such as {tables[0]}." if tables else ""
    return (
        f"{tree.name}: expected image files, or one subfolder per class with image files in it, found none; there "
        f"{are} {there or 'nothing'}.{table}"
    )
