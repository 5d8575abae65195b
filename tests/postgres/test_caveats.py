"""What a backup of a PostgreSQL database cannot hold is said when it is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.support.postgres_server import NEWEST, Servers, address_of, drop_database, execute, fresh_database
from tests.support.postgres_world import connected, make_world
from tests.support.world import World

from rlg_backup.core.errors import DestinationUnsuitable
from rlg_backup.demo.server import Server, programs
from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.programs import VARIABLE
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


KINDS = {
    "by itself": ("{0}", "{1}"),
    "in a domain": ("of_{0}", "{1}"),
    "in an array": ("{0}[]", "ARRAY[NULL, {1}]"),
    "in an array of a domain": ("of_{0}[][]", "ARRAY[[{1}, NULL]]"),
    "in a domain of an array": ("many_{0}", "ARRAY[{1}, {1}]"),
}
NAMES = {
    "regclass": ("'t_pkey'", "'t'", "an index or a TOAST table, which a restore does not have when it loads rows"),
    "regproc": (
        "'f(int)'::regprocedure",
        "'g'",
        "a function whose name others share, and no text of theirs says which",
    ),
    "regoper": (
        "'public.##(int,int)'::regoperator",
        "'public.###'",
        "an operator whose name others share, and no text of theirs says which",
    ),
}


@pytest.fixture
def named(database: Address) -> Address:
    """Names that are of one object, and names that are of two, in types of many kinds."""
    execute(
        database,
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION g(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)",
        "CREATE OPERATOR ## (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat)",
        "CREATE OPERATOR ### (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat)",
        *(f"CREATE DOMAIN of_{name} AS {name}" for name in NAMES),
        *(f"CREATE DOMAIN many_{name} AS {name}[]" for name in NAMES),
        *(f"CREATE TYPE with_{name} AS (n int, v of_{name})" for name in NAMES),
        "CREATE TABLE t (id int PRIMARY KEY)",
    )
    return database


@pytest.mark.parametrize("name", NAMES)
def test_values_that_no_restore_could_load_are_told(named: Address, name: str) -> None:
    shared, own, words = NAMES[name]
    columns = ", ".join(f'"{kind}" {column.format(name)}' for kind, (column, _) in KINDS.items())
    loadable, unloadable = (
        ", ".join(value.format(name, f"{one}::{name}") for _, value in KINDS.values()) for one in (own, shared)
    )
    execute(named, f"CREATE TABLE n ({columns})", "INSERT INTO n DEFAULT VALUES", f"INSERT INTO n VALUES ({loadable})")
    assert warnings_of(named) == []
    execute(named, f"INSERT INTO n VALUES ({unloadable})")
    assert warnings_of(named) == [
        f"table 'n': the column '{kind}' has values that name {words}: they could not be loaded" for kind in KINDS
    ]


def test_columns_whose_values_hold_such_names_within_are_told(named: Address) -> None:
    execute(
        named,
        *(f"CREATE TABLE {name} (v with_{name}, w with_{name}[], x many_{name}[])" for name in NAMES),
    )
    assert warnings_of(named) == [
        f"table '{name}': the column '{column}' has values in which a {name} may name {NAMES[name][2]}: "
        "those could not be loaded"
        for name in NAMES
        for column in "vwx"
    ]


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


def test_what_a_newer_pg_dump_writes_as_only_its_own_servers_read_is_told(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's programs are of 18; version 16's own write what its servers read."""
    with fresh_database(servers[16]) as source, connected(app=source, newer=address_of(servers[NEWEST])):
        execute(source, "CREATE TABLE base (a int)", "CREATE TABLE heir (b int) INHERITS (base)")
        execute(source, "ALTER TABLE heir ALTER a SET NOT NULL", "INSERT INTO heir VALUES (1, 2)")
        world = make_world(tmp_path / "world", source)
        told = world.run("backup", "--source", "app", "--json").json[0]["warnings"]
        assert told == [
            "table 'heir': the inherited column 'a' takes no NULL, which pg_dump 18 writes as no server before 18 "
            "reads: back up with the client programs of version 16, else only a server 18 or later restores it"
        ]
        name = f"{source.database}_again"
        refused = world.run("restore", "latest", "--to", f"postgres:app/{name}")
        cause = "unable to make 'heir': the server does not know how it is written"
        hint = (
            "a newer pg_dump may have written it: restore to a server of that version, and back up with one of the "
            "source's"
        )
        assert (refused.code, refused.err) == (DestinationUnsuitable.exit_code, f"error: {cause}\nhint: {hint}\n")
        _assert_restored(world, "newer", name, servers[NEWEST])
        monkeypatch.setenv(VARIABLE, str(programs(16)))
        assert world.run("backup", "--source", "app", "--json").json[0]["warnings"] == []
        _assert_restored(world, "app", name, servers[16])


def _assert_restored(world: World, connection: str, name: str, server: Server) -> None:
    done = world.run("restore", "latest", "--to", f"postgres:{connection}/{name}")
    assert done.code == 0, done.out + done.err
    with pytest.raises(psycopg.errors.NotNullViolation):
        execute(address_of(server, name), "INSERT INTO heir VALUES (NULL, 2)")
    drop_database(server, name)
