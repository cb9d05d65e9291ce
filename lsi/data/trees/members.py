"""What zip and tar archives have in common: names of members, links among them, and what they may unpack to."""

import io
import posixpath
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast

from lsi.errors import DataError

MOST_MEMBER = 2**31  # bytes that one file of an archive may unpack to
_SPARE_DISK = 2**30  # bytes that stay free where an archive is unpacked
_DRIVE = re.compile(r"[A-Za-z]:")
LEADS_OUT = "members whose names lead out of the archive"
REPLACED = "older members of the same name"
NOWHERE = "links that lead to no file in the archive"
SPECIAL = "devices, pipes and sparse files"

Place = TypeVar("Place")


class Archive:
    """What zip and tar archives answer alike: `_members` are their files by name, `_others` counts all else."""

    name: str
    _members: dict[str, Any]
    _others: Counter[str]

    def names(self) -> Iterator[str]:
        """Yield the name of every file in the archive, in its order."""
        yield from self._members

    def left_out(self) -> dict[str, int]:
        """Return what lies in the archive and is no file of it, with its number."""
        return dict(+self._others)

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name."""
        return name in self._members

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        raise NotImplementedError

    def open(self, name: str) -> io.BufferedIOBase:
        """Return a file's content as an open file.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        return io.BytesIO(self.read(name))

    def path(self, name: str) -> None:
        """Return None: the file lies in an archive."""

    def _replaced(self, name: str, links: dict[str, Any]) -> None:
        """Forget an older member of the same name, and count it."""
        self._others[REPLACED] += name in self._members or name in links
        self._members.pop(name, None)
        links.pop(name, None)


def inside(name: str) -> str | None:
    """Return a member's name with single / between folders, None where it leads out of the archive."""
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part != "."]
    is_out = path.is_absolute() or ".." in parts or not parts or _DRIVE.match(parts[0])
    return None if is_out else "/".join(parts)


def resolve(links: Mapping[str, str], members: dict[str, Place], left_out: Counter[str]) -> None:
    """Add the links that lead to a file of the archive to its members, count all others.

    Args:
        links: target by name, both relative to the root of the archive.
        members: place of the content by name; links are added to it.
        left_out: where links that lead nowhere are counted.
    """
    for name in links:
        target = name
        for _ in range(40):  # as many steps as Linux takes
            target = links.get(target, target)
            if target not in links:
                break
        if target in members:
            members[name] = members[target]
        else:
            left_out[NOWHERE] += 1


def beside(name: str, target: str) -> str:
    """Return where a link leads, relative to the root of the archive."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def check_member(archive: str, name: str, size: int) -> None:
    """Raise where a member unpacks to more than a file may have.

    Args:
        archive: what the message names.
        name: of the member.
        size: in bytes, unpacked.

    Raises:
        DataError: it does.
    """
    if size > MOST_MEMBER:
        raise DataError(f"{archive}: {name} unpacks to {_gib(size)}, more than the {_gib(MOST_MEMBER)} of one file.")


def check_total(archive: str, sizes: Iterable[int], most: int | None) -> None:
    """Raise where an archive unpacks to more than it may.

    Args:
        archive: what the message names.
        sizes: of its members in bytes, unpacked.
        most: bytes that it may unpack to, None for any number.

    Raises:
        DataError: it does.
    """
    if most is not None and (total := sum(sizes)) > most:
        raise DataError(f"{archive}: the archive unpacks to {_gib(total)}, more than the {_gib(most)} allowed.")


def spooled(archive: str, stream: Any, most: int | None) -> io.BufferedIOBase:
    """Return a stream's content as a temporary file, which vanishes when it is closed.

    Args:
        archive: what the message names.
        stream: what is copied, with a method `read`.
        most: bytes that it may have, None for as many as the disk holds.

    Raises:
        DataError: it is larger, or the disk is too small.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the tree
    folder = tempfile.gettempdir()
    size = 0
    try:
        for number, block in enumerate(iter(lambda: stream.read(2**20), b"")):
            size += len(block)
            if most is not None and size > most:
                raise DataError(f"{archive}: the archive unpacks to more than the {_gib(most)} allowed.")
            if number % 64 == 0 and shutil.disk_usage(folder).free < _SPARE_DISK:
                raise DataError(f"{archive}: the disk of {folder} is too small to unpack the archive.")
            file.write(block)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("io.BufferedIOBase", file)


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**29 else f"{size / 2**20:,.1f} MiB"
