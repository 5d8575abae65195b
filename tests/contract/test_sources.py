"""What every source and every destination promises (sources/port.py). A new driver adds itself to DATABASES."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.support.compare import assert_trees_equal
from tests.support.tree_torture import make_tree

from rlg_backup.core.errors import DestinationUnsuitable, SourceUnreadable
from rlg_backup.sources.files import FileSource
from rlg_backup.sources.files_destination import FileDestination
from rlg_backup.sources.geography import parse_geography
from rlg_backup.sources.port import ROLE, Entry, TableDestination, TableSource
from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination

GEOGRAPHY = parse_geography(
    {
        "levels": {
            "region": {"table": "regions", "key": "code"},
            "country": {"table": "countries", "key": "code", "parent": "region"},
        },
        "tables": {"accounts": {"country": "country"}},
    }
)
SCHEMA = (
    "CREATE TABLE regions (code VARCHAR(20) PRIMARY KEY)",
    "CREATE TABLE countries (code VARCHAR(20) PRIMARY KEY, region VARCHAR(20))",
    "CREATE TABLE accounts (id BIGINT PRIMARY KEY, name VARCHAR(99), country VARCHAR(20))",
    "CREATE TABLE vacant (a BIGINT)",
    "INSERT INTO regions VALUES ('special')",
    "INSERT INTO countries VALUES ('IL', 'special')",
    "INSERT INTO accounts VALUES (1, 'one', 'IL'), (2, NULL, NULL), (3, 'ünï', 'XX')",
)


@dataclass(frozen=True)
class Database:
    """How the suite works one kind of database: ``run`` executes statements in a place, each committed."""

    name: str
    run: Callable[[Path, Sequence[str]], None]
    source: Callable[..., TableSource]
    destination: Callable[[Path], AbstractContextManager[TableDestination]]


def run_sqlite(path: Path, statements: Sequence[str]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in statements:
        connection.execute(statement)
    connection.close()


DATABASES = [Database("sqlite", run_sqlite, SqliteSource, SqliteDestination)]


@pytest.fixture(params=DATABASES, ids=lambda database: database.name)
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.param
    return found


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Path:
    path = tmp_path / "source"
    database.run(path, SCHEMA)
    return path


def content(source: TableSource, *, geography: bool = False) -> dict[str, list[dict[str, Any]]]:
    with source.snapshot() as snapshot:
        return {
            table.name: [row for batch in snapshot.read(table, geography=geography) for row in batch.to_pylist()]
            for table in snapshot.tables
        }


def restore(database: Database, place: Path, target: Path) -> None:
    with database.source(place).snapshot() as snapshot, database.destination(target) as destination:
        destination.prepare(snapshot.schema_files())
        for table in snapshot.tables:
            destination.load(table, snapshot.read(table))
        destination.finish()


def test_a_table_made_a_moment_ago_is_in_the_next_snapshot(database: Database, place: Path) -> None:
    before = set(content(database.source(place)))
    database.run(place, ["CREATE TABLE fresh (a BIGINT)"])
    assert set(content(database.source(place))) - before == {"fresh"}


def test_a_snapshot_sees_nothing_that_is_committed_after_it_was_opened(database: Database, place: Path) -> None:
    with database.source(place).snapshot() as snapshot:
        tables = {table.name: table for table in snapshot.tables}
        database.run(place, ["DELETE FROM accounts", "INSERT INTO vacant VALUES (1)", "DROP TABLE countries"])
        counts = {name: sum(batch.num_rows for batch in snapshot.read(table)) for name, table in tables.items()}
        assert {name: counts[name] for name in ("accounts", "vacant", "countries")} == {
            "accounts": 3, "vacant": 0, "countries": 1,
        }  # fmt: skip


def test_a_table_can_be_read_again_and_gives_the_same(database: Database, place: Path) -> None:
    with database.source(place).snapshot() as snapshot:
        table = next(table for table in snapshot.tables if table.name == "accounts")
        first = pa.Table.from_batches(snapshot.read(table))
        again = pa.Table.from_batches(snapshot.read(table, batch_rows=100))
        assert first.equals(again, check_metadata=True)


def test_excluded_tables_are_named_and_not_among_the_tables(database: Database, place: Path) -> None:
    with database.source(place, exclude=["acc*"]).snapshot() as snapshot:
        assert [(one.name, one.reason) for one in snapshot.excluded] == [
            ("accounts", "excluded by the configuration: acc*")
        ]
        assert "accounts" not in {table.name for table in snapshot.tables}


def test_geography_fields_have_their_roles_and_come_last(database: Database, place: Path) -> None:
    source = database.source(place, geography=GEOGRAPHY)
    with source.snapshot() as snapshot:
        tables = {table.name: table for table in snapshot.tables}
        (batch,) = snapshot.read(tables["accounts"])
        roles = [(field.metadata or {}).get(ROLE) for field in batch.schema]
        assert roles[-4:] == [b"region", b"country", b"city", b"town"]
        assert all(field.name.startswith("$") and field.type == pa.string() for field in list(batch.schema)[-4:])
        rows = sorted(batch.to_pylist(), key=lambda row: row["id"])
        assert [(row["$region"], row["$country"]) for row in rows] == [("special", "IL"), (None, None), (None, "XX")]
        (plain,) = snapshot.read(tables["accounts"], geography=False)
        assert not {(field.metadata or {}).get(ROLE) for field in plain.schema} & {b"region", b"country"}


def test_columns_agree_with_the_fields_of_the_batches(database: Database, place: Path) -> None:
    with database.source(place).snapshot() as snapshot:
        for table in snapshot.tables:
            for batch in snapshot.read(table):
                names = [field.name for field in batch.schema if ROLE not in (field.metadata or {})]
                assert names == [column.name for column in table.columns]


def test_a_restored_database_reads_as_its_source(database: Database, place: Path, tmp_path: Path) -> None:
    restore(database, place, tmp_path / "target")
    assert content(database.source(tmp_path / "target")) == content(database.source(place))
    with database.source(place).snapshot() as one, database.source(tmp_path / "target").snapshot() as two:
        assert list(one.tables) == list(two.tables)


def test_nothing_bears_the_name_before_finish_and_nothing_stays_without_it(
    database: Database, place: Path, tmp_path: Path
) -> None:
    before = sorted(os.listdir(tmp_path))
    target = tmp_path / "target"
    with database.source(place).snapshot() as snapshot, database.destination(target) as destination:
        destination.prepare(snapshot.schema_files())
        destination.load(snapshot.tables[0], snapshot.read(snapshot.tables[0]))
        with pytest.raises(SourceUnreadable), database.source(target).snapshot():
            pass
    assert {name for name in os.listdir(tmp_path) if not name.startswith("source")} == {
        name for name in before if not name.startswith("source")
    }


def test_a_database_that_is_there_is_never_overwritten(database: Database, place: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    restore(database, place, target)
    before = content(database.source(target))
    with pytest.raises(DestinationUnsuitable):
        restore(database, place, target)
    assert content(database.source(target)) == before


# --- file trees -----------------------------------------------------------------------------------


def test_a_restored_tree_is_the_tree_that_was_read(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "a", others=False)
    with FileSource(source).snapshot() as snapshot, FileDestination(tmp_path / "b") as destination:
        for entry in snapshot.entries():
            if entry.kind != "file":
                destination.make(entry, None)
                continue
            with snapshot.open(entry) as reader:
                data = b"".join(iter(lambda: reader.read(1 << 16), b""))
                assert reader.unchanged()
            destination.make(entry, io.BytesIO(data))
        destination.finish()
    assert_trees_equal(source, tmp_path / "b")
    with FileSource(source).snapshot() as one, FileSource(tmp_path / "b").snapshot() as two:
        assert list(one.entries()) == list(two.entries())
        assert one.identity.marker == two.identity.marker


def test_every_name_of_a_tree_is_an_entry_or_excluded(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "a")
    names = {b""}
    base = os.fsencode(root)
    for folder, folders, files in os.walk(base):
        names |= {os.path.join(folder, name)[len(base) + 1 :] for name in (*folders, *files)}
    with FileSource(root).snapshot() as snapshot:
        listed = {entry.path for entry in snapshot.entries()}
        assert listed | {one.name.encode() for one in snapshot.excluded} == names
        assert {one.name for one in snapshot.excluded} == {"pipe", "socket"}


def test_an_entry_looked_at_again_is_the_entry_while_nothing_changes(tmp_path: Path) -> None:
    with FileSource(make_tree(tmp_path / "a")).snapshot() as snapshot:
        entries: list[Entry] = list(snapshot.entries())
        assert [snapshot.restat(entry) for entry in entries if entry.path] == [entry for entry in entries if entry.path]
