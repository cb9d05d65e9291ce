"""Uploaded data: bounded in size, number of files and unpacked size, kept under the hash of their content."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from lsi.data.images import SUFFIXES
from lsi.errors import DataError
from lsi.files import atomic
from lsi.hashing import fingerprint

TYPES = ["zip", "npz", "parquet", "csv"]
MOST_FILES = 100_000
MOST_BYTES = 2 * 2**30
_INSIDE = SUFFIXES | {".csv", ".parquet"}


def store_upload(name: str, content: bytes, folder: Path) -> Path:
    """Store an upload and return the path to compute from; an archive is unpacked.

    Args:
        name: of the file as its owner calls it; only its suffix is used.
        content: the file's bytes.
        folder: where uploads are kept, each under the hash of its content.

    Raises:
        DataError: its type is not taken, or an archive holds too much, or paths that lead out of it.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix.removeprefix(".") not in TYPES:
        raise DataError(f"Expected a file of type {', '.join(TYPES)}, got {PurePosixPath(name).name!r}.")
    place = folder / fingerprint(content)
    if suffix == ".zip":
        return entry_point(place) if place.is_dir() else _unpack(content, place)
    path = place / f"data{suffix}"
    if not path.exists():
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return path


def entry_point(folder: Path) -> Path:
    """Return the manifest or Parquet file at the top of an unpacked archive, or the folder with the classes."""
    while True:
        tables = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".csv", ".parquet"))
        inside = sorted(folder.iterdir())
        if tables:
            return tables[0]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        folder = inside[0]


def _unpack(content: bytes, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic(place.with_suffix(".zip")) as temporary:
        temporary.write_bytes(content)
    packed, unpacked = place.with_suffix(".zip"), place.with_suffix(".partial")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        with zipfile.ZipFile(packed) as archive:
            for member in _checked(archive):
                archive.extract(member, unpacked)
        unpacked.rename(place)
    except zipfile.BadZipFile as error:
        raise DataError(f"The archive cannot be read: {error}.") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        packed.unlink(missing_ok=True)
    return entry_point(place)


def _checked(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members that are data, after every check that needs no unpacking."""
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) > MOST_FILES:
        raise DataError(f"Expected an archive of at most {MOST_FILES:,} files, got {len(members):,}.")
    total = sum(m.file_size for m in members)  # what zipfile then enforces member by member
    if total > MOST_BYTES:
        raise DataError(f"Expected at most {MOST_BYTES / 2**30:.0f} GiB unpacked, got {total / 2**30:.1f} GiB.")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise DataError(f"The archive holds a path that leads out of it: {member.filename!r}.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"The archive holds a link: {member.filename!r}.")
    data = [m for m in members if PurePosixPath(m.filename).suffix.lower() in _INSIDE]
    if not data:
        raise DataError("The archive holds no images, CSV or Parquet file.")
    return data
