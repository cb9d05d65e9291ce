"""Reading the files of a run: one that is damaged, or of another version, is named."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lsi.errors import DataError, LsiError

_NEEDED = {"created": str, "dataset": dict, "features": dict, "settings": dict, "summary": dict}


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Read a file of a run in the block; what is wrong with it becomes an error that says so.

    Raises:
        DataError: the file is not there, or damaged.
    """
    try:
        yield
    except LsiError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: compute the run again.") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}): compute the run again.") from error


def knows_duplicates(manifest: Mapping[str, Any]) -> bool:
    """Say whether near duplicates were looked for in a run: not where features say nothing of what a sample is like."""
    return (manifest.get("near_duplicates") or {}).get("threshold") != 0


def fault_of(manifest: object) -> str:
    """Return what keeps a manifest from being one of a run, "" where nothing does."""
    if not isinstance(manifest, dict) or not manifest:
        return "it is empty or no JSON"
    missing = [name for name, kind in _NEEDED.items() if not isinstance(manifest.get(name), kind)]
    return f"it lacks {', '.join(missing)}; {written_by(manifest)}" if missing else ""


def written_by(manifest: dict[str, Any]) -> str:
    """Say which version of the program wrote a manifest."""
    return f"version {version_of(manifest)} of the program wrote it"


def version_of(manifest: dict[str, Any]) -> str:
    """Return which version of the program wrote a manifest; "?" where it does not say."""
    versions = manifest.get("versions")
    return str(versions.get("lsi", "?")) if isinstance(versions, dict) else "?"


def table_of(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Return a Parquet table of a run, or some of its columns.

    Raises:
        DataError: the file is not there, or damaged.
    """
    with told(path):
        return pd.read_parquet(path, columns=columns)


@contextmanager
def arrays_of(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Open an .npz of a run; None of its arrays may hold Python objects.

    Raises:
        DataError: the file is not there, or damaged.
    """
    with told(path), path.open("rb") as file, np.load(file) as arrays:  # given a path, NumPy leaves a broken one open
        yield arrays
