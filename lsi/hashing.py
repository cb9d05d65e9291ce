"""Hashes of content: of arrays and files, and of everything that a result depends on; and stamps of files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lsi.regular import open_regular

Stamp = tuple[str, int, int]  # where content lies, and the size in bytes and time of change in ns of its file
FORMAT = 2  # of everything in the cache; rises when entries of before must not be read


def key(**ingredients: Any) -> str:
    """Return a hash of everything that goes into a result, the cache format included: 16 hex digits.

    Raises:
        TypeError: an ingredient is no plain value or path; arrays go in by their `fingerprint`.
    """
    text = json.dumps({"format": FORMAT, **ingredients}, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"Expected a plain value as an ingredient of a key, got {type(value).__name__}.")


def fingerprint(*parts: bytes | np.ndarray | str) -> str:
    """Return a hash of content: bytes, text, and arrays with their dtype and shape."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")
        else:
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()


def fingerprint_of_texts(*columns: Iterable[Any]) -> str:
    """Return a hash of columns of any values, by their text."""
    digest = hashlib.blake2b(digest_size=16)
    for column in columns:
        digest.update(b"\0column")
        for value in column:
            data = str(value).encode("utf-8", "surrogateescape")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """Return the BLAKE2b checksum of a file's content."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def stamp_of(file: Path, within: str = "") -> Stamp | None:
    """Return the stamp of a file, or of a part of it that is called `within`; None where there is no such file."""
    try:
        status = file.stat()
    except (OSError, ValueError):  # no file can have a name with a NUL
        return None
    return f"{file.absolute()}#{within}" if within else str(file.absolute()), status.st_size, status.st_mtime_ns
