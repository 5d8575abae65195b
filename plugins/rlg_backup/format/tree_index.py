"""The index of a file tree: one row for each entry, as Parquet (docs/FORMAT.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import MemberDamaged

ROWS_AT_ONCE = 8_192
_SCHEMA = pa.schema(
    [
        pa.field("path", pa.binary(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("mode", pa.int32(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("target", pa.binary(), nullable=False),
        pa.field("holes", pa.list_(pa.struct([("offset", pa.int64()), ("length", pa.int64())]))),
        pa.field("xattrs", pa.list_(pa.struct([("name", pa.binary()), ("value", pa.binary())]))),
        pa.field("sha256", pa.binary()),
        pa.field("member", pa.string()),
        pa.field("unstable", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class IndexRow:
    """One entry. ``sha256`` (32 bytes) and ``member`` are of files only; the rest as in ``sources.port.Entry``."""

    path: bytes
    kind: str
    mode: int
    mtime_ns: int
    size: int
    target: bytes
    holes: tuple[tuple[int, int], ...]
    xattrs: tuple[tuple[bytes, bytes], ...]
    sha256: bytes | None
    member: str | None
    unstable: bool


class IndexWriter:
    """Writes rows in batches; memory does not grow with the tree."""

    def __init__(self, sink: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(sink, _SCHEMA, compression="zstd")
        self._rows: list[IndexRow] = []

    def add(self, row: IndexRow) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = {field.name: [getattr(row, field.name) for row in self._rows] for field in fields(IndexRow)}
        columns["holes"] = [[{"offset": o, "length": n} for o, n in holes] for holes in columns["holes"]]
        columns["xattrs"] = [[{"name": n, "value": v} for n, v in pairs] for pairs in columns["xattrs"]]
        self._writer.write_table(pa.table({name: columns[name] for name in _SCHEMA.names}, schema=_SCHEMA))
        self._rows.clear()


def read_index(file: BinaryIO) -> Iterator[IndexRow]:
    """The rows of an index, in order; raises MemberDamaged when it is not one."""
    try:
        parquet = pq.ParquetFile(file)
        if parquet.schema_arrow.names != _SCHEMA.names:
            raise MemberDamaged("read", "files/index.parquet", "its columns are not those of an index")
        for batch in parquet.iter_batches(batch_size=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                row["holes"] = tuple((hole["offset"], hole["length"]) for hole in row["holes"])
                row["xattrs"] = tuple((pair["name"], pair["value"]) for pair in row["xattrs"])
                yield IndexRow(**row)
    except (pa.ArrowException, TypeError, KeyError):
        raise MemberDamaged("read", "files/index.parquet", "it is not a Parquet file of entries") from None
