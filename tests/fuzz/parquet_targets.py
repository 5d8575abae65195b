"""Parsers of Parquet members."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.fuzz.target import SEED, target
from tests.unit.format import documents

from rlg_backup.changes.bag import Bag
from rlg_backup.changes.places import difference
from rlg_backup.engine.known_files import KnownFiles
from rlg_backup.format.digest import EntryDigest, Xxh3RowDigest
from rlg_backup.format.forms import to_python
from rlg_backup.format.row_numbers import Addresses, read_numbers, write_numbers
from rlg_backup.format.rows import PartWriter, read_part
from rlg_backup.format.tree_index import IndexRow, IndexWriter, read_index, read_names
from rlg_backup.format.tree_state import UNSURE, FileRow, read_files, write_files
from rlg_backup.sources.files_destination import FileDestination
from rlg_backup.sources.port import Entry


def parts() -> list[bytes]:
    mixed = pa.RecordBatch.from_pydict({"a": [1, 2, None], "b": ["x", "y\0", "ü"], "c": [b"", b"\xff", None]})
    other = pa.RecordBatch.from_pydict({"a": ["text"], "b": pa.nulls(1), "c": [0.5]})
    return [_written(), _written(mixed), _written(mixed, other)]


def _written(*batches: pa.RecordBatch) -> bytes:
    sinks: list[_Kept] = []

    def open_part(number: int) -> Any:
        sinks.append(_Kept())
        return sinks[-1]

    writer = PartWriter(open_part, columns=["a", "b", "c"])
    for batch in batches:
        writer.write(batch)
    writer.close()
    return sinks[-1].kept


class _Kept(io.BytesIO):
    """Its content outlives it."""

    kept = b""

    def close(self) -> None:
        if not self.closed:
            self.kept = self.getvalue()
        super().close()


@target("part", parts)
def part(data: bytes) -> int:
    digest = Xxh3RowDigest(SEED)
    for batch in read_part(io.BytesIO(data), "part-00000.parquet"):
        digest.update(batch)
        for array in batch.columns:
            if pa.types.is_struct(array.type):
                to_python(array)
    return digest.rows


ROWS = [
    IndexRow(b"", "folder", 0o755, 1, 0, b"", (), ((b"user.a", b"\0"),), None, None, False),
    IndexRow(b"a", "file", 0o644, -1, 3, b"", ((0, 1),), (), SEED, "files/ab/" + "a" * 24, False),
    IndexRow(b"aa", "file", 0o644, -1, 3, b"", (), (), SEED, "files/x", False, documents.BACKUP),
    IndexRow(b"b", "hardlink", 0, 0, 0, b"a", (), (), None, None, False),
    IndexRow(b"c", "symlink", 0o777, 1, 0, b"/etc/\xff", (), (), None, None, False),
    IndexRow(b"d", "folder", 0o1777, 1, 0, b"", (), (), None, None, False),
]


def indexes() -> list[bytes]:
    found = []
    for rows in ([], ROWS):
        sink = io.BytesIO()
        writer = IndexWriter(sink)
        for row in rows:
            writer.add(row)
        writer.close()
        found.append(sink.getvalue())
    return found


@target("tree_index", indexes)
def tree_index(data: bytes) -> int:
    """Its rows counted and made into a tree, as a restore does; and its paths alone."""
    digest = EntryDigest(SEED)
    with tempfile.TemporaryDirectory() as folder, FileDestination(Path(folder) / "tree") as destination:
        for row in read_index(io.BytesIO(data), "part-00000.parquet"):
            digest.update(row, row.sha256)
            entry = Entry(row.path, row.kind, row.mode, row.mtime_ns, row.size, row.target, row.holes, row.xattrs)
            destination.make(entry, io.BytesIO(bytes(min(row.size, 100))) if row.member is not None else None)
    for names in read_names(io.BytesIO(data), "part-00000.parquet"):
        assert all(isinstance(value, bytes) for values in names.values() for value in values)
    return digest.entries


def tree_states() -> list[bytes]:
    sink = io.BytesIO()
    write_files(sink, [FileRow(SEED[:16], SEED, 2**40, 1, SEED[:12]), FileRow(UNSURE, SEED, 0, 0, SEED[:12])])
    return [sink.getvalue()]


@target("tree_state", tree_states)
def tree_state(data: bytes) -> int:
    """Its files made known, as a backup does."""
    columns = read_files(io.BytesIO(data), "part-00000.parquet")
    known = KnownFiles(iter([columns]), len(columns["size"]), (documents.BACKUP, documents.BACKUP))
    known.holds(SEED, 2**40)
    return known.has_size(0) + known.has_size(2**40) + 1


def removed_numbers() -> list[bytes]:
    return [_numbers(rows) for rows in (0, 3)]


def addressed_numbers() -> list[bytes]:
    places = np.array([1, 2, 2**48], np.uint64)
    return [_numbers(3, Addresses(places, np.array([7, 7, 2**32 - 1], np.uint32)))]


def _numbers(rows: int, addresses: Addresses | None = None) -> bytes:
    sink = io.BytesIO()
    first = np.array([5, 5, 2**64 - 1], np.uint64)[:rows]
    write_numbers(sink, (first, first[::-1]), addresses)
    return sink.getvalue()


@target("removed_numbers", removed_numbers)
def removed(data: bytes) -> int:
    """Put into a bag and taken out again, as a restore does."""
    numbers, _ = read_numbers(io.BytesIO(data), "part-00000.parquet")
    bag = Bag(numbers)
    assert bag.take(numbers).all()
    return len(bag) + len(numbers[0]) + 1


@target("row_numbers", addressed_numbers)
def known_rows(data: bytes) -> int:
    """Compared with themselves, as a backup does with rows that lie where they lay."""
    _, addresses = read_numbers(io.BytesIO(data), "part-00000.parquet", addressed=True)
    assert addresses is not None
    at = addresses.of(np.unique(addresses.place, return_index=True)[1])
    assert difference((at.place, at.version), (at.place, at.version), np.zeros(len(at), np.bool_)).kept.all()
    return len(addresses)


def index_table(rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    """An index as the rows say, valid or not."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()
