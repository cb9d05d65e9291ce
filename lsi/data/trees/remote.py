"""Files behind an fsspec address, such as s3://bucket/folder, as a tree."""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import Any

from lsi.data.trees.filenames import redacted
from lsi.errors import DataError, UnreachableError, UsageError
from lsi.hashing import Stamp

_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")
_BLOCK = 2**20  # bytes of one request at least: members of an archive are small
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # our extra by scheme
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "s3a": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
}


@dataclass
class RemoteTree:
    """Files behind an address; they are listed once, and any thread may read them."""

    address: str = field(repr=False)  # it may carry a password

    @property
    def name(self) -> str:
        """The address without passwords."""
        return redacted(self.address)

    @property
    def is_listed(self) -> bool:
        """Whether its files are known, so that asking for one asks the store nothing."""
        return "_files" in vars(self)

    @property
    def _scheme(self) -> str:
        return self.address.partition(":")[0]

    @cached_property
    def _place(self) -> tuple[Any, str]:
        try:
            import fsspec

            filesystem, root = fsspec.core.url_to_fs(self.address)
        except ImportError as error:
            extra = _EXTRAS.get(self._scheme)
            advice = f"pip install 'lsi-lens[{extra}]'" if extra else str(error)
            raise UsageError(f"{self.name}: {self._scheme} addresses need a package of their own: {advice}.") from None
        except ValueError:
            raise UsageError(f"{self.name}: addresses that begin with {self._scheme}:// are not known.") from None
        except Exception as error:  # each file system has errors of its own
            raise self._error("", error) from None
        return filesystem, root.rstrip("/")

    @cached_property
    def _files(self) -> dict[str, dict[str, Any]]:
        filesystem, root = self._place
        try:
            filesystem.invalidate_cache(root)  # fsspec keeps file systems and their listings for the whole process
            found = filesystem.find(root, detail=True)
        except Exception as error:
            raise self._error("", error) from None
        names = {name.removeprefix(root).lstrip("/"): facts for name, facts in found.items()}
        names = {name: facts for name, facts in names.items() if name and not name.endswith("/")}
        if not names and not self.is_file():
            raise DataError(f"{self.name}: there is no file or folder of that name, or the folder is empty.")
        return names

    def _error(self, name: str, error: Exception, *, was_there: bool = False) -> DataError:
        """Return the error for what a file system refuses; but for a file that never was there, it may pass."""
        place = f"{self.name}/{name}" if name else self.name
        kind = DataError if isinstance(error, FileNotFoundError) and not was_there else UnreachableError
        return kind(f"{place}: cannot be read: {_reason(error, self._scheme)}.")

    def file(self) -> io.BufferedIOBase:
        """Return the address itself as an open file.

        Raises:
            DataError: it cannot be read.
        """
        return self._opened("")

    def begins_with(self, size: int) -> bytes:
        """Return the first bytes of the file at the address.

        Raises:
            DataError: it cannot be read.
        """
        filesystem, root = self._place
        try:
            return filesystem.cat_file(root, start=0, end=size)
        except Exception as error:
            raise self._error("", error) from None

    def is_file(self) -> bool:
        """Say whether the address is a file rather than a folder.

        Raises:
            DataError: the place cannot be reached.
        """
        filesystem, root = self._place
        try:
            return bool(filesystem.isfile(root))
        except Exception as error:
            raise self._error("", error) from None

    def _opened(self, name: str) -> io.BufferedIOBase:
        filesystem, root = self._place
        try:
            file = filesystem.open(f"{root}/{name}" if name else root, "rb", block_size=_BLOCK)
        except Exception as error:
            raise self._error(name, error) from None
        return io.BufferedReader(_Failing(file, partial(self._error, name, was_there=True)))

    def names(self) -> Iterator[str]:
        """Yield the name of every file below the address.

        Raises:
            DataError: there is nothing, or it cannot be listed.
        """
        yield from self._files

    def left_out(self) -> dict[str, int]:
        """Return nothing: whatever lies there is a file."""
        return {}

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name.

        Raises:
            DataError: the files cannot be listed.
        """
        return name in self._files

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: it cannot be read.
        """
        filesystem, root = self._place
        try:
            return filesystem.cat_file(f"{root}/{name}")
        except Exception as error:
            raise self._error(name, error) from None

    def open(self, name: str) -> io.BufferedIOBase:
        """Return a file, open for reading.

        Raises:
            DataError: it cannot be read.
        """
        return self._opened(name)

    def path(self, name: str) -> None:
        """Return None: the file lies elsewhere."""

    def stamp(self, name: str) -> Stamp | None:
        """Return address, size and a hash of what the store says of the file's version; None where it says nothing."""
        facts = self._files.get(name)
        if facts is None:
            return None
        version = next((facts[key] for key in _VERSIONS if facts.get(key)), None)
        if version is None:
            return None
        return f"{self.name}/{name}", int(facts.get("size") or 0), zlib.crc32(str(version).encode())


class _Failing(io.RawIOBase):
    """An open file of another machine, of which whatever fails in the middle is told as its tree tells it."""

    def __init__(self, file: Any, told: Callable[[Exception], DataError]) -> None:
        """Take the file, and what makes an error of that which it raises."""
        self._file, self._told = file, told

    def readable(self) -> bool:
        """Say that it is for reading."""
        return True

    def seekable(self) -> bool:
        """Say whether any part of it can be read."""
        return self._file.seekable()

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer, and return how many these are."""
        try:
            return self._file.readinto(buffer)
        except Exception as error:  # each file system has errors of its own
            raise self._told(error) from None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; one that no file has is an error of whoever asks for it."""
        try:
            return self._file.seek(offset, whence)
        except ValueError:
            raise
        except Exception as error:
            raise self._told(error) from None

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._file.close()
        super().close()


def parent_of(address: str) -> tuple[str, str]:
    """Return the address of a file's folder, and the file's own name."""
    scheme, _, place = address.partition("://")
    path = PurePosixPath(place)
    return f"{scheme}://{path.parent}", path.name


def _reason(error: Exception, scheme: str) -> str:
    """Return why a file system refuses, in words."""
    kind, text = type(error).__name__, redacted(" ".join(str(error).split()))
    if "bucket does not exist" in text or "NoSuchBucket" in text:
        return "there is no such bucket"
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        return f"no credentials were found: {_CREDENTIALS.get(scheme, 'set them as its documentation says')}"
    if isinstance(error, PermissionError) or "Forbidden" in text:
        return "access is denied with the credentials that are set"
    if isinstance(error, FileNotFoundError):
        return "there is no file or folder of that name"
    if "connect" in kind.casefold() or isinstance(error, ConnectionError | TimeoutError) or "Timeout" in kind:
        return f"the server cannot be reached ({text})"
    return f"{kind}: {text}" if text else kind
