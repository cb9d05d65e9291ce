"""What leaves: index lists, tables and image folders of a curated subset."""

from lsi.export.check import check_selection
from lsi.export.images import ImageFormat, refuse_changed, write_images
from lsi.export.lists import FORMATS, Format, export, issue_table, relabel_table, write_decisions, write_indices
from lsi.export.selection import (
    Selection,
    decision_records,
    duplicates_to_drop,
    exclusion_records,
    records_to_add,
    select,
    selection_from_records,
    selection_of,
)
from lsi.export.tables import audit_table, spreadsheet_safe

__all__ = [
    "FORMATS",
    "Format",
    "ImageFormat",
    "Selection",
    "audit_table",
    "check_selection",
    "decision_records",
    "duplicates_to_drop",
    "exclusion_records",
    "export",
    "issue_table",
    "records_to_add",
    "refuse_changed",
    "relabel_table",
    "select",
    "selection_from_records",
    "selection_of",
    "spreadsheet_safe",
    "write_decisions",
    "write_images",
    "write_indices",
]
