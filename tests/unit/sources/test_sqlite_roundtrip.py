"""From SQLite to SQLite: the same values, classes, row ids and definitions, to the bit."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.compare import assert_databases_equal
from tests.support.database_copy import copy_database, make_database
from tests.support.sqlite_torture import make_torture

from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("batch_rows", [3, 65_536])
def test_the_torture_database_comes_back_bit_for_bit(tmp_path: Path, encoding: str, batch_rows: int) -> None:
    source = make_torture(tmp_path / "a.db", encoding=encoding, wal=batch_rows == 3)
    copy_database(source, tmp_path / "b.db", batch_rows=batch_rows)
    assert_databases_equal(source, tmp_path / "b.db")


def test_a_copy_of_a_copy_reads_as_the_first(tmp_path: Path) -> None:
    source = make_torture(tmp_path / "a.db")
    copy_database(source, tmp_path / "b.db")
    copy_database(tmp_path / "b.db", tmp_path / "c.db")
    assert_databases_equal(source, tmp_path / "c.db")


def test_values_that_their_affinity_would_change_stay_as_they_are(tmp_path: Path) -> None:
    source = make_database(
        tmp_path / "a.db",
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (1, '2')",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a TEXT, b INTEGER)'",
    )
    copy_database(source, tmp_path / "b.db")
    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT a, typeof(a), b, typeof(b) FROM t").fetchall() == [
            (1, "integer", "2", "text")
        ]
    connection.close()


def test_search_works_and_triggers_fire_again_after_a_restore(tmp_path: Path) -> None:
    copy_database(make_torture(tmp_path / "a.db"), tmp_path / "b.db")
    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT count(*) FROM search WHERE search MATCH 'run'").fetchone() == (19,)
        connection.execute("INSERT INTO search VALUES ('new', 'run')")
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)
        connection.execute("INSERT INTO alias VALUES (5, 'x')")
        assert connection.execute("SELECT what FROM log").fetchall() == [("fired; 5",)]
        connection.execute("INSERT INTO counted (v) VALUES (1)")
        assert connection.execute("SELECT max(id) FROM counted").fetchone() == (901,)
        connection.execute("INSERT INTO generated (a, b) VALUES (100, 'x')")
        assert connection.execute("SELECT s FROM generated WHERE v = 200").fetchone() == ("s100",)
    connection.close()


names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=8)
types = st.sampled_from(["", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "DATETIME", "VARCHAR(3)", "INT"])
cells = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    st.binary(max_size=12),
    st.sampled_from(["1", "1.0", "-0", "1e3", "0x10", " 5", "9223372036854775808", "inf", "nan"]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str]], str, str, list[list[Any]]]:
    """Columns with their types, a key clause, a table option, rows."""
    count = draw(st.integers(1, 5))
    words = draw(st.lists(names, min_size=count, max_size=count, unique_by=lambda name: name.lower().upper()))
    columns = [(word, draw(types)) for word in words]
    key = draw(st.sampled_from(["none", "plain", "desc", "collate", "unique"]))
    option = draw(st.sampled_from(["", " WITHOUT ROWID"])) if key in ("plain", "desc", "collate") else ""
    rows = draw(st.lists(st.lists(cells, min_size=count, max_size=count), max_size=12))
    return columns, key, option, rows


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(tables(), min_size=1, max_size=3), st.lists(names, min_size=3, max_size=3), st.integers(1, 5))
def test_random_schemas_with_random_values_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Any], words: list[str], batch_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("random")
    connection = sqlite3.connect(folder / "a.db", isolation_level=None)
    connection.execute("BEGIN")
    for number, (columns, key, option, rows) in enumerate(drawn):
        name = _quoted(f"{number}{words[number]}")
        first = _quoted(columns[0][0])
        clause = {
            "none": "",
            "plain": f", PRIMARY KEY ({first})",
            "desc": f", PRIMARY KEY ({first} DESC)",
            "collate": f", PRIMARY KEY ({first} COLLATE NOCASE)",
            "unique": f", UNIQUE ({first} COLLATE RTRIM)",
        }[key]
        body = ", ".join(f"{_quoted(column)} {kind}" for column, kind in columns)
        connection.execute(f"CREATE TABLE {name} ({body}{clause}){option}")
        connection.execute(f"CREATE INDEX {_quoted(f'i{number}{words[number]}')} ON {name} ({first} DESC)")
        for row in rows:
            with contextlib.suppress(sqlite3.IntegrityError):  # no integer for a row id
                connection.execute(f"INSERT OR IGNORE INTO {name} VALUES ({', '.join('?' * len(row))})", row)
    connection.execute("COMMIT")
    connection.close()
    copy_database(folder / "a.db", folder / "b.db", batch_rows=batch_rows)
    assert_databases_equal(folder / "a.db", folder / "b.db")


def test_rows_in_any_order_give_the_same_database(tmp_path: Path) -> None:
    source = make_database(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 500) INSERT INTO t SELECT x, x FROM n",
        "CREATE TABLE u (v)",
        "INSERT INTO u SELECT v FROM t",
    )
    copy_database(
        source, tmp_path / "b.db", change=lambda batch: batch.take(pa.array(range(batch.num_rows - 1, -1, -1)))
    )
    assert_databases_equal(source, tmp_path / "b.db")


def test_a_batch_without_rows_is_loaded_whatever_the_type_of_its_fields(tmp_path: Path) -> None:
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "CREATE TABLE u (v)")
    with SqliteSource(source).snapshot() as snapshot, SqliteDestination(tmp_path / "b.db") as destination:
        destination.prepare(snapshot.schema_files())
        for table in snapshot.tables:
            nothing = pa.RecordBatch.from_pydict({column.name: pa.nulls(0) for column in table.columns})
            assert destination.load(table, [nothing]) == 0
        destination.finish()
    assert_databases_equal(source, tmp_path / "b.db")


def test_geography_fields_are_ignored_when_rows_are_loaded(tmp_path: Path) -> None:
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1), ('x')")
    place = pa.field("$region", pa.string(), metadata={b"rlg.role": b"region"})
    copy_database(
        source, tmp_path / "b.db", change=lambda batch: batch.append_column(place, pa.array(["r"] * batch.num_rows))
    )
    assert_databases_equal(source, tmp_path / "b.db")


def test_a_table_excluded_from_the_backup_is_there_and_empty_and_its_broken_references_are_no_error(
    tmp_path: Path,
) -> None:
    source = make_database(
        tmp_path / "a.db",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        "CREATE TABLE child (p REFERENCES parent)",
        "INSERT INTO child VALUES (1)",
    )
    assert copy_database(source, tmp_path / "b.db", exclude=("par*",)) == []
    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)").fetchone() == (
            0,
            1,
        )
    connection.close()
