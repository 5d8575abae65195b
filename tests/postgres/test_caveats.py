"""What a backup of a PostgreSQL database cannot hold is said when it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.postgres_server import execute

from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.source import PostgresSource


def warnings_of(address: Address) -> list[str]:
    with PostgresSource(address, readers=1).snapshot() as snapshot:
        return list(snapshot.warnings)


@pytest.fixture
def reader(database: Address) -> Address:
    """The database as a role sees it that may read every table and is no superuser."""
    execute(
        database,
        "DROP ROLE IF EXISTS plain_reader",
        "CREATE ROLE plain_reader LOGIN PASSWORD 'reads'",
        "GRANT pg_read_all_data TO plain_reader",
    )
    return replace(database, user="plain_reader", password="reads")


def test_of_an_ordinary_database_nothing_is_told(database: Address, reader: Address) -> None:
    execute(database, "CREATE TABLE t (c regclass)", "INSERT INTO t VALUES ('t'), ('pg_class'), (NULL), (4294967295)")
    assert warnings_of(database) == warnings_of(reader) == []


def test_a_value_that_names_an_index_is_told(database: Address) -> None:
    execute(database, "CREATE TABLE t (id int PRIMARY KEY, c regclass)", "INSERT INTO t VALUES (1, 't'), (2, 't_pkey')")
    cause = "has values that name an index, which a restore makes after the rows: it could not load them"
    assert warnings_of(database) == [f"table 't': the column 'c' {cause}"]


def test_what_only_a_superuser_may_read_is_told_to_who_is_none(database: Address, reader: Address) -> None:
    execute(
        database,
        "CREATE FOREIGN DATA WRAPPER nothing",
        "CREATE SERVER far FOREIGN DATA WRAPPER nothing",
        "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (secret 'opensesame')",
        "CREATE SUBSCRIPTION far CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)",
    )
    try:
        assert warnings_of(database) == []
        assert warnings_of(reader) == [
            "1 subscriptions are left out: only a superuser may read them",
            "the options of 1 user mappings are left out: only a superuser may read them",
        ]
    finally:
        execute(database, "ALTER SUBSCRIPTION far SET (slot_name = NONE)", "DROP SUBSCRIPTION far")
