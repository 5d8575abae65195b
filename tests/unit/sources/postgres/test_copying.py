"""Every value that a batch can hold arrives as it was, in PostgreSQL's own words."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from tests.support.postgres_server import NEWEST, Servers, fresh_database, session

from rlg_backup.core.errors import MemberDamaged
from rlg_backup.sources.port import ROLE, Column, Table
from rlg_backup.sources.postgres.copying import copy_rows
from rlg_backup.sources.postgres.inserting import LINE_VALUES

TEXTS = [
    None, "", " ", "\\", "\\N", "N", "\\.", "a\n\\.\nb", "\t", "\r", "\n", "\r\n", "a\tb\\tc", '"', '""', "'", ",",
    "NULL", "\\x41", "\b\f\v", "\x01\x7f", "ünï", "\U0001f600", "\\\\", "end\\", "x" * 100_000,
]  # fmt: skip
BYTES = [None, b"", b"\0", b"\\", bytes(range(256)), b"\n\t\r", b"x" * 100_000]
FLOATS = [
    None,
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    5e-324,
    1.7976931348623157e308,
    0.1,
    1e16,
    1e-7,
    123456789.125,
]
WHOLE = [None, 0, -1, 2**63 - 1, -(2**63)]


@pytest.fixture
def connection(servers: Servers) -> Iterator[psycopg.Connection[Any]]:
    with fresh_database(servers[NEWEST]) as address, session(address) as connection:
        yield connection


def table(*columns: str) -> Table:
    return Table("public", "T t", tuple(Column(name, "") for name in columns), "")


def loaded(
    connection: psycopg.Connection[Any],
    kind: str,
    values: list[Any],
    type_: pa.DataType,
    line_values: int = LINE_VALUES,
) -> list[Any]:
    connection.execute(f'CREATE TABLE "T t" (n int, "v %" {kind})'.encode())
    numbers = pa.array(range(len(values)), pa.int64())
    batch = pa.record_batch([numbers, pa.array(values, type_)], names=["n", "v %"])
    batches = [batch.slice(0, 3), batch.slice(3)]
    assert copy_rows(connection, table("n", "v %"), batches, line_values=line_values) == len(values)
    return [row[0] for row in connection.execute('SELECT "v %" FROM "T t" ORDER BY n').fetchall()]


def bits(values: list[float | None], form: str = ">d") -> list[bytes | None]:
    return [None if value is None else struct.pack(form, value) for value in values]


@pytest.mark.parametrize("line_values", [LINE_VALUES, 0], ids=["by COPY", "by INSERT"])
@pytest.mark.parametrize(
    ("kind", "values", "type_"),
    [
        ("text", TEXTS, pa.string()),
        ("bytea", BYTES, pa.binary()),
        ("bigint", WHOLE, pa.int64()),
        ("boolean", [True, None, False, True], pa.bool_()),
        ("text", [None] * 5, pa.null()),
    ],
    ids=["utf8", "bytes", "int64", "bool", "null"],
)
def test_values_of_every_form_arrive_as_they_were(
    connection: psycopg.Connection[Any], kind: str, values: list[Any], type_: pa.DataType, line_values: int
) -> None:
    assert loaded(connection, kind, values, type_, line_values) == values


@pytest.mark.parametrize("line_values", [LINE_VALUES, 0], ids=["by COPY", "by INSERT"])
def test_floats_arrive_bit_for_bit(connection: psycopg.Connection[Any], line_values: int) -> None:
    seed = random.Random(4)
    drawn = [struct.unpack(">d", seed.randbytes(8))[0] for _ in range(2_000)]
    values = FLOATS + [value for value in drawn if not math.isnan(value)]
    assert bits(loaded(connection, "float8", values, pa.float64(), line_values)) == bits(values)


def test_single_floats_arrive_bit_for_bit(connection: psycopg.Connection[Any]) -> None:
    seed = random.Random(5)
    drawn = [struct.unpack(">f", seed.randbytes(4))[0] for _ in range(20_000)]
    values = [value for value in drawn if not math.isnan(value)]
    assert bits(loaded(connection, "float4", values, pa.float64()), ">f") == bits(values, ">f")


def test_texts_of_a_column_alone_arrive_as_they_were(connection: psycopg.Connection[Any]) -> None:
    connection.execute('CREATE TABLE "T t" (place serial, v text)')
    copy_rows(connection, table("v"), [pa.record_batch([pa.array(TEXTS)], names=["v"])])
    assert [row[0] for row in connection.execute('SELECT v FROM "T t" ORDER BY place').fetchall()] == TEXTS


def test_a_batch_with_a_row_too_long_for_a_line_of_copy_goes_by_insert_and_no_other(
    connection: psycopg.Connection[Any],
) -> None:
    """Only INSERT is seen by a rule. Of the limit, a row needs twice its bytes in a line."""
    connection.execute('CREATE TABLE "T t" (n int GENERATED ALWAYS AS IDENTITY, v bytea)')
    connection.execute("CREATE TABLE inserted (n int)")
    connection.execute('CREATE RULE seen AS ON INSERT TO "T t" DO ALSO INSERT INTO inserted VALUES (NEW.n)')
    sizes = [10, 1100, 2000, 900, 20]
    batches = [pa.record_batch([[n], [b"x" * size]], names=["n", "v"]) for n, size in enumerate(sizes)]
    assert copy_rows(connection, table("n", "v"), batches, line_values=1000) == 5
    assert connection.execute("SELECT n FROM inserted ORDER BY n").fetchall() == [(1,), (2,)]
    assert connection.execute('SELECT length(v) FROM "T t" ORDER BY n').fetchall() == [(size,) for size in sizes]


def test_a_char_is_the_byte_that_its_text_says(connection: psycopg.Connection[Any]) -> None:
    connection.execute('CREATE TABLE "T t" (place serial, v "char")')
    texts = ["\\200", "\\377", "a", None, "", "\\", "\\20", "\u00e9t\u00e9"]
    batches = [pa.record_batch([values], names=["v"]) for values in (pa.nulls(2), pa.array(texts))]
    assert copy_rows(connection, table("v"), batches, chars=["v"]) == 10
    found = [row[0] for row in connection.execute('SELECT v::int FROM "T t" ORDER BY place').fetchall()]
    assert found == [None, None, -128, -1, ord("a"), None, 0, ord("\\"), ord("\\"), 0xC3 - 256]


def test_what_goes_by_copy_fits_a_line_of_it_whatever_the_values_are() -> None:
    longest, columns, number = 0x3FFFFFFF, 1600, "-1.7976931348623157e+308\t"
    assert 2 * LINE_VALUES + columns * len(number) < longest


@pytest.mark.parametrize("columns", ["", "twice int GENERATED ALWAYS AS (1 + 1) STORED"])
def test_rows_without_columns_are_counted_out(connection: psycopg.Connection[Any], columns: str) -> None:
    connection.execute(f'CREATE TABLE "T t" ({columns})'.encode())
    place = pa.field("rowid", pa.int64(), metadata={ROLE: b"rowid"})
    batch = pa.record_batch([pa.array(range(5), pa.int64())], schema=pa.schema([place]))
    assert copy_rows(connection, table(), [batch, batch]) == 10
    assert connection.execute('SELECT count(*) FROM "T t"').fetchall() == [(10,)]


def test_a_column_may_change_its_form_from_batch_to_batch(connection: psycopg.Connection[Any]) -> None:
    connection.execute('CREATE TABLE "T t" (v text)')
    arrays = [pa.nulls(1), pa.array(["a"]), pa.array([], pa.string()), pa.nulls(2)]
    batches = [pa.record_batch([array], names=["v"]) for array in arrays]
    assert copy_rows(connection, table("v"), batches) == 4
    assert connection.execute('SELECT count(*), count(v) FROM "T t"').fetchall() == [(4, 1)]


@pytest.mark.parametrize("line_values", [LINE_VALUES, 0], ids=["by COPY", "by INSERT"])
@pytest.mark.parametrize(
    ("batch", "cause"),
    [
        (pa.record_batch([pa.array([1])], names=["other"]), "its columns are not those of the schema"),
        (pa.record_batch([pa.array([1]), pa.array([1])], names=["v", "w"]), "its columns are not those of the schema"),
        (pa.record_batch([pa.array([[1]])], names=["v"]), "its rows have no form of the format"),
        (pa.record_batch([pa.array([1], pa.date32())], names=["v"]), "its rows have no form of the format"),
    ],
)
def test_batches_that_are_no_rows_of_the_table_are_refused_and_leave_none(
    connection: psycopg.Connection[Any], batch: pa.RecordBatch, cause: str, line_values: int
) -> None:
    connection.execute('CREATE TABLE "T t" (v text)')
    good = pa.record_batch([pa.array(["a"])], names=["v"])
    with pytest.raises(MemberDamaged) as caught:
        copy_rows(connection, table("v"), [good, batch], line_values=line_values)
    assert str(caught.value) == f"unable to load 'T t': {cause}"
    assert connection.execute('SELECT count(*) FROM "T t"').fetchall() == [(0,)]


def test_what_is_left_of_a_longer_batch_before_is_not_loaded(connection: psycopg.Connection[Any]) -> None:
    connection.execute('CREATE TABLE "T t" (v text)')
    batches = [pa.record_batch({"v": pa.array(values)}) for values in (["long" * 100_000, "b"], ["c"], ["d" * 200_000])]
    assert copy_rows(connection, table("v"), batches) == 4
    found = connection.execute('SELECT v FROM "T t" ORDER BY ctid').fetchall()
    assert found == [("long" * 100_000,), ("b",), ("c",), ("d" * 200_000,)]
