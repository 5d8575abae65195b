"""Restoring into SQLite: exact whatever the definitions say, whole or not at all, never over anything."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.compare import assert_databases_equal
from tests.support.sqlite_torture import make_torture

from rlg_backup.core.errors import BackupError, DestinationUnsuitable, MemberDamaged, ParityFailed
from rlg_backup.sources.port import Table
from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


def make(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


def copy(
    source: Path, path: Path, *, batch_rows: int = 1000, altered: bool = False, exclude: tuple[str, ...] = (),
    change: Change | None = None,
) -> list[str]:  # fmt: skip
    """Source to destination through the port; returns the destination's warnings."""
    with (
        SqliteSource(source, exclude=exclude).snapshot() as snapshot,
        SqliteDestination(path, altered=altered) as destination,
    ):
        destination.prepare(snapshot.schema_files())
        for table in snapshot.tables:
            batches = list(snapshot.read(table, batch_rows=batch_rows))
            loaded = destination.load(table, map(change, batches) if change else batches)
            assert loaded == sum(batch.num_rows for batch in batches)
        assert not path.exists()
        destination.finish()
        return destination.warnings


def refusal(kind: type[BackupError], source: Path, path: Path, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        copy(source, path, **options)
    assert type(caught.value) is kind
    assert not path.exists()
    assert [name for name in os.listdir(path.parent) if name.endswith(".partial")] == []
    return str(caught.value)


# --- exact ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("batch_rows", [3, 65_536])
def test_the_torture_database_comes_back_bit_for_bit(tmp_path: Path, encoding: str, batch_rows: int) -> None:
    source = make_torture(tmp_path / "a.db", encoding=encoding, wal=batch_rows == 3)
    copy(source, tmp_path / "b.db", batch_rows=batch_rows)
    assert_databases_equal(source, tmp_path / "b.db")


def test_a_copy_of_a_copy_reads_as_the_first(tmp_path: Path) -> None:
    source = make_torture(tmp_path / "a.db")
    copy(source, tmp_path / "b.db")
    copy(tmp_path / "b.db", tmp_path / "c.db")
    assert_databases_equal(source, tmp_path / "c.db")


def test_values_that_their_affinity_would_change_stay_as_they_are(tmp_path: Path) -> None:
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (1, '2')",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (a TEXT, b INTEGER)'",
    )
    copy(source, tmp_path / "b.db")
    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT a, typeof(a), b, typeof(b) FROM t").fetchall() == [
            (1, "integer", "2", "text")
        ]
    connection.close()


def test_search_works_and_triggers_fire_again_after_a_restore(tmp_path: Path) -> None:
    copy(make_torture(tmp_path / "a.db"), tmp_path / "b.db")
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
    copy(folder / "a.db", folder / "b.db", batch_rows=batch_rows)
    assert_databases_equal(folder / "a.db", folder / "b.db")


def test_rows_in_any_order_give_the_same_database(tmp_path: Path) -> None:
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 500) INSERT INTO t SELECT x, x FROM n",
        "CREATE TABLE u (v)",
        "INSERT INTO u SELECT v FROM t",
    )
    copy(source, tmp_path / "b.db", change=lambda batch: batch.take(pa.array(range(batch.num_rows - 1, -1, -1))))
    assert_databases_equal(source, tmp_path / "b.db")


def test_geography_fields_are_ignored_when_rows_are_loaded(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1), ('x')")
    place = pa.field("$region", pa.string(), metadata={b"rlg.role": b"region"})
    copy(source, tmp_path / "b.db", change=lambda batch: batch.append_column(place, pa.array(["r"] * batch.num_rows)))
    assert_databases_equal(source, tmp_path / "b.db")


def test_a_table_excluded_from_the_backup_is_there_and_empty_and_its_broken_references_are_no_error(
    tmp_path: Path,
) -> None:
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        "CREATE TABLE child (p REFERENCES parent)",
        "INSERT INTO child VALUES (1)",
    )
    assert copy(source, tmp_path / "b.db", exclude=("par*",)) == []
    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)").fetchone() == (
            0,
            1,
        )
    connection.close()


# --- whole or not at all --------------------------------------------------------------------------


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    source = make_torture(tmp_path / "a.db", wal=False)
    before = os.umask(0)
    try:
        copy(source, tmp_path / "b.db")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db"]


@pytest.mark.parametrize("name", ["b.db", "b.db-wal", "b.db-journal", "b.db-shm"])
def test_a_name_that_is_taken_is_refused_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a)")
    taken = tmp_path / name
    taken.write_bytes(b"mine")
    with pytest.raises(DestinationUnsuitable) as caught:
        copy(source, tmp_path / "b.db")
    assert str(caught.value) == (
        f"unable to restore to '{taken}': it exists already\n"
        "hint: name a file that does not exist, or move that one away first"
    )
    assert taken.read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["a.db", name]


def test_a_dangling_link_at_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.db").symlink_to("nowhere")
    with pytest.raises(DestinationUnsuitable) as caught:
        copy(make(tmp_path / "a.db", "CREATE TABLE t (a)"), tmp_path / "b.db")
    assert caught.value.cause == "it exists already"


def test_a_file_that_appears_while_rows_are_loaded_is_not_overwritten(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    target = tmp_path / "b.db"
    with SqliteSource(source).snapshot() as snapshot, SqliteDestination(target) as destination:
        destination.prepare(snapshot.schema_files())
        destination.load(snapshot.tables[0], snapshot.read(snapshot.tables[0]))
        target.write_bytes(b"mine")
        with pytest.raises(DestinationUnsuitable) as caught:
            destination.finish()
    assert caught.value.cause == "it exists already"
    assert target.read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db"]


def test_what_is_not_finished_leaves_nothing_behind(tmp_path: Path) -> None:
    source = make_torture(tmp_path / "a.db", wal=False)
    with SqliteSource(source).snapshot() as snapshot, SqliteDestination(tmp_path / "b.db") as destination:
        destination.prepare(snapshot.schema_files())
        destination.load(snapshot.tables[0], snapshot.read(snapshot.tables[0]))
        assert len(os.listdir(tmp_path)) == 2
    assert os.listdir(tmp_path) == ["a.db"]
    destination.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    target = tmp_path / "no" / "b.db"
    with pytest.raises(DestinationUnsuitable) as caught:
        copy(make(tmp_path / "a.db", "CREATE TABLE t (a)"), target)
    assert str(caught.value) == f"unable to restore to '{target}': there is no folder '{tmp_path / 'no'}'"


def test_loading_before_prepare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DestinationUnsuitable) as caught:
        SqliteDestination(tmp_path / "b.db").load(Table("main", "t", (), ""), [])
    assert str(caught.value) == "unable to load 't': the database is not being built"


# --- what cannot be restored ----------------------------------------------------------------------


def only(table: str, change: Change) -> Change:
    return lambda batch: change(batch) if table in batch.schema.names else batch


def test_rows_that_break_a_foreign_key_the_source_kept_are_no_parity(tmp_path: Path) -> None:
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (1), (2)",
        "CREATE TABLE child (p REFERENCES parent)",
        "INSERT INTO child VALUES (1), (2), (3)",
    )
    cut = only("id", lambda batch: batch.slice(1))
    with pytest.raises(AssertionError):
        copy(source, tmp_path / "b.db", change=cut)  # the helper's own count of rows
    message = "rows break other foreign keys than in the source"
    with (
        SqliteSource(source).snapshot() as snapshot,
        SqliteDestination(tmp_path / "b.db") as destination,
        pytest.raises(ParityFailed) as caught,
    ):
        destination.prepare(snapshot.schema_files())
        for table in snapshot.tables:
            destination.load(table, map(cut, snapshot.read(table)))
        destination.finish()
    assert str(caught.value) == f"unable to check 'child': its {message}"
    with SqliteSource(source).snapshot() as snapshot, SqliteDestination(tmp_path / "b.db", altered=True) as destination:
        destination.prepare(snapshot.schema_files())
        for table in snapshot.tables:
            destination.load(table, map(cut, snapshot.read(table)))
        destination.finish()
    assert destination.warnings == [f"table 'child': its {message}"]


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.take(pa.array([0, 0, *range(2, batch.num_rows)]))


def test_a_row_id_that_comes_twice_is_damage(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2)")
    message = refusal(MemberDamaged, source, tmp_path / "b.db", change=doubled)
    assert message == "unable to load 't': its rows repeat a key, or lack one"


def test_values_that_come_twice_in_a_unique_index_are_no_parity(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a UNIQUE)", "INSERT INTO t VALUES (1), (2)")

    def same(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.set_column(1, batch.schema.field(1), pa.array([7, 7]))

    message = refusal(ParityFailed, source, tmp_path / "b.db", change=same)
    assert message == "unable to index 't': its rows repeat a value in a unique index"


def test_an_index_that_needs_the_applications_collation_is_a_warning_at_the_source_and_an_error_at_the_restore(
    tmp_path: Path,
) -> None:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.create_collation("BACKWARDS", lambda one, two: (one < two) - (one > two))
    connection.execute("CREATE TABLE t (a COLLATE BACKWARDS, b)")
    connection.execute("INSERT INTO t VALUES ('x', 1), ('y', 2)")
    connection.execute("CREATE INDEX i ON t (a)")
    connection.close()
    with SqliteSource(tmp_path / "a.db").snapshot() as snapshot:
        assert snapshot.warnings[1:] == (
            "index 'i' needs the collation 'BACKWARDS', which SQLite lacks here: a restore must have it",
        )
    assert refusal(DestinationUnsuitable, tmp_path / "a.db", tmp_path / "b.db") == (
        "unable to index 't': an index of it needs a collation or function that SQLite lacks here\n"
        "hint: restore where the application's own SQLite extensions are, or read data/ with any Parquet reader"
    )


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda batch: batch.drop_columns(["v"]), "its columns are not those of the schema"),
        (lambda batch: batch.rename_columns(["id", "V"]), "its columns are not those of the schema"),
        (lambda batch: batch.set_column(0, "id", pa.array(["x", "y"])), "a row id is not an integer"),
        (lambda batch: batch.set_column(0, "id", pa.array([1, None])), "a row id is not an integer"),
        (lambda batch: batch.set_column(1, "v", pa.nulls(2, pa.date32())), "its rows have no form of the format"),
        (
            lambda batch: batch.set_column(1, "v", pa.array([b"\xff", b""]).view(pa.string())),
            "its rows have no form of the format",
        ),
    ],
)
def test_batches_that_are_not_rows_of_the_table_are_damage(tmp_path: Path, change: Change, cause: str) -> None:
    source = make(
        tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    )
    assert refusal(MemberDamaged, source, tmp_path / "b.db", change=change) == f"unable to load 't': {cause}"


def test_a_table_the_schema_does_not_define_is_damage(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a)")
    with SqliteSource(source).snapshot() as snapshot, SqliteDestination(tmp_path / "b.db") as destination:
        destination.prepare(snapshot.schema_files())
        with pytest.raises(MemberDamaged) as caught:
            destination.load(Table("main", "u", (), ""), [])
    assert str(caught.value) == "unable to load 'u': schema/sqlite.json does not define it"


WHOLE = "unable to read 'schema/sqlite.json': it is not the schema of a SQLite database"


def test_a_backup_without_its_schema_is_damage(tmp_path: Path) -> None:
    with pytest.raises(MemberDamaged) as caught:
        SqliteDestination(tmp_path / "b.db").prepare({})
    assert str(caught.value) == "unable to read 'schema/sqlite.json': the backup does not hold it"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_schema_file_with_anything_in_it_is_damage_or_restores_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("schema")
    source = make(folder / "a.db", "CREATE TABLE t (a UNIQUE, b)", "CREATE VIEW v AS SELECT 1")
    with SqliteSource(source).snapshot() as snapshot:
        document = json.loads(snapshot.schema_files()["sqlite.json"])
    place: Any = document
    keys: list[Any] = []
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        keys.append(key)
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    odd = st.sampled_from([None, -1, 2**70, "", "x", "x); DROP TABLE t; --", [], {}, [[]], {"base64": "!"}, True, 1.5])
    place[keys[-1]] = data.draw(odd)
    target = folder / "b.db"
    try:
        with SqliteDestination(target) as destination:
            destination.prepare({"sqlite.json": json.dumps(document).encode()})
            destination.finish()
    except (MemberDamaged, DestinationUnsuitable, ParityFailed):
        assert not target.exists()
    assert [name for name in os.listdir(folder) if name.endswith(".partial")] == []


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"null", b"\xff", b'{"version":2}', b"[" * 100_000])
def test_a_schema_file_that_does_not_parse_is_damage(tmp_path: Path, damaged: bytes) -> None:
    with pytest.raises(MemberDamaged) as caught:
        SqliteDestination(tmp_path / "b.db").prepare({"sqlite.json": damaged})
    assert str(caught.value) == WHOLE
    assert os.listdir(tmp_path) == []
