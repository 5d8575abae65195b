"""Parts of what the change state knows of a tree's files (FORMAT.md section 9): what a file was by a keyed hash of its
name and times, which content it had, and where that lies."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .bounded_part import read_bounded
from .tree_index import PLACE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

PART_ROWS: Final = 32_768
IDENTITY_SIZE: Final = 16  # bytes
UNSURE: Final = bytes(IDENTITY_SIZE)
"""The identity of a file that may have changed since without a trace: nothing has it."""
_SHA256_SIZE: Final = 32
_SCHEMA: Final = pa.schema(
    [
        pa.field("identity", pa.binary(IDENTITY_SIZE), False),
        pa.field("sha256", pa.binary(_SHA256_SIZE), False),
        pa.field("size", pa.int64(), False),
        pa.field("backup", pa.uint16(), False),
        pa.field("place", pa.binary(PLACE_SIZE), False),
    ]
)
_COMPRESSION: Final = {name: "zstd" if name in ("size", "backup") else "NONE" for name in _SCHEMA.names}

Column = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FileRow:
    """A file's content: where ``backup`` is a place in the state's list of backups, ``place`` that of the member."""

    identity: bytes
    sha256: bytes
    size: int
    backup: int
    place: bytes


class FileIdentity:
    """Keyed hashes of all that stays the same while a file does."""

    def __init__(self, digest_key: bytes) -> None:
        self._key = hmac.digest(digest_key, b"rlg-backup file identity 1", "sha256")

    def of(self, path: bytes, *, size: int, mtime_ns: int, ctime_ns: int, inode: int, mode: int) -> bytes:
        """The first 16 bytes of HMAC-SHA256 over the numbers, in decimal and each with a comma, then the path."""
        text = b"%d,%d,%d,%d,%d,%b" % (size, mtime_ns, ctime_ns, inode, mode, path)
        return hmac.digest(self._key, text, "sha256")[:IDENTITY_SIZE]


def write_files(sink: BinaryIO, rows: Sequence[FileRow]) -> None:
    """One part, of 1 to ``PART_ROWS`` rows."""
    columns = [_column([getattr(row, field.name) for row in rows], field.type) for field in _SCHEMA]
    with pq.ParquetWriter(
        sink, _SCHEMA, compression=_COMPRESSION, use_dictionary=["backup"], write_statistics=False
    ) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))


def read_files(file: BinaryIO, name: str) -> dict[str, Column]:
    """The columns of the part ``name``, those of bytes as uint8 with a row for each; raises MemberDamaged when it is
    none."""
    table = read_bounded(file, name, _SCHEMA, rows=range(1, PART_ROWS + 1), what="a part of a tree's files")
    table = table.combine_chunks()
    return {field.name: _numpy(table.column(field.name), field.type) for field in _SCHEMA}


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Of a buffer: pa.array would load pandas."""
    whole = pa.types.is_fixed_size_binary(kind)
    data = b"".join(values) if whole else np.array(values, kind.to_pandas_dtype()).tobytes()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(data)])


def _numpy(column: pa.ChunkedArray, kind: pa.DataType) -> Column:
    """Of the buffers: pyarrow's own way would load pandas."""
    (array,) = column.chunks
    data = array.buffers()[1][array.offset * kind.byte_width :]
    if pa.types.is_fixed_size_binary(kind):
        return np.frombuffer(data, np.uint8, len(array) * kind.byte_width).reshape(-1, kind.byte_width)
    return np.frombuffer(data, np.dtype(kind.to_pandas_dtype()), len(array))
