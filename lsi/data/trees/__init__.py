"""What lies at a place: files by name, in a local folder, in a zip or tar archive, or behind an fsspec address."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from lsi.data.naming import text_of_path
from lsi.data.trees.filenames import JUNK, address_of, is_junk, local_path, redacted
from lsi.data.trees.local import LocalTree
from lsi.data.trees.members import MOST_MEMBER
from lsi.data.trees.remote import RemoteTree
from lsi.data.trees.tars import TarTree
from lsi.data.trees.zips import ZipTree
from lsi.errors import DataError, of_reading
from lsi.hashing import Stamp
from lsi.regular import open_regular

__all__ = [
    "ARCHIVES", "JUNK", "MOST_MEMBER", "LocalTree", "RemoteTree", "TarTree", "Tree", "ZipTree",
    "address_of", "is_archive", "is_junk", "local_path", "open_tree", "redacted",
]  # fmt: skip
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
ARCHIVES = (".zip", *TARS)
_HEAD = 512  # bytes that tell a zip from a tar


@runtime_checkable
class Tree(Protocol):
    """Files by their names relative to a root, with / between folders."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the name of every file below the root, links followed."""
        ...

    def left_out(self) -> dict[str, int]:
        """Return what lies below the root and is not among the names, in the plural, with its number."""
        ...

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file; any thread may call it.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        ...

    def open(self, name: str) -> io.BufferedIOBase:
        """Return a file open for reading, from which any part can be read.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        ...

    def path(self, name: str) -> Path | None:
        """Return where a file lies on this machine; None where it lies in an archive or elsewhere."""
        ...

    def stamp(self, name: str) -> Stamp | None:
        """Return a key of the content of a file: where it lies, its size, and its time of change or checksum."""
        ...


def is_archive(name: str) -> bool:
    """Say whether a file's name is that of a zip or tar archive, in any case."""
    return name.casefold().endswith(ARCHIVES)


def open_tree(path: Path | str, most: int | None = None) -> Tree:
    """Return the tree at a folder, an archive, or an address; the first bytes of an archive say which kind it is.

    Args:
        path: of the folder or the archive, or an address such as s3://bucket/photos or file:///tmp/photos.
        most: bytes that an archive may unpack to, None for any number.

    Raises:
        DataError: there is nothing, or the archive cannot be read.
        UsageError: the address needs a package that is not installed.
    """
    address = address_of(path)
    if address is not None:
        remote = RemoteTree(address)
        if not is_archive(address) or not remote.is_file():
            return remote
        kind = ZipTree if _is_zip(remote.begins_with(_HEAD), address) else TarTree
        return kind(remote.name, remote.file(), most=most)
    place = local_path(path)
    if place.is_dir():
        return LocalTree(place)
    name = text_of_path(str(place))
    if not place.is_file():
        what = "expected a folder or a regular file" if place.exists() else "no such file or folder"
        raise DataError(f"{name}: {what}.")
    try:
        with open_regular(place) as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise of_reading(f"{name}: cannot be read ({error.strerror}).", error) from None
    return (ZipTree if _is_zip(head, name) else TarTree)(name, place, place, most)


def _is_zip(head: bytes, name: str) -> bool:
    is_tar = head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    return head.startswith(b"PK") or (name.casefold().endswith(".zip") and not is_tar)
