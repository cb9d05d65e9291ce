"""A tree of files in memory, for tests that look at thousands of them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lsi.errors import DataError


@dataclass
class MemoryTree:
    """Files by name; it stands for a folder called `name`."""

    files: dict[str, bytes]
    name: str = "d"

    def names(self) -> Iterator[str]:
        """Yield the name of every file."""
        yield from self.files

    def left_out(self) -> dict[str, int]:
        """Return nothing: all files are among the names."""
        return {}

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name."""
        return name in self.files

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        if name not in self.files:
            raise DataError(f"{self.name}: there is no file {name} in it.")
        return self.files[name]

    def open(self, name: str) -> BinaryIO:
        """Return a file, open for reading."""
        return io.BytesIO(self.read(name))

    def path(self, name: str) -> Path | None:
        """Return None: nothing lies on a disk."""

    def stamp(self, name: str) -> tuple[str, int, int] | None:
        """Return None."""
