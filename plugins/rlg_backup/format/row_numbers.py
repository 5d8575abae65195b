"""Parts of row numbers (FORMAT.md sections 5 and 9): what an archive says was removed, and what the change state knows
of the rows it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from .bounded_part import read_bounded
from .row_hash import Lanes, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

PART_ROWS: Final = 262_144
_NUMBERS: Final = pa.schema([pa.field("first", pa.uint64(), False), pa.field("second", pa.uint64(), False)])
_ADDRESSED: Final = pa.schema(
    [pa.field("place", pa.uint64(), False), pa.field("version", pa.uint32(), False), *_NUMBERS]
)
_ENCODING: Final = {"place": "DELTA_BINARY_PACKED", "first": "PLAIN", "second": "PLAIN"}
_PLAIN: Final = {"first": "NONE", "second": "NONE"}  # random bits: nothing is gained


@dataclass(frozen=True)
class Addresses:
    """Where rows lie in the source (``place``, uint64, each once) and which state of them lies there (``version``,
    uint32)."""

    place: Words
    version: np.ndarray[Any, np.dtype[np.uint32]]

    def __len__(self) -> int:
        return len(self.place)

    def of(self, chosen: np.ndarray[Any, Any] | slice) -> Self:
        """Those that a mask, a slice, or their indices in an order, choose."""
        return type(self)(self.place[chosen], self.version[chosen])

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        places = [part.place for part in parts] or [np.empty(0, np.uint64)]
        return cls(np.concatenate(places), np.concatenate([part.version for part in parts] or [np.empty(0, np.uint32)]))


def write_numbers(sink: BinaryIO, numbers: Lanes, addresses: Addresses | None = None) -> None:
    """One part, of at most ``PART_ROWS`` rows; those with addresses should be in order of place."""
    columns: dict[str, np.ndarray[Any, Any]] = {"first": numbers[0], "second": numbers[1]}
    if addresses is not None:
        columns = {"place": addresses.place, "version": addresses.version, **columns}
    schema = _NUMBERS if addresses is None else _ADDRESSED
    arrays = [pl.Series(columns[name]).to_arrow() for name in schema.names]  # pa.array would load pandas
    table = pa.Table.from_arrays(arrays, schema=schema)
    with pq.ParquetWriter(
        sink,
        schema,
        compression={name: _PLAIN.get(name, "zstd") for name in schema.names},
        use_dictionary=["version"] if addresses is not None else False,
        column_encoding={name: _ENCODING[name] for name in schema.names if name in _ENCODING},
        write_statistics=False,
    ) as writer:
        writer.write_table(table)


def read_numbers(file: BinaryIO, name: str, *, addressed: bool = False) -> tuple[Lanes, Addresses | None]:
    """The rows of the part ``name``; raises MemberDamaged when it is none."""
    schema = _ADDRESSED if addressed else _NUMBERS
    table = read_bounded(file, name, schema, rows=range(PART_ROWS + 1), what="a part of row numbers")
    columns = {name: pl.Series(pl.from_arrow(table.column(name))).to_numpy() for name in schema.names}
    numbers = columns["first"], columns["second"]
    return numbers, Addresses(columns["place"], columns["version"]) if addressed else None


def together(parts: Sequence[Lanes]) -> Lanes:
    """The numbers of several parts, one after another."""
    nothing = [(np.empty(0, np.uint64), np.empty(0, np.uint64))]
    first, second = zip(*(parts or nothing), strict=True)
    return np.concatenate(first), np.concatenate(second)
