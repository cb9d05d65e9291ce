"""What leaves: index lists, tables and image folders of a curated subset."""

from lsi.export.check import check_selection
from lsi.export.image_folders import refuse_links
from lsi.export.images import ImageFormat, note_images, refuse_changed, refuse_overwriting, write_images
from lsi.export.leaks import has_splits, leak_table, leaks, leaks_to_drop, why_no_duplicates
from lsi.export.lists import (
    FORMATS,
    Format,
    excluded_before,
    export,
    issue_table,
    relabel_table,
    run_behind,
    totals,
    write_decisions,
    write_indices,
)
from lsi.export.selection import (
    Selection,
    duplicates_to_drop,
    n_without_sample,
    select,
    selection_from_records,
    selection_of,
    spread,
)
from lsi.export.tables import audit_table, final_labels, n_without_class, planted_labels, spreadsheet_safe
from lsi.export.tools import Tool, refuse_tool, write_for

__all__ = [
    "FORMATS",
    "Format",
    "ImageFormat",
    "Selection",
    "Tool",
    "audit_table",
    "check_selection",
    "duplicates_to_drop",
    "excluded_before",
    "export",
    "final_labels",
    "has_splits",
    "issue_table",
    "leak_table",
    "leaks",
    "leaks_to_drop",
    "n_without_class",
    "n_without_sample",
    "note_images",
    "planted_labels",
    "refuse_changed",
    "refuse_links",
    "refuse_overwriting",
    "refuse_tool",
    "relabel_table",
    "run_behind",
    "select",
    "selection_from_records",
    "selection_of",
    "spread",
    "spreadsheet_safe",
    "totals",
    "why_no_duplicates",
    "write_decisions",
    "write_for",
    "write_images",
    "write_indices",
]
