"""The index of a file tree: one row for each entry, as Parquet in bounded parts (docs/FORMAT.md, section 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import MemberDamaged
from .parquet_faults import parquet_faults

ROWS_AT_ONCE = 8_192
BYTES_AT_ONCE = 16 << 20
ROWS_IN_A_PART = 1_000_000
PLACE_SIZE = 12  # bytes
BYTES_IN_A_PART = 256 << 20  # before compression; a reader holds one part in memory
_PREFIX = "files/index/part-"
_ROW_BYTES = 64  # what a row takes besides its texts and lists
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
        pa.field("backup", pa.string()),
    ]
)
_WITHOUT_BACKUP = _SCHEMA.remove(_SCHEMA.get_field_index("backup"))  # of archives from before there were changes


@dataclass(frozen=True)
class IndexRow:
    """One entry. ``sha256`` (32 bytes) and ``member`` are of files only, and ``backup``: the id of the backup whose
    archive has that member, None for this one. The rest is as in ``sources.port.Entry``."""

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
    backup: str | None = None


def content_member(place: bytes) -> str:
    """The member's name of a file's content; ``place`` is what ``content_place`` makes of its path."""
    return f"files/{place.hex()[:2]}/{place.hex()}"


def content_place(path: bytes) -> bytes:
    """12 bytes that stand for a path in the name of a member."""
    return hashlib.sha256(path).digest()[:PLACE_SIZE]


def index_part(number: int) -> str:
    """The member's name of a part, from 0."""
    return f"{_PREFIX}{number:05d}.parquet"


def index_parts(names: Iterable[str]) -> list[str]:
    """The parts that must be among an archive's members, in order: at least one, and none left out."""
    count = sum(name.startswith(_PREFIX) for name in names)
    return [index_part(number) for number in range(max(1, count))]


class IndexWriter:
    """Writes one part in batches; memory does not grow with the tree. A part that is ``full`` takes no more rows."""

    def __init__(self, sink: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(sink, _SCHEMA, compression="zstd")
        self._rows: list[IndexRow] = []
        self._batch = self._bytes = self._count = 0

    @property
    def full(self) -> bool:
        return self._count >= ROWS_IN_A_PART or self._bytes >= BYTES_IN_A_PART

    def add(self, row: IndexRow) -> None:
        size = _size(row)
        self._rows.append(row)
        self._count, self._batch, self._bytes = self._count + 1, self._batch + size, self._bytes + size
        if len(self._rows) >= ROWS_AT_ONCE or self._batch >= BYTES_AT_ONCE:
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
        self._batch = 0


def read_index(file: BinaryIO, name: str) -> Iterator[IndexRow]:
    """The rows of the part ``name``, in order; raises MemberDamaged when it is not one."""
    with parquet_faults(name, "a Parquet file of entries", TypeError, KeyError):
        for batch in _part(file, name).iter_batches(batch_size=ROWS_AT_ONCE):
            for row in batch.to_pylist():
                row["holes"] = _pairs(row["holes"], "offset", "length")
                row["xattrs"] = _pairs(row["xattrs"], "name", "value")
                if row["size"] < 0:
                    raise MemberDamaged("read", name, "an entry has a size below zero")
                if row.get("backup") is not None and row["member"] is None:
                    raise MemberDamaged("read", name, "an entry without content is said to have it in another backup")
                yield IndexRow(**row)


def read_names(file: BinaryIO, name: str) -> Iterator[dict[str, list[bytes]]]:
    """What the part ``name`` says besides contents, some thousand entries at a time: each ``path``, the ``target`` of
    each symbolic link, and the value of each of the ``xattrs``. Raises MemberDamaged when it is not one."""
    with parquet_faults(name, "a Parquet file of entries", TypeError, KeyError):
        for batch in _part(file, name).iter_batches(
            batch_size=ROWS_AT_ONCE, columns=["path", "kind", "target", "xattrs"]
        ):
            rows = batch.to_pylist()
            pairs = (pair for row in rows for pair in _pairs(row["xattrs"], "name", "value"))
            yield {
                "path": [row["path"] for row in rows],
                "target": [row["target"] for row in rows if row["kind"] == "symlink"],
                "xattrs": [value for _, value in pairs],
            }


def _part(file: BinaryIO, name: str) -> pq.ParquetFile:
    parquet = pq.ParquetFile(file)
    if not any(parquet.schema_arrow.equals(schema) for schema in (_SCHEMA, _WITHOUT_BACKUP)):
        raise MemberDamaged("read", name, "its columns are not those of an index")
    if parquet.metadata.num_rows > ROWS_IN_A_PART:
        raise MemberDamaged("read", name, f"it has more than {ROWS_IN_A_PART} entries")
    return parquet


def _pairs(items: list[dict[str, Any]], first: str, second: str) -> tuple[tuple[Any, Any], ...]:
    """The items of a list as pairs. Raises TypeError where a part of one is missing: no schema can forbid that."""
    pairs = tuple((item[first], item[second]) for item in items)
    if any(None in pair for pair in pairs):
        raise TypeError
    return pairs


def _size(row: IndexRow) -> int:
    xattrs = sum(len(name) + len(value) for name, value in row.xattrs)
    return _ROW_BYTES + len(row.path) + len(row.target) + 16 * len(row.holes) + xattrs
