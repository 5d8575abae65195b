"""What the settings of a server, a database or a role would make of a backup, were they not pinned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.postgres_server import NEWEST, Servers, drop_database, execute, query
from tests.support.postgres_world import connected, make_world

from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.reader import Pages
from rlg_backup.sources.postgres.source import PostgresSource

ODD = {
    "array_nulls": "off",  # {NULL} is then an array of the word
    "bytea_output": "escape",
    "constraint_exclusion": "on",
    "DateStyle": "German",
    "extra_float_digits": "-15",
    "IntervalStyle": "iso_8601",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "TimeZone": "Asia/Kathmandu",
    "transaction_timeout": "700ms",
}


@pytest.fixture
def odd(database: Address) -> Iterator[Address]:
    """The database as a superuser sees it whose every setting is another."""
    execute(database, "CREATE ROLE odd SUPERUSER LOGIN PASSWORD 'odd'")
    execute(database, *(f"ALTER ROLE odd SET {name} = '{value}'" for name, value in ODD.items()))
    yield replace(database, user="odd", password="odd")
    execute(database, "DROP ROLE odd")


def test_a_role_of_odd_settings_backs_up_and_restores_the_same(
    servers: Servers, database: Address, odd: Address, tmp_path: Path
) -> None:
    execute(
        database,
        "CREATE TABLE t (a text[], b bytea, d timestamptz, f float8[], i interval, s text)",
        r"INSERT INTO t VALUES ('{NULL,x}', '\\xff00', '2026-03-04 05:06+00', '{0.1,NULL}', '1 day', E'\\\\N''\n')",
    )
    again = database.of(f"{database.database}_again")
    with connected(app=odd):
        world = make_world(tmp_path / "world", odd)
        world.back_up()
        try:
            done = world.run("restore", "latest", "--source", "app", "--to", f"postgres:app/{again.database}")
            assert done.code == 0, done.out + done.err
            assert query(again, "SELECT t::text FROM t") == query(database, "SELECT t::text FROM t")
        finally:
            drop_database(servers[NEWEST], again.database)


def test_the_functions_of_checks_are_not_run_to_read_a_table(database: Address, odd: Address) -> None:
    execute(
        database,
        "CREATE FUNCTION one(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "$$ BEGIN IF current_user = 'odd' THEN RAISE 'run by who reads'; END IF; RETURN 1; END $$",
        "CREATE TABLE t (n int CHECK (n >= one(1)))",
        "INSERT INTO t VALUES (5)",
    )
    with PostgresSource(odd).snapshot() as snapshot:
        (batch,) = snapshot.read(snapshot.tables[0], piece=Pages(0, None))
    assert batch.to_pydict() == {"n": [5]}
