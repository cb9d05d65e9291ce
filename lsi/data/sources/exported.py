"""What an export says of itself: the names of its classes, whatever their folders are called, and what is data."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lsi.data.labels import LabelRules
from lsi.data.naming import text_of_path
from lsi.data.sources.layout import Layout
from lsi.data.sources.near import own_folder
from lsi.data.sources.parquet_tables import read_table
from lsi.data.trees import Tree
from lsi.data.trees.outputs import says_export
from lsi.errors import DataError, unreadable_passed_over

NAMES, CLASSES, CLEANED = "names.csv", "classes.csv", "cleaned.csv"
# Parquet files of every export, which hold no image
LISTS = frozenset({"cleaned.parquet", "kept_indices.parquet", "removed_indices.parquet"})
_MANIFEST = "manifest.json"
_FILES = frozenset({_MANIFEST, "audit.csv", NAMES})  # what an export writes beside copies of images


def holds_export(files: Sequence[str]) -> bool:
    """Say whether files in a folder are called as those of an export with copies of images are."""
    return _FILES.issubset(files)


def is_export(tree: Tree, names: Sequence[str]) -> bool:
    """Say whether files are those of an export that lies at the root.

    Args:
        tree: where they lie.
        names: of all files.
    """
    return {_MANIFEST, "audit.csv", CLEANED} <= set(names) and _manifest(tree, _MANIFEST) is not None


def of_export(tree: Tree, table: str) -> LabelRules | None:
    """Return that names of classes count with their blanks where a table is one of an export; None elsewhere.

    Args:
        tree: where it lies.
        table: its name.

    Raises:
        DataError: the export is of boxes, whose images the table would be taken to name.
    """
    folder = own_folder(table)
    manifest = _manifest(tree, f"{folder}/{_MANIFEST}" if folder else _MANIFEST)
    if manifest is None:
        return None
    if _noun(manifest) == "boxes":
        raise DataError(
            f"{text_of_path(table)}: an export of boxes, and its rows are parts of images: give the data that it is of "
            "with --boxes, and `lsi apply decisions.json` for what was decided."
        )
    return LabelRules("", is_text=True)


def _manifest(tree: Tree, name: str) -> dict[str, Any] | None:
    """Return the manifest of an export, None where there is none."""
    with unreadable_passed_over():
        if tree.has(name) and says_export(content := tree.read(name)):
            return json.loads(content)
    return None


def _noun(manifest: dict[str, Any]) -> str:
    """Return what the samples of an export are called."""
    dataset = manifest.get("dataset")
    plan = dataset.get("plan") if isinstance(dataset, dict) else None
    return str(plan.get("noun")) if isinstance(plan, dict) else ""


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
