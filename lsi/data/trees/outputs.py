"""What LSI Lens wrote itself and is no data, where it lies among them: its cache, exports, and sites of reports."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lsi.files import CACHE_MARK, CACHE_TAG

SITE_DATA, SITE_MARK = "data.js", "window.LSI = "  # a file of every site, and what it begins with
MANIFEST, AUDIT = "manifest.json", "audit.csv"  # files of every export
MARKS = frozenset({CACHE_TAG, SITE_DATA, AUDIT})  # one of these lies in each


def output_in(folder: Path) -> str | None:
    """Return what LSI Lens wrote into a folder, None where it is somebody else's."""
    if _begins_with(folder / CACHE_TAG, CACHE_MARK):
        return "cache of LSI Lens"
    if _begins_with(folder / SITE_DATA, SITE_MARK):
        return "site of a report"
    with suppress(OSError):
        if (folder / AUDIT).is_file() and export_manifest((folder / MANIFEST).read_bytes()) is not None:
            return "export of LSI Lens"
    return None


def export_manifest(content: bytes) -> dict[str, Any] | None:
    """Return what a manifest says, where it is that of an export rather than of a run or of something else."""
    try:
        found: Any = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("export"), dict) else None


def _begins_with(path: Path, mark: str) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark.encode()
    except OSError:
        return False
