"""A tar archive as a tree of files: a plain one is read in place, a packed one from a temporary copy."""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lsi.data.naming import text_of_path
from lsi.data.plan import counted
from lsi.data.trees.members import (
    LEADS_OUT,
    SPECIAL,
    Archive,
    beside,
    check_member,
    check_total,
    inside,
    resolve,
    spooled,
)
from lsi.errors import DataError, of_reading
from lsi.hashing import Stamp, stamp_of

_HEADER = 512  # bytes of a header block; one of zeros ends an archive


@dataclass
class TarTree(Archive):
    """A tar archive, read from any thread.

    Attributes:
        name: what messages call it.
        source: the file, by its path or open; an open one is copied.
        file: its path on this machine, None where it has none.
        most: bytes that it may unpack to, None for any number.
    """

    name: str
    source: Path | io.BufferedIOBase
    file: Path | None = None
    most: int | None = None
    _members: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    _others: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._copy: io.BufferedIOBase | None = None
        try:
            self._copy = self._unpacked()
            if self._copy is not None:
                weakref.finalize(self, self._copy.close)
            with self._data() as data:
                self._list(data)
        except DataError:
            raise
        except OSError as error:
            said = f"{self.name}: the archive cannot be read ({error.strerror or error})."
            raise of_reading(said, error) from None
        except Exception as error:  # tarfile, zlib, lzma and Arrow have errors of their own
            said = f"{self.name}: the archive cannot be read ({error}); is it complete?"
            raise of_reading(said, error) from None
        check_total(self.name, (size for _, size in self._members.values()), self.most)

    def _unpacked(self) -> io.BufferedIOBase | None:
        """Return a packed or remote archive as a plain temporary file, None for one that can be read in place."""
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(self.source.open("rb")) if isinstance(self.source, Path) else self.source
            head = raw.read(6)
            raw.seek(0)
            stream = _stream(raw, head)
            if stream is None and isinstance(self.source, Path):
                return None
            return spooled(self.name, stream or raw, self.most)

    @contextlib.contextmanager
    def _data(self) -> Iterator[io.BufferedIOBase]:
        if self._copy is not None:
            with self._lock:
                yield self._copy
        else:  # opened each time: thousands of shards would be more files than a process may hold open
            with cast("Path", self.source).open("rb") as file:
                yield file

    def _list(self, data: io.BufferedIOBase) -> None:
        links: dict[str, str] = {}
        with tarfile.open(fileobj=data, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                self._add(member, links)
            data.seek(archive.offset)  # type: ignore[attr-defined]
        if data.read(_HEADER).strip(b"\0"):  # tarfile stops there without a word
            raise DataError(f"{self.name}: the archive is damaged after {counted(len(self._members), 'file')}.")
        resolve(links, self._members, self._others)

    def _add(self, member: tarfile.TarInfo, links: dict[str, str]) -> None:
        name = inside(member.name)
        if member.isdir():
            return
        if name is None:
            self._others[LEADS_OUT] += 1
            return
        is_link = member.islnk() or member.issym()
        if not is_link and (not member.isreg() or member.issparse()):
            self._others[SPECIAL] += 1
            return
        self._replaced(name, links)
        if is_link:
            links[name] = beside("" if member.islnk() else name, member.linkname)
        else:
            self._members[name] = (member.offset_data, member.size)

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: it is not there, is larger than a file may be, or the archive ends within it.
        """
        if name not in self._members:
            raise DataError(f"{self.name}: there is no file {text_of_path(name)} in it.")
        offset, size = self._members[name]
        check_member(self.name, text_of_path(name), size)
        try:
            with self._data() as data:
                data.seek(offset)
                content = data.read(size)
        except OSError as error:
            said = f"{self.name}: {text_of_path(name)} cannot be read ({error.strerror or error})."
            raise of_reading(said, error) from None
        if len(content) < size:
            raise DataError(f"{self.name}: the archive ends within {text_of_path(name)}.")
        return content

    def stamp(self, name: str) -> Stamp | None:
        """Return where the file lies, with size and time of change of the archive; None where it has none."""
        return None if self.file is None or name not in self._members else stamp_of(self.file, name)


def _stream(raw: Any, head: bytes) -> Any:
    """Return what unpacks a stream, by its first bytes, whatever its name; None for one that is not packed."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(raw)
    if head.startswith(b"BZh"):
        return bz2.open(raw)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.open(raw)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa  # Python has Zstandard from 3.14 on

        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return None
