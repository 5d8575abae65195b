"""Parts of row numbers: what an archive says was removed, and what the change state knows of rows."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import BinaryIO, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.format.row_numbers import PART_ROWS, Addresses, read_numbers, together, write_numbers

Row = tuple[int, ...]  # first and second lane, and where it is addressed place and version
NAME = "removed/main.t/part-00007.parquet"
WORD = st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**64 - 1])
VERSION = st.integers(0, 2**32 - 1)


def written(rows: list[Row], *, addressed: bool = False) -> bytes:
    sink = io.BytesIO()
    columns = [np.array([row[place] for row in rows], np.uint64) for place in range(4 if addressed else 2)]
    addresses = Addresses(columns[2], columns[3].astype(np.uint32)) if addressed else None
    write_numbers(sink, (columns[0], columns[1]), addresses)
    return sink.getvalue()


def read(data: bytes, *, addressed: bool = False) -> list[Row]:
    numbers, addresses = read_numbers(io.BytesIO(data), NAME, addressed=addressed)
    assert (addresses is not None) == addressed
    columns = [*numbers, *((addresses.place, addresses.version) if addresses is not None else ())]
    assert [str(one.dtype) for one in columns] == ["uint64", "uint64", "uint64", "uint32"][: len(columns)]
    return list(zip(*(one.tolist() for one in columns), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORD, WORD), max_size=20))
def test_numbers_come_back_in_their_order(rows: list[Row]) -> None:
    assert read(written(rows)) == rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORD, WORD, WORD, VERSION), max_size=20))
def test_numbers_come_back_with_where_they_lie(rows: list[Row]) -> None:
    assert read(written(rows, addressed=True), addressed=True) == rows


def test_a_full_part_comes_back_and_several_are_put_together_in_order() -> None:
    rows = np.arange(PART_ROWS, dtype=np.uint64)
    sink = io.BytesIO()
    write_numbers(sink, (rows, rows[::-1]))
    whole, _ = read_numbers(io.BytesIO(sink.getvalue()), NAME)
    assert (whole[0] == rows).all()
    assert (whole[1] == rows[::-1]).all()
    first, second = together([(rows[:2], rows[2:4]), (rows[4:5], rows[5:6])])
    assert (first.tolist(), second.tolist()) == ([0, 1, 4], [2, 3, 5])
    assert [(len(lane), str(lane.dtype)) for lane in together([])] == [(0, "uint64")] * 2


def test_addresses_are_chosen_by_a_mask_a_slice_or_an_order_and_put_together() -> None:
    some = Addresses(np.array([3, 5, 9], np.uint64), np.array([1, 2, 3], np.uint32))
    for chosen in (np.array([True, False, True]), slice(0, 3, 2), np.array([0, 2])):
        assert (some.of(chosen).place.tolist(), some.of(chosen).version.tolist()) == ([3, 9], [1, 3])
    both = Addresses.together([some, some.of(slice(0, 1))])
    assert (both.place.tolist(), both.version.tolist(), len(both)) == ([3, 5, 9, 3], [1, 2, 3, 1], 4)
    none = Addresses.together([])
    assert (len(none), str(none.place.dtype), str(none.version.dtype)) == (0, "uint64", "uint32")


# --- what is none -----------------------------------------------------------------------------------


def refused(data: bytes, *, addressed: bool = False) -> str:
    with pytest.raises(MemberDamaged) as caught:
        read_numbers(io.BytesIO(data), NAME, addressed=addressed)
    return str(caught.value)


def no_part(cause: str) -> str:
    return f"unable to read '{NAME}': {cause}"


def parquet(table: pa.Table, **settings: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **settings)
    return sink.getvalue()


PLAIN = written([(1, 2), (3, 4)])
ADDRESSED = written([(1, 2, 3, 4)], addressed=True)
NUMBERS = pq.read_table(io.BytesIO(PLAIN))
THREE = NUMBERS.schema.append(pa.field("third", pa.uint64(), False))


def zeros(rows: int) -> pa.Table:
    column = pl.Series(np.zeros(rows, np.uint64)).to_arrow()
    return pa.Table.from_arrays([column, column], schema=NUMBERS.schema)


def retyped(name: str, kind: pa.DataType, *, nullable: bool = False) -> pa.Table:
    place = NUMBERS.schema.get_field_index(name)
    return NUMBERS.cast(NUMBERS.schema.set(place, pa.field(name, kind, nullable)))


FOREIGN: dict[str, Callable[[], bytes]] = {
    "addressed where numbers alone are due": lambda: ADDRESSED,
    "of signed numbers": lambda: parquet(retyped("first", pa.int64())),
    "of shorter numbers": lambda: parquet(retyped("second", pa.uint32())),
    "of numbers that may be missing": lambda: parquet(retyped("second", pa.uint64(), nullable=True)),
    "with one lane": lambda: parquet(NUMBERS.select(["first"])),
    "with its lanes exchanged": lambda: parquet(NUMBERS.select(["second", "first"])),
    "with a lane more": lambda: parquet(pa.table([*NUMBERS.columns, NUMBERS["first"]], schema=THREE)),
    "of one row too many": lambda: parquet(zeros(PART_ROWS + 1)),
    "of one row too many in several row groups": lambda: parquet(zeros(PART_ROWS + 1), row_group_size=100_000),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_parquet_file_is_refused(what: str) -> None:
    assert refused(FOREIGN[what]()) == no_part("it is not a part of row numbers")


def test_numbers_alone_are_refused_where_addresses_are_due() -> None:
    assert refused(PLAIN, addressed=True) == no_part("it is not a part of row numbers")


def test_what_is_no_parquet_file_is_refused() -> None:
    for data in (b"", b"PAR1", b"PAR1" * 4, PLAIN[:-1], PLAIN + b"\0"):
        assert refused(data) == no_part("it is not a Parquet part (ArrowInvalid)")
    assert refused(PLAIN[1:]) == no_part("it is not a Parquet part (OSError)")


def test_a_flipped_bit_gives_numbers_or_our_error_and_nothing_else() -> None:
    """Parquet has no digest of its own: who holds the part to one is the archive's directory."""
    outcomes = set()
    for sound, addressed in ((PLAIN, False), (ADDRESSED, True)):
        for bit in range(len(sound) * 8):
            data = bytearray(sound)
            data[bit // 8] ^= 1 << bit % 8
            try:
                read_numbers(io.BytesIO(data), NAME, addressed=addressed)
                outcomes.add("read")
            except MemberDamaged as error:
                outcomes.add(str(error))
    assert outcomes >= {"read", no_part("it is not a part of row numbers")}
    rest = outcomes - {"read", no_part("it is not a part of row numbers")}
    assert rest
    assert all(text.startswith(no_part("it is not a Parquet part (")) for text in rest), rest


def test_a_disk_that_fails_is_not_told_as_damage_of_the_part() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "the disk fails")

    with pytest.raises(OSError, match="the disk fails") as caught:
        read_numbers(cast(BinaryIO, Failing(PLAIN)), NAME)
    assert caught.value.errno == errno.EIO
