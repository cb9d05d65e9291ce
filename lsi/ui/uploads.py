"""Uploaded data: kept as they come, under the hash of their content; archives are looked through and never unpacked."""

import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lsi.data.trees import ZipTree
from lsi.errors import DataError, StorageError
from lsi.files import atomic
from lsi.hashing import fingerprint

TYPES = ["zip", "tar", "parquet", "csv", "tsv", "jsonl", "npz", "npy"]
MOST_FILES = 100_000
MOST_BYTES = 2 * 2**30
_LONGEST_NAME = 60


@dataclass(frozen=True)
class _Member:
    """A file in an archive: its name, its unpacked size in bytes, and whether it is only a reference to another."""

    name: str
    size: int
    is_link: bool


def store_upload(name: str, content: bytes, folder: Path) -> Path:
    """Store an upload and return the path to compute from; an archive is checked, and stays packed.

    Args:
        name: of the file as its owner calls it; its letters and its suffix are kept.
        content: the file's bytes.
        folder: where uploads are kept, each under the hash of its content.

    Raises:
        DataError: its type is not taken, or an archive is broken, holds too much, or holds what leads out of it.
        StorageError: it cannot be written.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    suffix = path.suffix.lower()
    if suffix.removeprefix(".") not in TYPES:
        raise DataError(f"Expected a file of type {', '.join(TYPES)}, got {path.name!r}.")
    if not content:
        raise DataError(f"{path.name}: the file is empty.")
    place = folder / fingerprint(content) / "data"  # alone in a folder: paths in a table are tried in its neighbours
    kept = next(place.glob(f"*{suffix}"), None)
    if kept is not None:
        return kept
    stem = re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")[:_LONGEST_NAME]
    kept = place / f"{stem or 'data'}{suffix}"
    try:
        with atomic(kept) as temporary:
            temporary.write_bytes(content)
            _check(path.name, suffix, temporary)
    except OSError as error:
        raise StorageError(f"{path.name} cannot be kept: {error.strerror or error}.") from error
    return kept


def _check(name: str, suffix: str, path: Path) -> None:
    """Raise where an archive cannot be read in place, or holds more than may be read, going by its directory alone."""
    if suffix in (".zip", ".npz"):
        ZipTree(name, path, None)  # password, method of compression, damage
        with zipfile.ZipFile(path) as archive:
            files = [m for m in archive.infolist() if not m.is_dir()]
        links = [stat.S_ISLNK(m.external_attr >> 16) for m in files]
        members = [_Member(m.filename, m.file_size, link) for m, link in zip(files, links, strict=True)]
    elif suffix == ".tar":
        try:
            with tarfile.open(path, mode="r:") as archive:
                members = [_Member(m.name, m.size, m.issym() or m.islnk()) for m in archive if not m.isdir()]
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise DataError(f"{name}: the archive cannot be read ({error}).") from None
    else:
        return
    _check_members(name, members)


def _check_members(archive: str, members: Iterable[_Member]) -> None:
    total = 0
    for number, member in enumerate(members, start=1):
        path = PurePosixPath(member.name.replace("\\", "/"))
        shown = member.name if len(member.name) <= _LONGEST_NAME else member.name[:_LONGEST_NAME] + "…"
        if number > MOST_FILES:
            raise DataError(f"{archive}: expected at most {MOST_FILES:,} files, and {shown!r} is one more.")
        if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", path.parts[0] if path.parts else ""):
            raise DataError(f"{archive}: the path {shown!r} leads out of the archive.")
        if member.is_link:
            raise DataError(f"{archive}: {shown!r} is a link; pack the files themselves.")
        total += member.size
        if total > MOST_BYTES:
            raise DataError(
                f"{archive}: expected at most {MOST_BYTES / 2**30:.3g} GiB unpacked; up to {shown!r} there are "
                f"{total / 2**30:.3g} GiB."
            )
