"""What the source reads of every type and every form of table, against what the server's COPY writes."""

from __future__ import annotations

from tests.support.postgres_server import NEWEST, Servers, execute, fresh_database
from tests.support.postgres_torture import make_torture
from tests.support.postgres_values import rows_read, rows_there

from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.source import PostgresSource


def test_every_value_of_every_type_is_read_exactly(servers: Servers) -> None:
    with fresh_database(servers[NEWEST]) as address:
        make_torture(address)
        with PostgresSource(address, readers=2).snapshot() as snapshot:
            differing = [t.title for t in snapshot.tables if rows_read(snapshot, t) != rows_there(address, t)]
            assert differing == []
            assert len(snapshot.tables) > 220


def test_a_schema_by_the_name_of_sqlite_s_is_told_from_the_ordinary_one(database: Address) -> None:
    execute(database, "CREATE SCHEMA main", "CREATE TABLE main.t ()", "CREATE TABLE t (p int) PARTITION BY LIST (p)")
    execute(database, "CREATE TABLE main.leaf PARTITION OF t DEFAULT")
    with PostgresSource(database, exclude=["main.t"], readers=1).snapshot() as snapshot:
        assert [table.titles for table in snapshot.tables] == [("main.leaf", "t")]
        assert [one.name for one in snapshot.excluded] == ["main.t"]
