"""What an export says of the images that it copied: class names as they are, whatever their folders are called."""

from collections.abc import Sequence
from dataclasses import replace

from lsi.data.labels import LabelRules
from lsi.data.sources.layout import Layout
from lsi.data.sources.near import own_folder
from lsi.data.sources.parquet_tables import read_table
from lsi.data.trees import Tree
from lsi.data.trees.outputs import says_export
from lsi.errors import DataError, unreadable_passed_over

NAMES, CLASSES = "names.csv", "classes.csv"
_MANIFEST = "manifest.json"
_FILES = frozenset({_MANIFEST, "audit.csv", NAMES})  # what an export writes beside copies of images


def holds_export(files: Sequence[str]) -> bool:
    """Say whether files in a folder are called as those of an export with copies of images are."""
    return _FILES.issubset(files)


def of_export(tree: Tree, table: str) -> LabelRules | None:
    """Return that names of classes count with their blanks where a table is one of an export; None elsewhere."""
    folder = own_folder(table)
    manifest = f"{folder}/{_MANIFEST}" if folder else _MANIFEST
    with unreadable_passed_over():
        if tree.has(manifest) and says_export(tree.read(manifest)):
            return LabelRules("", is_text=True)
    return None


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
