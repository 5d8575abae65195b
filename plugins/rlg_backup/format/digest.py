"""Digests of tables and trees that do not depend on order, on Parquet or on any library (FORMAT.md section 5)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Protocol, Self

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa

from . import cells, row_hash
from .forms import GEOGRAPHY, ROWID, role_of

KEY_SIZE = 32  # bytes
_MODULUS = 2**256
_HASHED_ROWS = 16_384
_HASHED_BYTES = 4 * 1024 * 1024  # of values made into rows at once


class _Sum:
    """A sum modulo 2^256 of keyed hashes, and how many they were."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a digest key has {KEY_SIZE} bytes")
        self._key = key
        self._sum = 0
        self._count = 0

    def hexdigest(self) -> str:
        """64 hex digits; of nothing, zeros."""
        return f"{self._sum:064x}"

    def __add__(self, other: Self) -> Self:
        """The digest of both sets of rows; ValueError when the keys differ."""
        if other._key != self._key:
            raise ValueError("digests under different keys have no sum")
        both = type(self)(self._key)
        both._sum = (self._sum + other._sum) % _MODULUS
        both._count = self._count + other._count
        return both

    def _put(self, total: int, count: int) -> None:
        self._sum = (self._sum + total) % _MODULUS
        self._count += count


class RowDigest(_Sum, ABC):
    """The digest of a table's rows, whatever their order, their batches and the forms of their columns.

    ``key``: 32 random bytes of the backup. Two digests of one kind with one key add up to that of both sets of rows.
    """

    @property
    def rows(self) -> int:
        """How many rows were taken in."""
        return self._count

    def update(self, batch: pa.RecordBatch) -> None:
        """Takes in the rows: the row id first where there is one, then the columns in order, no geography.

        Raises SourceUnreadable for a column of a type that is no form.
        """
        self._take(_counted(batch))

    @abstractmethod
    def _take(self, batch: pa.RecordBatch) -> None:
        """Adds the numbers of the rows, whose fields are those that count, in order."""


class Xxh3RowDigest(RowDigest):
    """The kind ``xxh3``: what backups are made with."""

    def numbers(self, batch: pa.RecordBatch) -> row_hash.Lanes:
        """The numbers of the rows that ``update`` would take in."""
        return self.numbers_of(self.cells(batch))

    def cells(self, batch: pa.RecordBatch, columns: Collection[str] | None = None) -> row_hash.Lanes:
        """What the rows' numbers are made of; or the part in it of these ``columns``."""
        return row_hash.cells(_counted(batch), self._key, columns)

    def numbers_of(self, cells: row_hash.Lanes) -> row_hash.Lanes:
        """The numbers of the rows with these ``cells``."""
        return row_hash.numbers_of(cells, self._key)

    def add(self, numbers: row_hash.Lanes) -> None:
        """Takes in rows by their ``numbers``."""
        self._put(row_hash.total(numbers), len(numbers[0]))

    def _take(self, batch: pa.RecordBatch) -> None:
        self.add(row_hash.numbers(batch, self._key))


class Sha256RowDigest(RowDigest):
    """The kind ``sha256``: some five times slower; of archives whose profile names no kind."""

    def _take(self, batch: pa.RecordBatch) -> None:
        for piece in _pieces(batch):
            hashes = pl.DataFrame({"row": pl.Series(cells.rows(piece, self._key))})
            digits = hashes.select(plh.col("row").chash.sha2_256())["row"]
            self._put(_total(digits), len(piece))


ROW_DIGESTS: Final[Mapping[str, type[RowDigest]]] = {"xxh3": Xxh3RowDigest, "sha256": Sha256RowDigest}
WRITTEN: Final = "xxh3"  # the kind that new backups have


def _counted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The fields that count, in order."""
    fields = [(index, field) for index, field in enumerate(batch.schema) if role_of(field) not in GEOGRAPHY]
    fields.sort(key=lambda item: role_of(item[1]) != ROWID)  # stable: the others keep their order
    return batch.select([index for index, _ in fields])


class TreeEntry(Protocol):
    """What a digest needs of an entry of a tree (``sources.port.Entry`` is one)."""

    @property
    def path(self) -> bytes: ...
    @property
    def kind(self) -> str: ...
    @property
    def mode(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def target(self) -> bytes: ...


class EntryDigest(_Sum):
    """The digest of a tree's entries, whatever their order."""

    @property
    def entries(self) -> int:
        """How many entries were taken in."""
        return self._count

    def update(self, entry: TreeEntry, sha256: bytes | None) -> None:
        """Takes in an entry; ``sha256`` is that of its content, raw, or None for what has none."""
        kind = entry.kind.encode()
        row = b"".join(
            [
                _blob(entry.path),
                b"t%d:%b" % (len(kind), kind),
                b"i%d,i%d,i%d," % (entry.mode, entry.mtime_ns, entry.size),
                _blob(entry.target),
                b"n" if sha256 is None else _blob(sha256),
            ]
        )
        self._put(int.from_bytes(hashlib.sha256(self._key + row).digest(), "big"), 1)


def _blob(value: bytes) -> bytes:
    return b"b%d:%b" % (len(value), value)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = min(_HASHED_ROWS, max(1, len(batch) * _HASHED_BYTES // max(1, batch.nbytes)))
    for start in range(0, len(batch), rows):
        yield batch.slice(start, rows)


def _total(digits: pl.Series) -> int:
    """The sum of numbers given as 64 lower-case hex digits: each place is summed by itself."""
    text = digits.to_arrow(compat_level=pl.CompatLevel.oldest())  # offsets and one run of bytes, from its start
    places = np.frombuffer(text.buffers()[2], dtype=np.uint8)[: 64 * len(text)].reshape(-1, 64)
    sums = (places & 15).sum(axis=0, dtype=np.int64) + 9 * (places >> 6).sum(axis=0, dtype=np.int64)
    return sum(int(value) << (4 * (63 - place)) for place, value in enumerate(sums))
