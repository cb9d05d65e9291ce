"""What an export says of itself: the names of its classes, whatever their folders are called, and what is data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from lsi.data.labels import LabelRules
from lsi.data.naming import text_of_path
from lsi.data.sources.layout import Layout
from lsi.data.sources.near import own_folder
from lsi.data.sources.parquet_tables import read_table
from lsi.data.trees import Tree
from lsi.data.trees.outputs import AUDIT, MANIFEST, export_manifest
from lsi.errors import DataError, unreadable_passed_over

NAMES, CLASSES, CLEANED = "names.csv", "classes.csv", "cleaned.csv"
# Parquet files of every export, which hold no image
LISTS = frozenset({"cleaned.parquet", "kept_indices.parquet", "removed_indices.parquet"})
_FILES = frozenset({MANIFEST, AUDIT, NAMES})  # what an export writes beside copies of images


def holds_export(files: Sequence[str]) -> bool:
    """Say whether files in a folder are called as those of an export with copies of images are."""
    return _FILES.issubset(files)


def is_export(tree: Tree, names: Sequence[str]) -> bool:
    """Say whether files are those of an export that lies at the root.

    Args:
        tree: where they lie.
        names: of all files.
    """
    return {MANIFEST, AUDIT, CLEANED} <= set(names) and of_export(tree, CLEANED) is not None


def of_export(tree: Tree, table: str) -> dict[str, Any] | None:
    """Return the manifest of the export that a table is of, None where it is of none.

    Args:
        tree: where it lies.
        table: its name.
    """
    folder = own_folder(table)
    manifest = f"{folder}/{MANIFEST}" if folder else MANIFEST
    with unreadable_passed_over():
        if tree.has(manifest):
            return export_manifest(tree.read(manifest))
    return None


def class_rules(manifest: dict[str, Any] | None) -> LabelRules | None:
    """Return that names of classes count with their blanks in tables of an export; None elsewhere."""
    return None if manifest is None else LabelRules("", is_text=True)


def refuse_parts(manifest: dict[str, Any] | None, table: str) -> None:
    """Raise where a table is of an export of boxes and names the images that they are parts of, not copies of them.

    Args:
        manifest: of the export, if it is of one.
        table: its name.

    Raises:
        DataError: it does.
    """
    dataset = manifest.get("dataset") if manifest is not None else None
    plan = dataset.get("plan") if isinstance(dataset, dict) else None
    own = PurePosixPath(table)
    has_copies = own.name == NAMES or (own.suffix == ".parquet" and own.name not in LISTS)
    if isinstance(plan, dict) and plan.get("noun") == "boxes" and not has_copies:
        raise DataError(
            f"{text_of_path(table)}: an export of boxes, and its rows are parts of images: give the data that it is of "
            "with --boxes, and `lsi apply decisions.json` for what was decided."
        )


def with_class_names(tree: Tree, layout: Layout) -> Layout:
    """Return a layout whose classes have the names that an export gives the folders, with a note where they differ."""
    folder = next((f for f in layout.table_folders if holds_export(f.files) and CLASSES in f.files), None)
    if folder is None:
        return layout
    try:
        frame, _ = read_table(tree, folder.child(CLASSES))
    except DataError as error:
        return replace(layout, notes=[*layout.notes, f"The folders are the labels, for {error}"])
    if not {"folder", "name"} <= set(frame.columns):
        return layout
    names = dict(zip(frame["folder"], frame["name"], strict=True))
    groups = [replace(group, label=names.get(group.label, group.label)) for group in layout.groups]
    if groups == layout.groups:
        return layout
    note = f"The classes are called as {CLASSES} says, some of their folders otherwise."
    return replace(layout, groups=groups, notes=[*layout.notes, note])
