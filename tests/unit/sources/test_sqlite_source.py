"""Reading a SQLite database: one instant, nothing skipped, nothing changed, every error named."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.sqlite_torture import make_torture

from rlg_backup.core.errors import SourceUnreadable
from rlg_backup.sources import sqlite_read
from rlg_backup.sources.sqlite import SqliteSnapshot, SqliteSource


def rows(snapshot: SqliteSnapshot, name: str) -> list[dict[str, object]]:
    table = next(table for table in snapshot.tables if table.name == name)
    return [row for batch in snapshot.read(table) for row in batch.to_pylist()]


def failure(source: SqliteSource) -> SourceUnreadable:
    with pytest.raises(SourceUnreadable) as caught, source.snapshot() as snapshot:
        snapshot.schema_files()
        for table in snapshot.tables:
            for _ in snapshot.read(table):
                pass
    return caught.value


# --- one instant ----------------------------------------------------------------------------------


def test_transfers_between_tables_never_unbalance_what_is_read_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA journal_mode = WAL")
        for name in ("left", "right"):
            made.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, amount INTEGER)")
            made.executemany(f"INSERT INTO {name} VALUES (?, 100)", [(number,) for number in range(500)])
    made.close()
    stop, moved = threading.Event(), []

    def transfer() -> None:
        choose = random.Random(5)
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        connection.execute("PRAGMA synchronous = OFF")
        while not stop.is_set():
            row = choose.randrange(500)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE left SET amount = amount - 7 WHERE id = ?", (row,))
            connection.execute("UPDATE right SET amount = amount + 7 WHERE id = ?", (499 - row,))
            connection.execute("COMMIT")
            moved.append(row)
        connection.close()

    writer = threading.Thread(target=transfer)
    writer.start()
    try:
        for _ in range(3):
            with SqliteSource(path).snapshot() as snapshot:
                before, total = len(moved), 0
                for table in snapshot.tables:
                    for batch in snapshot.read(table, batch_rows=100):
                        total += sum(batch.column("amount").to_pylist())
                        stop.wait(0.001)
                assert total == 100_000
                assert len(moved) > before, "nobody wrote meanwhile: the test shows nothing"
    finally:
        stop.set()
        writer.join()


def test_a_table_dropped_after_the_snapshot_is_still_read_whole(database: Path) -> None:
    with SqliteSource(database).snapshot() as snapshot:
        with sqlite3.connect(database) as other:
            other.execute("DROP TABLE accounts")
            other.execute("CREATE TABLE later (a)")
        other.close()
        assert len(rows(snapshot, "accounts")) == 10
        assert [table.name for table in snapshot.tables] == ["accounts", "notes"]


def test_a_rollback_journal_gives_a_warning_that_writers_wait(tmp_path: Path) -> None:
    path = make_torture(tmp_path / "a.db", wal=False)
    with SqliteSource(path).snapshot() as snapshot:
        assert snapshot.warnings == (
            "the database is not in WAL mode: whoever writes to it waits until the backup has read it",
            "table 'shadowed_all': its columns hide the row id, which is not kept",
        )


def test_reading_changes_no_byte_of_the_database_even_where_its_log_waits_to_be_written_back(
    database: Path, tmp_path: Path
) -> None:
    crashed = tmp_path / "crashed.db"
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO notes VALUES ('in the log only')")
        connection.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{database}{suffix}", f"{crashed}{suffix}")
    connection.close()
    before = crashed.read_bytes()
    with SqliteSource(crashed).snapshot() as snapshot:
        assert [row["body"] for row in rows(snapshot, "notes")] == ["in the log only"]
        snapshot.schema_files()
    assert crashed.read_bytes() == before


# --- nothing skipped ------------------------------------------------------------------------------


def test_every_table_is_listed_or_excluded_with_a_reason(tmp_path: Path) -> None:
    path = make_torture(tmp_path / "a.db")
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    with SqliteSource(path, exclude=["typed_*", "a.b", "nothing like it"]).snapshot() as snapshot:
        excluded = {one.name: one.reason for one in snapshot.excluded}
        assert {table.name for table in snapshot.tables} | set(excluded) == names
        assert not {table.name for table in snapshot.tables} & set(excluded)
        assert excluded["a.b"] == "excluded by the configuration: a.b"
        assert excluded["typed_TEXT"] == "excluded by the configuration: typed_*"
        assert excluded["search"] == "virtual table: kept as its definition, its rows lie in tables of its own"
        assert "exclude: the pattern 'nothing like it' matches no table" in snapshot.warnings
        assert {"sqlite_sequence", "sqlite_stat1", "search_data"} <= {table.name for table in snapshot.tables}


def test_columns_say_their_type_key_and_whether_they_take_null(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9) NOT NULL, g AS (a), s AS (a) STORED, b)"
        )
        connection.execute("CREATE TABLE w (a, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID")
    connection.close()
    with SqliteSource(path).snapshot() as snapshot:
        described = [
            [(column.name, column.declared_type, column.nullable, column.key) for column in table.columns]
            for table in snapshot.tables
        ]
        assert described == [
            [("id", "INTEGER", False, 1), ("a", "VARCHAR(9)", False, 0), ("b", "", True, 0)],
            [("a", "", False, 2), ("b", "TEXT", False, 1)],
        ]
        assert [table.options for table in snapshot.tables] == [{"row_identity": "column"}, {"row_identity": "key"}]


def test_a_fingerprint_changes_with_the_definition_of_the_table_and_of_no_other(database: Path) -> None:
    def fingerprints() -> dict[str, str]:
        with SqliteSource(database).snapshot() as snapshot:
            return {table.name: table.fingerprint for table in snapshot.tables}

    before = fingerprints()
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE notes ADD COLUMN more")
    connection.close()
    after = fingerprints()
    assert after["accounts"] == before["accounts"]
    assert after["notes"] != before["notes"]


def test_the_system_stays_and_the_marker_moves_when_rows_change(database: Path) -> None:
    def identity() -> tuple[str, str]:
        with SqliteSource(database).snapshot() as snapshot:
            return snapshot.identity.system, snapshot.identity.marker

    first, again = identity(), identity()
    assert first == again
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO notes VALUES (1)")
    connection.close()
    assert identity()[0] == first[0]
    assert identity()[1] != first[1]
    assert str(database) not in first[0]


# --- rows -----------------------------------------------------------------------------------------


def test_the_row_id_comes_first_under_a_name_no_column_has(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE t ("$rowid", "$$rowid", rowid TEXT)')
        connection.execute("INSERT INTO t (_rowid_, rowid) VALUES (41, 'mine')")
    connection.close()
    with SqliteSource(path).snapshot() as snapshot:
        (batch,) = snapshot.read(snapshot.tables[0])
        assert batch.schema.names == ["$$$rowid", "$rowid", "$$rowid", "rowid"]
        assert batch.schema.field(0).metadata == {b"rlg.form": b"int64", b"rlg.role": b"rowid"}
        assert batch.schema.field(0).type == pa.int64()
        assert not batch.schema.field(0).nullable
        assert [field.metadata for field in batch.schema][1:] == [
            {b"rlg.form": b"null"},
            {b"rlg.form": b"null"},
            {b"rlg.form": b"utf8"},
        ]
        assert batch.to_pylist() == [{"$$$rowid": 41, "$rowid": None, "$$rowid": None, "rowid": "mine"}]


def test_a_half_of_a_surrogate_pair_in_a_utf16_database_comes_as_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = make_torture(tmp_path / "a.db", encoding="UTF-16le")
    with SqliteSource(path).snapshot() as snapshot:
        found = [row["v"] for row in rows(snapshot, "halves")]
    assert [(value["class"], value["b"]) for value in found] == [  # type: ignore[index]
        (3, b"\xed\xa0\x80"),
        (3, "\u00d8".encode()),
        (3, b"A\xed\xa0\xbd"),
        (3, b"plain"),
        (3, "😀".encode()),
        (4, b"\x00\xd8"),
        (1, None),
        (0, None),
    ]


def test_a_batch_ends_where_its_text_and_blobs_reach_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_read, "BATCH_BYTES", 100_000)
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b)")
        sizes = [1] * 3000 + [20_000] * 300 + [500_000] * 3 + [0] * 100
        connection.executemany("INSERT INTO t VALUES (?, zeroblob(?))", enumerate(sizes))
    connection.close()
    with SqliteSource(path).snapshot() as snapshot:
        batches = list(snapshot.read(snapshot.tables[0]))
    found = [[len(value) for value in batch.column("b").to_pylist()] for batch in batches]
    assert [size for batch in found for size in batch] == sizes
    assert all(sum(batch) <= 200_000 or len(batch) == 1 for batch in found)
    assert len(found) < 120


def test_batches_are_as_long_as_asked_and_an_empty_table_gives_none(database: Path) -> None:
    with SqliteSource(database).snapshot() as snapshot:
        accounts, notes = snapshot.tables
        assert [batch.num_rows for batch in snapshot.read(accounts, batch_rows=4)] == [4, 4, 2]
        assert list(snapshot.read(notes)) == []


def test_two_tables_are_read_at_once_from_different_threads_in_turn(database: Path) -> None:
    with SqliteSource(database).snapshot() as snapshot:
        reading = snapshot.read(snapshot.tables[0], batch_rows=3)
        found = [next(reading)]
        thread = threading.Thread(target=lambda: found.extend(reading))
        thread.start()
        thread.join()
    assert [row["id"] for batch in found for row in batch.to_pylist()] == list(range(10))


# --- what cannot be read --------------------------------------------------------------------------


def test_a_missing_database_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "gone.db"
    assert str(failure(SqliteSource(path))) == f"unable to open '{path}': there is no such file"
    assert not path.exists()


def test_a_folder_and_an_empty_file_and_another_file_are_no_databases(tmp_path: Path) -> None:
    assert str(failure(SqliteSource(tmp_path))) == f"unable to open '{tmp_path}': it is not a file"
    empty = tmp_path / "empty.db"
    empty.touch()
    expected = f"unable to read '{empty}': the file is empty: no database was ever made in it"
    assert str(failure(SqliteSource(empty))) == expected
    other = tmp_path / "other.db"
    other.write_bytes(b"PK\x03\x04" + bytes(5000))
    assert str(failure(SqliteSource(other))) == f"unable to read '{other}': it is not a SQLite database"


def test_a_name_with_characters_of_an_address_is_opened_as_it_is(tmp_path: Path, database: Path) -> None:
    path = tmp_path / "a?mode=rwc#%41 ü.db"
    database.rename(path)
    with SqliteSource(path).snapshot() as snapshot:
        assert len(rows(snapshot, "accounts")) == 10


def test_a_database_somebody_has_locked_is_named_after_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("BEGIN EXCLUSIVE")
        source = SqliteSource(path, busy_seconds=0.1)
        assert str(failure(source)) == f"unable to read '{path}': another process holds it locked"
    connection.close()


def test_damage_to_any_page_is_an_error_or_leaves_the_rows_as_they_are_never_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, "v" * 40) for number in range(400)])
        connection.execute("CREATE INDEX i ON t (v)")
    connection.close()
    whole = path.read_bytes()
    failed = 0
    for offset in range(0, len(whole), 512):
        damaged = bytearray(whole)
        damaged[offset : offset + 512] = b"\xa5" * 512
        path.write_bytes(damaged)
        try:
            with SqliteSource(path).snapshot() as snapshot:
                snapshot.schema_files()
                assert sum(batch.num_rows for batch in snapshot.read(snapshot.tables[0])) == 400
        except SourceUnreadable as error:
            failed += 1
            assert error.subject in (str(path), "t")
            assert error.cause in (
                "it is damaged: SQLite cannot follow its pages",
                "it is not a SQLite database",
            ), error.cause
    assert failed >= 40  # the other half of the pages belong to the index: they do no harm


def test_the_schema_file_names_every_definition_and_the_script_is_for_a_person(database: Path) -> None:
    with SqliteSource(database).snapshot() as snapshot:
        files = snapshot.schema_files()
    document = json.loads(files["sqlite.json"])
    assert [row["name"] for row in document["rows"]] == ["accounts", "notes"]
    assert b"CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town_id)\n;" in files["schema.sql"]
