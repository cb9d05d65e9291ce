"""A folder on this machine as a tree of files."""

import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lsi.data.naming import text_of_path
from lsi.data.trees.filenames import is_junk
from lsi.data.trees.outputs import MARKS, output_in
from lsi.errors import UnreachableError, is_of_surroundings, of_reading
from lsi.hashing import Stamp, stamp_of
from lsi.regular import open_regular


@dataclass
class LocalTree:
    """A folder on this machine; links are followed, except where they lead back up.

    What LSI Lens wrote below it is passed over.
    """

    root: Path

    @property
    def name(self) -> str:
        """The folder."""
        return text_of_path(str(self.root))

    def names(self) -> Iterator[str]:
        """Yield the name of every file below the folder, each folder's entries by alphabet.

        Raises:
            DataError: a folder cannot be read.
        """
        yield from self._listing[0]

    def left_out(self) -> dict[str, int]:
        """Return what lies below the folder and is no file, with its number."""
        return dict(self._listing[1])

    @cached_property
    def _listing(self) -> tuple[list[str], Counter[str]]:
        names: list[str] = []
        others: Counter[str] = Counter()
        waiting = [("", (os.path.realpath(self.root),))]
        while waiting:
            folder, above = waiting.pop()
            folders, entries = [], self._entries(folder)
            is_marked = folder and any(entry.name in MARKS for entry in entries)
            if is_marked and (output := output_in(self.root / folder)) is not None:
                others[f"{output} in {text_of_path(folder)}/"] += 1
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                kind = _kind(entry)
                if kind != "folder":
                    names += [name] if kind == "file" else []
                    others[kind] += kind != "file"
                    continue
                real = os.path.realpath(entry.path) if entry.is_symlink() else f"{above[-1].rstrip('/')}/{entry.name}"
                if real in above:
                    others["links that lead back to a folder above them"] += 1
                else:
                    folders.append((name, (*above, real)))
            waiting += reversed(folders)
        return names, +others

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = self.root / folder
        try:
            with os.scandir(path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if any(map(is_junk, folder.split("/"))):  # such as lost+found, which only root may read
                return []
            said = f"{text_of_path(str(path))}: the folder cannot be read ({error.strerror})."
            raise of_reading(said, error) from None

    def has(self, name: str) -> bool:
        """Say whether there is a file of that name.

        Raises:
            UnreachableError: the disk or the system refuses.
        """
        try:
            return (self.root / name).is_file()
        except OSError as error:  # a name that is too long, or a folder that cannot be read
            if is_of_surroundings(error):
                said = text_of_path(str(self.root / name))
                raise UnreachableError(f"{said}: cannot be read ({error.strerror}).") from None
            return False

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        with self.open(name) as file:
            try:
                return file.read()
            except OSError as error:
                said = text_of_path(str(self.root / name))
                raise of_reading(f"{said}: cannot be read ({error.strerror}).", error) from None

    def open(self, name: str) -> io.BufferedIOBase:
        """Return a regular file, open for reading.

        Raises:
            DataError: it is not there, is no regular file, or cannot be read.
        """
        path = self.root / name
        try:
            return open_regular(path)
        except OSError as error:
            said = text_of_path(str(path)).replace("\0", "\\0")
            raise of_reading(f"{said}: cannot be read ({error.strerror}).", error) from None

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self.root / name

    def stamp(self, name: str) -> Stamp | None:
        """Return path, size and time of change of a file, None where it is not there."""
        return stamp_of(self.root / name)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return what an entry of a folder is; a link that leads nowhere is a file that cannot be read."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):
            return "file"
    except OSError:  # a link to itself, or into a folder that cannot be read
        return "file"
    return "named pipes, sockets or devices"
