"""Restoring into SQLite: whole or not at all, never over anything, and never a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.database_copy import Change, copy_database, make_database
from tests.support.sqlite_torture import make_torture

from rlg_backup.core.errors import BackupError, DestinationUnsuitable, MemberDamaged, ParityFailed
from rlg_backup.sources.port import Table
from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination


def refusal(kind: type[BackupError], source: Path, path: Path, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        copy_database(source, path, **options)
    assert type(caught.value) is kind
    assert not path.exists()
    assert [name for name in os.listdir(path.parent) if name.endswith(".partial")] == []
    return str(caught.value)


# --- whole or not at all --------------------------------------------------------------------------


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    source = make_torture(tmp_path / "a.db", wal=False)
    before = os.umask(0)
    try:
        copy_database(source, tmp_path / "b.db")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db"]


@pytest.mark.parametrize("name", ["b.db", "b.db-wal", "b.db-journal", "b.db-shm"])
def test_a_name_that_is_taken_is_refused_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (a)")
    taken = tmp_path / name
    taken.write_bytes(b"mine")
    with pytest.raises(DestinationUnsuitable) as caught:
        copy_database(source, tmp_path / "b.db")
    assert str(caught.value) == (
        f"unable to restore to '{taken}': it exists already\n"
        "hint: name a file that does not exist, or move that one away first"
    )
    assert taken.read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["a.db", name]


def test_a_dangling_link_at_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.db").symlink_to("nowhere")
    with pytest.raises(DestinationUnsuitable) as caught:
        copy_database(make_database(tmp_path / "a.db", "CREATE TABLE t (a)"), tmp_path / "b.db")
    assert caught.value.cause == "it exists already"


def test_a_file_that_appears_while_rows_are_loaded_is_not_overwritten(tmp_path: Path) -> None:
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
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
        copy_database(make_database(tmp_path / "a.db", "CREATE TABLE t (a)"), target)
    assert str(caught.value) == f"unable to restore to '{target}': there is no folder '{tmp_path / 'no'}'"


def test_loading_before_prepare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DestinationUnsuitable) as caught:
        SqliteDestination(tmp_path / "b.db").load(Table("main", "t", (), ""), [])
    assert str(caught.value) == "unable to load 't': the database is not being built"


# --- what cannot be restored ----------------------------------------------------------------------


def only(table: str, change: Change) -> Change:
    return lambda batch: change(batch) if table in batch.schema.names else batch


def test_rows_that_break_a_foreign_key_the_source_kept_are_no_parity(tmp_path: Path) -> None:
    source = make_database(
        tmp_path / "a.db",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (1), (2)",
        "CREATE TABLE child (p REFERENCES parent)",
        "INSERT INTO child VALUES (1), (2), (3)",
    )
    cut = only("id", lambda batch: batch.slice(1))
    with pytest.raises(AssertionError):
        copy_database(source, tmp_path / "b.db", change=cut)  # the helper's own count of rows
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
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2)")
    message = refusal(MemberDamaged, source, tmp_path / "b.db", change=doubled)
    assert message == "unable to load 't': its rows repeat a key, or lack one"


def test_values_that_come_twice_in_a_unique_index_are_no_parity(tmp_path: Path) -> None:
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (a UNIQUE)", "INSERT INTO t VALUES (1), (2)")

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
    source = make_database(
        tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    )
    assert refusal(MemberDamaged, source, tmp_path / "b.db", change=change) == f"unable to load 't': {cause}"


def test_a_table_the_schema_does_not_define_is_damage(tmp_path: Path) -> None:
    source = make_database(tmp_path / "a.db", "CREATE TABLE t (a)")
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
    source = make_database(folder / "a.db", "CREATE TABLE t (a UNIQUE, b)", "CREATE VIEW v AS SELECT 1")
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
