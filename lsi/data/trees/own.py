"""Folders that this program wrote: exports, sites and caches, which are no data where they lie among them."""

from collections.abc import Callable
from pathlib import Path

from lsi.files import CACHE_TAG, is_tagged_cache

SITE_FILES, SITE_MARK = ("index.html", "data.js"), "window.LSI = "  # what the second of them begins with
EXPORT_FILES = ("manifest.json", "audit.csv", "decisions.json", "subset.py")


def written_here(folder: Path, has: Callable[[str], bool]) -> str | None:
    """Return what this program wrote a folder as, in the plural; None where it did not.

    Args:
        folder: its path.
        has: says whether a file of a name lies in it.
    """
    if has(CACHE_TAG) and is_tagged_cache(folder):
        return "caches of LSI Lens"
    if all(map(has, EXPORT_FILES)):
        return "exports of LSI Lens"
    if all(map(has, SITE_FILES)) and _begins_with(folder / SITE_FILES[1], SITE_MARK):
        return "sites of LSI Lens"
    return None


def _begins_with(path: Path, text: str) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(text)) == text.encode()
    except OSError:
        return False
