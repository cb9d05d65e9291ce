"""A zip archive as a tree of files, read in place."""

import bz2
import contextlib
import io
import lzma
import stat
import struct
import threading
import weakref
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lsi.data.trees.members import (
    LEADS_OUT,
    SPECIAL,
    Archive,
    beside,
    check_member,
    check_total,
    inside,
    resolve,
)
from lsi.errors import DataError, UnreachableError, of_reading
from lsi.hashing import Stamp

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_NAMES_OF_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}
_HEADER = struct.Struct("<4s22xHH")  # of a member: its mark, and the lengths of its name and of its extra field
_MOST_DICTIONARY = 2**28  # bytes that an LZMA member may keep in memory besides
_UTF8_FLAG = 0x800


@dataclass
class ZipTree(Archive):
    """A zip archive, read in place from any thread.

    Attributes:
        name: what messages call it.
        source: the file, by its path or open.
        file: its path on this machine, None where it has none.
        most: bytes that it may unpack to, None for any number.
    """

    name: str
    source: Path | io.BufferedIOBase
    file: Path | None = None
    most: int | None = None
    _members: dict[str, zipfile.ZipInfo] = field(default_factory=dict, repr=False)
    _others: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        try:
            self._file = self._opened()
            members = zipfile.ZipFile(self._file).infolist()
        except UnicodeDecodeError:
            raise DataError(f"{self.name}: the archive cannot be read (a name in it is no UTF-8).") from None
        except UnreachableError:
            raise
        except Exception as error:  # zipfile and struct have errors of their own
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            said = f"{self.name}: the archive cannot be read ({reason}); is it complete?"
            raise of_reading(said, error.__context__ or error) from None  # zipfile hides what the disk said
        uses_backslashes = not any("/" in member.filename for member in members)
        links: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            self._add(member, _name(member, uses_backslashes), links)
        for name, member in (self._members | links).items():
            self._check(name, member)
        check_total(self.name, (member.file_size for member in self._members.values()), self.most)
        targets = {name: beside(name, self._unpacked(name, member).decode(errors="replace")[:4096])
                   for name, member in links.items() if member.file_size <= 4096}  # fmt: skip
        resolve(targets, self._members, self._others)

    def _opened(self) -> io.BufferedIOBase:
        if not isinstance(self.source, Path):
            return self.source
        file = self.source.open("rb")
        weakref.finalize(self, file.close)
        return file

    def _add(self, member: zipfile.ZipInfo, full_name: str, links: dict[str, zipfile.ZipInfo]) -> None:
        if full_name.endswith("/"):
            return
        name = inside(full_name)
        kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == 3 else 0
        if name is None:
            self._others[LEADS_OUT] += 1
        elif kind not in (0, stat.S_IFREG, stat.S_IFLNK):
            self._others[SPECIAL] += 1
        else:
            self._replaced(name, links)
            (links if kind == stat.S_IFLNK else self._members)[name] = member

    def _check(self, name: str, member: zipfile.ZipInfo) -> None:
        if member.compress_type not in _METHODS:
            method = _NAMES_OF_METHODS.get(member.compress_type, f"method {member.compress_type}")
            raise DataError(
                f"{self.name}: {name} is packed with {method}, which Python cannot unpack: unpack the archive first."
            )
        if member.flag_bits & 1:
            raise DataError(f"{self.name}: {name} is protected by a password: unpack the archive first.")

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: it is not there, is damaged or larger than a file may be.
        """
        member = self._members.get(name)
        if member is None:
            raise DataError(f"{self.name}: there is no file {name} in it.")
        check_member(self.name, name, member.file_size)
        return self._unpacked(name, member)

    def _unpacked(self, name: str, member: zipfile.ZipInfo) -> bytes:
        try:
            content = _unpack(self._packed(member), member)
        except UnreachableError:
            raise
        except Exception as error:  # zlib, bz2 and lzma have errors of their own
            said = str(error) or type(error).__name__
            raise of_reading(f"{self.name}: {name} cannot be unpacked ({said}).", error) from None
        if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
            raise DataError(f"{self.name}: {name} cannot be unpacked (its size or checksum is wrong).")
        return content

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        with self._lock:
            self._file.seek(member.header_offset)
            mark, n_name, n_extra = _HEADER.unpack(self._file.read(_HEADER.size))
            if mark != b"PK\x03\x04":
                raise ValueError("it does not lie where the archive says")
            self._file.seek(n_name + n_extra, io.SEEK_CUR)
            return self._file.read(member.compress_size)

    def stamp(self, name: str) -> Stamp | None:
        """Return where the file lies, its size and its checksum in the archive."""
        member = self._members.get(name)
        place = self.name if self.file is None else self.file.absolute()
        return None if member is None else (f"{place}#{name}", member.file_size, member.CRC)


def _unpack(packed: bytes, member: zipfile.ZipInfo) -> bytes:
    """Return a member's content; where more comes than it claims to hold, one byte more than that."""
    most = member.file_size + 1
    if member.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, most)
    if member.compress_type == zipfile.ZIP_LZMA:
        length, properties, dictionary = struct.unpack_from("<2xHBI", packed)
        if dictionary > _MOST_DICTIONARY:
            raise ValueError("it needs too much memory")
        rest, lc = divmod(properties, 9)
        pb, lp = divmod(rest, 5)
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed[4 + length :], most)
    return packed


def _name(member: zipfile.ZipInfo, uses_backslashes: bool) -> str:
    r"""Return a member's name as its writer meant it: UTF-8 without the flag of macOS, and PowerShell's \ as /."""
    name = member.filename
    if not member.flag_bits & _UTF8_FLAG and not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/") if uses_backslashes else name
