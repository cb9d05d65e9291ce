"""An Arrow file or stream, mapped into memory."""

import mmap
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lsi.data.sources.columnar.types import Group, bytes_of, columns_named, reported


class ArrowFile:
    """An Arrow file or stream, mapped into memory; a compressed one is unpacked batch by batch where it is read."""

    def __init__(self, name: str, place: str, file: Any, is_file: bool) -> None:
        """Map the file, and read where its batches lie.

        Args:
            name: of the file in its tree.
            place: what messages call it.
            file: the open file.
            is_file: whether it is in the file format rather than a stream.

        Raises:
            DataError: it is no Arrow file, or ends early.
        """
        self.name, self.place, self._is_file = name, place, is_file
        with reported(place):
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            file.close()
            self._buffer = pa.py_buffer(self._map)
            with self._reader() as reader:
                self.schema: pa.Schema = reader.schema
            self.n_rows = sum(batch.num_rows for batch in self._batches())

    def _reader(self):
        return pa.ipc.open_file(self._buffer) if self._is_file else pa.ipc.open_stream(self._buffer)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with self._reader() as reader:
            if self._is_file:
                yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                yield from reader

    @cached_property
    def _is_mapped(self) -> bool:
        """Whether the values lie in the file as they are, so that nothing is unpacked."""
        first, last = self._buffer.address, self._buffer.address + self._buffer.size
        for batch in self._batches():
            buffers = [b for column in batch.columns for b in column.buffers() if b is not None and b.size]
            if buffers:
                largest = max(buffers, key=lambda b: b.size)
                return first <= largest.address < last
        return True

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return whole columns."""
        fields = pa.schema([self.schema.field(column) for column in columns])
        with reported(f"{self.place}, {columns_named(columns)}"):
            batches = [batch.select(list(columns)) for batch in self._batches()]
            for batch in batches:
                batch.validate(full=True)  # the file may be damaged: offsets that lead elsewhere are found here
            return pa.Table.from_batches(batches, fields)

    def field(self, column: str, name: str) -> pa.ChunkedArray:
        """Return one field of a column of structs."""
        with reported(f"{self.place}, column {column}"):
            return pc.struct_field(self.read([column])[column], name)  # type: ignore[attr-defined]

    def size(self, column: str) -> int:
        """Return how many bytes a column takes."""
        with reported(f"{self.place}, column {column}"):
            return sum(batch.column(column).nbytes for batch in self._batches())

    def groups(self, column: str) -> list[Group]:
        """Return the bytes of a column by batch where the file is mapped, else as one group."""
        if not self._is_mapped:
            return [Group(self.n_rows, partial(self._bytes, column))]
        arrays = [bytes_of(array) for array in self.read([column])[column].chunks]
        return [Group(len(array), partial(iter, [array]), is_mapped=True) for array in arrays]

    def _bytes(self, column: str) -> Iterator[pa.Array]:
        with reported(f"{self.place}, column {column}"):
            for batch in self._batches():
                batch.column(column).validate(full=True)
                yield bytes_of(batch.column(column))

    def n_without_bytes(self, column: str) -> int | None:
        """Return in how many rows a column holds no bytes; None where the file is compressed."""
        return sum(bytes_of(a).null_count for a in self.read([column])[column].chunks) if self._is_mapped else None
