"""A Parquet file, from which no column of bytes is ever read as a whole."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lsi.data.sources.columnar.types import BUFFER, Group, bytes_of, columns_named, is_text, place_of, reported
from lsi.data.trees import Tree

_BATCH_BYTES = 2**25
_MOST_ROWS = 256  # of a batch: where few images repeat, the size of a column says little


class ParquetFile:
    """A Parquet file: opened anew for each reading, so that any number of shards can be held."""

    def __init__(self, tree: Tree, name: str, kept: Any) -> None:
        """Read the footer.

        Args:
            tree: where the file lies.
            name: of the file.
            kept: the open file; None: it is opened anew each time.

        Raises:
            DataError: the footer is missing or damaged.
        """
        self.name, self.place = name, place_of(tree, name)
        self._tree, self._kept = tree, kept
        self._metadata: pq.FileMetaData | None = None
        with reported(self.place), self._opened() as opened:
            self._metadata = opened.metadata
            self.schema: pa.Schema = opened.schema_arrow
            self.n_rows: int = opened.metadata.num_rows
            groups = [opened.metadata.row_group(i).num_rows for i in range(opened.metadata.num_row_groups)]
            if sum(groups) != self.n_rows or min(groups, default=0) < 0:
                raise ValueError(f"the footer says {self.n_rows} rows, its row groups {sum(groups)}")
        if kept is not None:
            weakref.finalize(self, kept.close)

    @contextmanager
    def _opened(self):
        file = self._kept or pa.OSFile(str(self._tree.path(self.name)))  # faster than a file of Python
        try:
            with pq.ParquetFile(file, metadata=self._metadata, buffer_size=BUFFER, pre_buffer=False) as opened:
                yield opened
        finally:
            if file is not self._kept:
                file.close()

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return whole columns."""
        with reported(f"{self.place}, {columns_named(columns)}"), self._opened() as opened:
            return self._checked(opened.read(columns=list(columns)))

    def field(self, column: str, name: str) -> pa.ChunkedArray:
        """Return one field of a column of structs."""
        with reported(f"{self.place}, column {column}"), self._opened() as opened:
            table = self._checked(opened.read(columns=[f"{column}.{name}"]))
            return pc.struct_field(table[column], name)  # type: ignore[attr-defined]

    def _checked(self, table: pa.Table) -> pa.Table:
        if table.num_rows != self.n_rows:
            raise ValueError(f"expected {self.n_rows} rows, got {table.num_rows}")
        return table

    def size(self, column: str) -> int:
        """Return how many bytes a column takes before it is compressed."""
        return sum(chunk.total_uncompressed_size for chunks in self._chunks(column) for chunk in chunks)

    def groups(self, column: str) -> list[Group]:
        """Return the bytes of a column by row group."""
        is_struct = pa.types.is_struct(self.schema.field(column).type)
        leaf = f"{column}.bytes" if is_struct else column
        metadata = self._metadata
        assert metadata is not None
        groups = []
        for number, chunks in enumerate(self._chunks(leaf)):
            n_rows = metadata.row_group(number).num_rows
            each = max(1, sum(chunk.total_uncompressed_size for chunk in chunks) // max(1, n_rows))
            batch = max(1, min(_MOST_ROWS, _BATCH_BYTES // each))
            groups.append(Group(n_rows, partial(self._bytes, column, leaf if chunks else column, number, batch)))
        return groups

    def _bytes(self, column: str, leaf: str, group: int, batch: int) -> Iterator[pa.Array]:
        with reported(f"{self.place}, column {column}, row group {group}"), self._opened() as opened:
            for rows in opened.iter_batches(batch, row_groups=[group], columns=[leaf], use_threads=False):
                yield bytes_of(rows.column(0))

    def n_without_bytes(self, column: str) -> int | None:
        """Return in how many rows a column holds no bytes, by the statistics; None where there are none."""
        kind = self.schema.field(column).type
        if is_text(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") < 0):
            return self.n_rows
        leaf = f"{column}.bytes" if pa.types.is_struct(kind) else column
        found = [chunk.statistics for chunks in self._chunks(leaf) for chunk in chunks]
        known = [s.null_count for s in found if s is not None and s.has_null_count]
        return sum(known) if len(known) == len(found) else None

    def _chunks(self, path: str) -> list[list[pq.ColumnChunkMetaData]]:
        """Return the chunks of a column, or of the fields below it, by row group."""
        metadata = self._metadata
        assert metadata is not None
        leaves = [metadata.schema.column(j) for j in range(metadata.num_columns)]
        chosen = [j for j, leaf in enumerate(leaves) if leaf.path == path or leaf.path.startswith(f"{path}.")]
        with reported(f"{self.place}, column {path}"):
            chunks = [[metadata.row_group(i).column(j) for j in chosen] for i in range(metadata.num_row_groups)]
            kinds = {j: leaves[j].physical_type for j in chosen}
            if any(chunk.physical_type != kinds[j] for group in chunks for j, chunk in zip(chosen, group, strict=True)):
                raise ValueError("its type differs within the file")  # Arrow ends the process over its statistics
        return chunks
