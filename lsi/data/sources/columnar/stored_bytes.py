"""Bytes of the rows of a column, read by groups: small ones wait in memory, large ones in a temporary file."""

import tempfile
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import pyarrow as pa

from lsi.data.sources.columnar.types import Group
from lsi.errors import DataError, UnreachableError

MOST_OF_GROUP = 2**27  # bytes of a group that is kept in memory; a larger one goes to the disk once
MOST_IN_MEMORY = 2**28  # bytes of all groups in memory
Places = list[slice | None]  # where the bytes of each row lie in the temporary file


@dataclass
class _Read:
    """A group as it was read, batch by batch; where it ends early, `error` says why."""

    batches: list[pa.Array | Places] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    size: int = 0
    is_on_disk: bool = False
    error: str = ""

    def append(self, batch: pa.Array | Places) -> None:
        self.batches.append(batch)
        self.ends.append(len(batch) + (self.ends[-1] if self.ends else 0))

    def __getitem__(self, row: int) -> bytes | slice | None:
        number = bisect_right(self.ends, row)
        if number == len(self.ends):
            raise DataError(self.error or f"Row {row} of a row group is missing.")
        batch = self.batches[number]
        value = batch[row - (self.ends[number - 1] if number else 0)]
        return value if value is None or isinstance(value, slice) else value.as_py()


class StoredBytes:
    """Bytes of n rows, which any thread may ask for: neighbours cost one reading of their group."""

    def __init__(self, groups: Sequence[Group]) -> None:
        """Take the groups, in the order of their rows."""
        self._groups = groups
        self._ends = np.cumsum([group.n_rows for group in groups], dtype=np.int64)
        self._lock = Lock()
        self._waiting: OrderedDict[int, _Read] = OrderedDict()
        self._on_disk: dict[int, _Read] = {}
        self._mapped = {i: next(group.load()) for i, group in enumerate(groups) if group.is_mapped and group.n_rows}
        self._file = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, position: int) -> bytes | None:
        """Return the bytes of a row, None where it has none.

        Raises:
            DataError: the file is damaged there.
            UnreachableError: it cannot be reached, or the disk is full.
        """
        number = int(np.searchsorted(self._ends, position, side="right"))
        row = position - (int(self._ends[number - 1]) if number else 0)
        if number in self._mapped:
            return self._mapped[number][row].as_py()
        with self._lock:
            found = self._group(number)[row]
            return self._from_disk(found) if isinstance(found, slice) else found

    def _group(self, number: int) -> _Read:
        if number in self._on_disk:
            return self._on_disk[number]
        if number in self._waiting:
            self._waiting.move_to_end(number)
            return self._waiting[number]
        while sum(group.size for group in self._waiting.values()) > MOST_IN_MEMORY - MOST_OF_GROUP:
            self._waiting.popitem(last=False)
        read = self._read(self._groups[number])
        (self._on_disk if read.is_on_disk else self._waiting)[number] = read
        return read

    def _read(self, group: Group) -> _Read:
        read = _Read()
        try:
            for batch in group.load():
                read.size += batch.nbytes
                if read.size > MOST_OF_GROUP and not read.is_on_disk:
                    read.batches = [self._to_disk(before) for before in read.batches]  # type: ignore[arg-type]
                    read.is_on_disk = True
                read.append(self._to_disk(batch) if read.is_on_disk else batch)
        except UnreachableError:  # kept, it would be said of these rows for ever
            raise
        except DataError as error:
            read.error = str(error)
        return read

    def _to_disk(self, batch: pa.Array) -> Places:
        """Append the bytes of some rows to the temporary file and return where they lie.

        Raises:
            UnreachableError: they cannot be written.
        """
        places: Places = []
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the images
                weakref.finalize(self, self._file.close)
            start = self._file.seek(0, 2)
            for scalar in batch:
                value = scalar.as_py()
                if value is not None:
                    self._file.write(value)
                    start += len(value)
                places.append(None if value is None else slice(start - len(value), start))
            self._file.flush()
        except OSError as error:
            raise UnreachableError(
                f"The row groups are too large for memory, and {tempfile.gettempdir()} cannot take them "
                f"({error.strerror}): set TMPDIR to a folder with room."
            ) from None
        return places

    def _from_disk(self, place: slice) -> bytes:
        assert self._file is not None
        self._file.seek(place.start)
        return self._file.read(place.stop - place.start)
