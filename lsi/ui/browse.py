"""What lies in the folders that the app may read: choosing data step by step instead of typing a path."""

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path

from lsi.environment import data_roots
from lsi.errors import UsageError
from lsi.ui.paths import below_data_roots

UP = ".. one up"
# of files that data may lie in; what a single image is called is none
_DATA = frozenset(
    [".zip", ".tar", ".tgz", ".gz", ".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".json", ".npz", ".npy", ".txt"]
)
_LOOKED_AT = 5_000  # entries of a folder
_SHOWN = 500


def place_of(text: str) -> Path | None:
    """Return the folder that a typed path is or lies in; None for the list of all folders that may be read."""
    roots = data_roots()
    try:
        path = below_data_roots(Path(text.strip())) if text.strip() else None
    except UsageError:
        path = None
    while path is not None and not path.is_dir():
        path = None if path in roots or path == path.parent else path.parent
    return path or (roots[0] if len(roots) == 1 else None)


def entries(place: Path | None) -> list[str]:
    """Return what can be chosen in a folder: one up, folders with a slash behind, then files that may be data.

    Hidden names, single images and other files are left out, and what comes after the first few thousand entries.

    Args:
        place: the folder; None for the list of all folders that may be read.
    """
    roots = data_roots()
    if place is None:
        return [str(root) for root in roots]
    folders, files = [], []
    with suppress(OSError), os.scandir(place) as found:
        for entry in islice(found, _LOOKED_AT):
            if entry.name.startswith(".") or not entry.name.isprintable():
                continue
            with suppress(OSError):  # a link that leads round in a circle hides nothing but itself
                if entry.is_dir():
                    folders.append(f"{entry.name}/")
                elif entry.is_file() and Path(entry.name).suffix.lower() in _DATA:
                    files.append(entry.name)
    up = [UP] if place not in roots or len(roots) > 1 else []
    return [*up, *sorted(folders)[:_SHOWN], *sorted(files)[:_SHOWN]]


def step(place: Path | None, choice: str) -> Path | None:
    """Return where a choice among the entries of a folder leads; None for the list of all folders.

    Args:
        place: the folder; None for the list of all folders that may be read.
        choice: one of its entries.
    """
    if place is None:
        return Path(choice)
    if choice == UP:
        return None if place in data_roots() else place.parent
    return place / choice.rstrip("/")
