"""A restored database: whole and proven under its name, or not there at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from tests.support.postgres_compare import assert_same_database
from tests.support.postgres_server import Servers, address_of, execute, query, session
from tests.unit.sources.postgres.conftest import Place

from rlg_backup.core.errors import (
    BackupError,
    DestinationUnavailable,
    DestinationUnsuitable,
    MemberDamaged,
    ParityFailed,
    StorageFull,
)
from rlg_backup.sources.port import Column, Table, TableSource
from rlg_backup.sources.postgres.destination import PostgresDestination
from rlg_backup.sources.postgres.source import PostgresSource

SCHEMA = (
    "CREATE TABLE towns (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, CHECK (name <> ''))",
    "CREATE TABLE people (id bigserial PRIMARY KEY, town int REFERENCES towns, secret text)",
    "CREATE MATERIALIZED VIEW filled AS SELECT count(*) AS n FROM people",
    "CREATE MATERIALIZED VIEW vacant AS SELECT 1 AS n WITH NO DATA",
    "INSERT INTO towns (name) VALUES ('a'), ('b'), ('c')",
    "INSERT INTO people (town, secret) VALUES (1, 's3cret-1'), (2, 's3cret-2')",
    "REFRESH MATERIALIZED VIEW filled",
    "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$",
    "CREATE TRIGGER fires BEFORE INSERT ON people FOR EACH STATEMENT EXECUTE FUNCTION no()",
)


@pytest.fixture(autouse=True)
def _filled(place: Place) -> None:
    execute(place.source, *SCHEMA)


def refusal(place: Place, kind: type[BackupError], **options: Any) -> str:
    """The text of the error that a restore ends with; it leaves nothing, not even a temporary database."""
    before = place.databases()
    with pytest.raises(kind) as caught:
        place.restore(**options)
    assert type(caught.value) is kind
    assert place.databases() == before
    return str(caught.value)


def test_a_restored_database_is_the_source(place: Place) -> None:
    assert_same_database(place.source, place.restore())
    assert place.warnings == []
    assert query(place.target, "SELECT n FROM filled") == [(2,)]
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        query(place.target, "SELECT n FROM vacant")


def test_the_next_value_of_a_sequence_is_the_source_s(place: Place) -> None:
    execute(
        place.source,
        "CREATE SEQUENCE fresh START 5",
        "CREATE SEQUENCE down INCREMENT -1 MINVALUE -9223372036854775808 START -9223372036854775807",
        "SELECT nextval('people_id_seq') FROM generate_series(1, 40)",
    )
    place.restore()
    for name in ("fresh", "down", "people_id_seq", "towns_id_seq"):
        assert query(place.target, f"SELECT nextval('{name}')") == query(place.source, f"SELECT nextval('{name}')")


def test_large_objects_come_back_to_the_page(place: Place) -> None:
    execute(
        place.source,
        "SELECT lo_from_bytea(4294967295, '\\x00ff')",
        "SELECT lo_create(7)",
        "SELECT lo_put(7, 100000, 'after a hole')",
        "SELECT lo_truncate64(lo_open(7, 131072), 204800)",
        "SELECT lo_from_bytea(8, convert_to(repeat('x', 1000000), 'UTF8'))",
        "SELECT lo_truncate(lo_open(8, 131072), 0)",
        "SELECT lo_create(9)",
        "COMMENT ON LARGE OBJECT 9 IS 'empty'",
        "GRANT SELECT ON LARGE OBJECT 9 TO PUBLIC",
        "REVOKE UPDATE ON LARGE OBJECT 9 FROM postgres",
    )
    place.restore()
    pages = "SELECT loid, pageno, data FROM pg_largeobject ORDER BY 1, 2"
    assert query(place.target, pages) == query(place.source, pages)
    assert_same_database(place.source, place.target)


def test_nothing_bears_the_name_while_it_is_built_and_nobody_else_gets_in(place: Place) -> None:
    execute(address_of(place.server), "DROP ROLE IF EXISTS somebody", "CREATE ROLE somebody LOGIN PASSWORD 'x'")
    names: set[str] = set()

    def look(_: object) -> None:
        names.update(place.databases())
        (temporary,) = {name for name in names if name.startswith("rlg_restore_")}
        somebody = {"host": place.server.host, "port": place.server.port, "user": "somebody", "password": "x"}
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(dbname=temporary, **somebody)  # type: ignore[arg-type]

    place.restore(before_finish=look, prove=look)
    assert place.target.database not in names
    execute(address_of(place.server), "DROP ROLE somebody")


def test_what_is_proven_is_the_whole_copy(place: Place) -> None:
    seen: list[Any] = []

    def prove(source: TableSource) -> None:
        with source.snapshot() as snapshot:
            tables = {table.name: table for table in snapshot.tables}
            seen.append({name: sum(batch.num_rows for batch in snapshot.read(tables[name])) for name in tables})

    place.restore(prove=prove)
    assert seen == [{"people": 2, "towns": 3}]


def test_what_the_proof_raises_leaves_nothing(place: Place) -> None:
    def prove(_: TableSource) -> None:
        raise ParityFailed("restore to", "here", "no")

    assert refusal(place, ParityFailed, prove=prove) == "unable to restore to 'here': no"


def test_several_loaders_fill_one_table(place: Place) -> None:
    table = Table("public", "people", (Column("id", ""), Column("town", ""), Column("secret", "")), "")

    def load(destination: PostgresDestination) -> None:
        def part(number: int) -> None:
            ids = pa.array(range(number * 1000, number * 1000 + 500), pa.int64())
            batch = pa.record_batch([ids, pa.nulls(500), pa.nulls(500)], names=["id", "town", "secret"])
            destination.load(table, [batch])

        threads = [threading.Thread(target=part, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    place.restore(before_finish=load, loaders=4)
    assert query(place.target, "SELECT count(*) FROM people") == [(4002,)]


def test_settings_comment_and_rights_of_the_database_come_back(place: Place) -> None:
    name = place.source.database
    execute(
        place.source,
        f'COMMENT ON DATABASE "{name}" IS \'it is "ours"\'',
        f'ALTER DATABASE "{name}" SET search_path = public, "X y", \'\'',
        f'ALTER DATABASE "{name}" SET statement_timeout = 7',
        f"ALTER ROLE postgres IN DATABASE \"{name}\" SET my.own = 'a ''b'''",
        f'ALTER DATABASE "{name}" CONNECTION LIMIT 7',
        f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC',
    )
    assert_same_database(place.source, place.restore())


def test_a_setting_that_the_server_does_not_know_is_told(place: Place) -> None:
    unknown = {"role": None, "name": "no_such_setting", "value": "s3cret"}
    facts = {"owner": "postgres", "comment": None, "connection_limit": -1, "grants": None, "settings": [unknown]}
    place.restore(change=edited(database=facts))
    assert place.warnings == [
        "the database is not as it was: its setting no_such_setting: it needs something that is not there"
    ]


# --- what is there already --------------------------------------------------------------------------


def test_an_empty_database_steps_aside_and_hands_on_its_own_facts(place: Place) -> None:
    name = place.target.database
    execute(
        address_of(place.server),
        f'CREATE DATABASE "{name}"',
        f"COMMENT ON DATABASE \"{name}\" IS 'kept'",
        f'ALTER DATABASE "{name}" SET work_mem = 1234',
        f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC',
    )
    facts = (
        "SELECT shobj_description(d.oid, 'pg_database'), setconfig, datacl::text FROM pg_database d"
        f" LEFT JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = '{name}'"
    )
    before = query(place.target, facts)
    place.restore()
    assert query(place.target, facts) == before
    assert query(place.target, "SELECT count(*) FROM people") == [(2,)]
    assert not any(one.startswith("rlg_") for one in place.databases())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t ()",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE e AS ENUM ('a')",
        "CREATE SCHEMA s",
        "CREATE EXTENSION hstore",
        "SELECT lo_create(0)",
        "CREATE SEQUENCE s",
        "CREATE PUBLICATION p",
        "CREATE TEXT SEARCH CONFIGURATION c (COPY = english)",
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple)",
        "CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
        "CREATE OPERATOR FAMILY f USING btree",
        "CREATE ACCESS METHOD a TYPE TABLE HANDLER heap_tableam_handler",
    ],
)
def test_a_database_that_is_not_empty_is_never_touched(place: Place, statement: str) -> None:
    execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
    execute(place.target, statement)
    assert refusal(place, DestinationUnsuitable) == (
        f"unable to restore to '{place.target}': it exists and is not empty\n"
        "hint: name a database that does not exist, or an empty one of your own that nobody is connected to"
    )


def test_an_empty_database_that_somebody_is_connected_to_is_refused_before_anything_is_made(place: Place) -> None:
    execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
    with session(place.target):
        assert "somebody is connected to it" in refusal(place, DestinationUnsuitable)


def test_the_database_that_restores_work_from_is_not_restored_to(place: Place) -> None:
    to = place.target.of("postgres")
    assert refusal(place, DestinationUnsuitable, to=to) == (
        f"unable to restore to '{to}': restores work from there\nhint: name another database"
    )


def test_a_name_that_is_too_long_is_refused(place: Place) -> None:
    to = place.target.of("ü" * 32)
    assert refusal(place, DestinationUnsuitable, to=to) == (
        f"unable to restore to '{to}': its name is longer than 63 bytes"
    )


def test_a_name_that_was_taken_meanwhile_is_not_taken_over(place: Place) -> None:
    def take(_: object) -> None:
        execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
        execute(place.target, "CREATE TABLE theirs ()")

    with pytest.raises(DestinationUnsuitable, match="it exists and is not empty"):
        place.restore(before_finish=take)
    assert query(place.target, "SELECT relname FROM pg_class WHERE relname IN ('theirs', 'people')") == [("theirs",)]
    assert not any(one.startswith("rlg_") for one in place.databases())


def test_what_a_killed_restore_left_is_removed_and_what_a_living_one_builds_is_not(place: Place) -> None:
    mark = "rlg-backup: an unfinished restore of x"
    execute(
        address_of(place.server),
        "CREATE DATABASE rlg_restore_0123456789ab",
        f"COMMENT ON DATABASE rlg_restore_0123456789ab IS '{mark}'",
        "CREATE DATABASE rlg_restore_unmarked",
        "CREATE DATABASE rlg_restore_ffffffffffff",
    )
    living: set[str] = set()

    def other(_: object) -> None:
        living.update(name for name in place.databases() if name.startswith("rlg_restore_"))
        place.restore(place.target.of(f"{place.target.database}_2"))
        assert living == {name for name in place.databases() if name.startswith("rlg_restore_")}

    place.restore(before_finish=other)
    assert len(living) == 3
    assert "rlg_restore_0123456789ab" not in living
    for name in ("rlg_restore_unmarked", "rlg_restore_ffffffffffff", f"{place.target.database}_2"):
        execute(address_of(place.server), f'DROP DATABASE "{name}"')


# --- what the server lacks --------------------------------------------------------------------------


@pytest.fixture
def _roles(place: Place) -> None:
    """Roles that the database names, and that another server has not."""
    execute(address_of(place.server), "CREATE ROLE gone", "CREATE ROLE stays")
    execute(
        place.source,
        "ALTER TABLE towns OWNER TO gone",
        "GRANT SELECT ON people TO gone, stays",
        "CREATE POLICY theirs ON people TO gone USING (true)",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO stays, gone",
    )


@pytest.fixture(autouse=True)
def _no_roles(place: Place) -> Any:
    yield
    for name in ("gone", "stays"):
        if query(address_of(place.server), f"SELECT FROM pg_roles WHERE rolname = '{name}'"):
            execute(place.source, f"DROP OWNED BY {name} CASCADE")
            if place.target.database in place.databases():
                execute(place.target, f"DROP OWNED BY {name} CASCADE")
            execute(address_of(place.server), f"DROP ROLE {name}")


@pytest.mark.usefixtures("_roles")
def test_a_role_that_is_missing_is_named_before_anything_is_made(place: Place, servers: Servers) -> None:
    other = servers[16]
    place_there = Place(other, place.source, address_of(other, place.target.database))
    assert refusal(place_there, DestinationUnsuitable) == (
        f"unable to restore to '{place_there.target}': the server lacks the roles 'gone', 'stays'\n"
        "hint: make them there, or let the restore go without (missing_roles: report)"
    )


@pytest.mark.usefixtures("_roles")
def test_what_a_missing_role_owned_is_ours_and_what_others_were_granted_stays(place: Place, servers: Servers) -> None:
    other = servers[16]
    there = Place(other, place.source, address_of(other, place.target.database))
    execute(address_of(other), "CREATE ROLE stays")
    try:
        there.restore(missing_roles="report")
        assert there.warnings == [
            "the server lacks the roles 'gone': left out",
            "the server is of version 16, older than the source's 18",
            "towns: what names the role 'gone' was left out",
            "people: what names the role 'gone' was left out",
        ]
        assert query(there.target, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'towns'") == [
            ("postgres",)
        ]
        assert query(there.target, "SELECT has_table_privilege('stays', 'people', 'SELECT')") == [(True,)]
        assert query(there.target, "SELECT defaclacl::text FROM pg_default_acl") == [
            ("{postgres=arwdDxt/postgres,stays=r/postgres}",)
        ]
    finally:
        execute(there.target, "DROP OWNED BY stays CASCADE")
        execute(address_of(other), f'DROP DATABASE IF EXISTS "{there.target.database}"', "DROP ROLE stays")


def edited(**fields: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["postgres.json"] = json.dumps(json.loads(files["postgres.json"]) | fields).encode()

    return change


def test_an_extension_that_is_missing_is_named_before_anything_is_made(place: Place) -> None:
    lacking = [{"name": name, "schema": "public", "version": "1"} for name in ("nonesuch", "postgis", "plpgsql")]
    assert refusal(place, DestinationUnsuitable, change=edited(extensions=lacking)) == (
        f"unable to restore to '{place.target}': the server lacks the extensions 'nonesuch', 'postgis'\n"
        "hint: install their files on the server, then restore again"
    )


def test_a_tablespace_that_is_missing_is_refused_or_left_out(place: Place) -> None:
    assert "the server lacks the tablespaces 'fast'" in refusal(
        place, DestinationUnsuitable, change=edited(tablespaces=["fast"])
    )
    place.restore(change=edited(tablespaces=["fast"]), missing_roles="report")
    assert place.warnings == ["the server lacks the tablespaces 'fast': left out"]


def test_a_locale_that_the_server_has_not_is_told_with_the_way_out(place: Place) -> None:
    locale = {"encoding": "UTF8", "provider": "c", "collate": "tlh_QO", "ctype": "C", "locale": None, "rules": None}
    assert refusal(place, DestinationUnsuitable, change=edited(locale=locale)) == (
        f"unable to restore to '{place.target}': the server cannot make a database of encoding UTF8 and locale"
        " 'tlh_QO'\nhint: install that locale on the server's machine (locale-gen), or restore to a server that has it"
    )


def test_a_user_who_may_make_no_databases_is_told_so(place: Place) -> None:
    from dataclasses import replace

    execute(address_of(place.server), "CREATE ROLE gone LOGIN PASSWORD 'x'")
    to = replace(place.target, user="gone", password="x")
    assert refusal(place, DestinationUnsuitable, to=to) == f"unable to restore to '{to}': permission denied"


# --- what goes wrong --------------------------------------------------------------------------------


def spoiled(statement: str) -> Callable[[PostgresDestination], None]:
    """Changes a row of the copy before its constraints are made."""

    def change(destination: PostgresDestination) -> None:
        assert destination._temporary is not None
        execute(destination._temporary.address, statement)

    return change


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (
            "INSERT INTO people SELECT * FROM people",
            "unable to make 'people': rows repeat a value that must be unique (constraint 'people_pkey')",
        ),
        (
            "UPDATE people SET town = 4711",
            "unable to make 'people': a row refers to one that is not there (constraint 'people_town_fkey')",
        ),
    ],
    ids=["unique", "foreign key"],
)
def test_rows_that_break_a_constraint_name_it_and_no_value(place: Place, statement: str, text: str) -> None:
    assert refusal(place, ParityFailed, before_finish=spoiled(statement)) == text


def test_a_row_that_breaks_a_check_names_it_and_no_value(place: Place) -> None:
    towns = Table("public", "towns", (Column("id", ""), Column("name", "")), "")

    def load(destination: PostgresDestination) -> None:
        destination.load(towns, [pa.record_batch([pa.array([9]), pa.array([""])], names=["id", "name"])])

    assert refusal(place, ParityFailed, before_finish=load) == (
        "unable to load 'towns': a row breaks a check (table 'towns', constraint 'towns_name_check')"
    )


def test_a_value_that_is_not_of_its_column_s_type_is_not_shown(place: Place) -> None:
    towns = Table("public", "towns", (Column("id", ""),), "")

    def load(destination: PostgresDestination) -> None:
        destination.load(towns, [pa.record_batch([pa.array(["5555-4444"])], names=["id"])])

    assert refusal(place, MemberDamaged, before_finish=load) == (
        "unable to load 'towns': a value is not of its column's type"
    )


def test_masked_rows_that_break_a_foreign_key_are_a_warning(place: Place) -> None:
    place.restore(before_finish=spoiled("UPDATE people SET town = 4711"), altered=True)
    assert place.warnings == [
        "people: the constraint 'people_town_fkey' was not made: a row refers to one that is not there"
    ]
    assert query(place.target, "SELECT conname FROM pg_constraint WHERE conname = 'people_town_fkey'") == []
    assert query(place.target, "SELECT tgname FROM pg_trigger WHERE tgname = 'fires'") == [("fires",)]


def test_a_table_that_the_definitions_do_not_make_is_damage(place: Place) -> None:
    stray = Table("public", "stray", (Column("a", ""),), "")

    def load(destination: PostgresDestination) -> None:
        destination.load(stray, [pa.record_batch([pa.array([1])], names=["a"])])

    assert refusal(place, MemberDamaged, before_finish=load) == (
        "unable to load 'stray': the definitions lack it, a column of it, or what a value of it names"
    )


def test_a_sequence_that_the_definitions_do_not_make_is_damage(place: Place) -> None:
    stray = [{"schema": "public", "name": "stray", "last_value": "1", "is_called": True}]
    assert refusal(place, MemberDamaged, change=edited(sequences=stray)) == (
        "unable to read 'schema/postgres.json': it sets sequences that the definitions do not make"
    )


def test_definitions_that_are_no_dump_are_damage(place: Place) -> None:
    assert refusal(place, MemberDamaged, change=lambda files: files.update({"postgres.dump": b"PGDMP?"})) == (
        "unable to read 'schema/postgres.dump': pg_restore cannot read it"
    )


def test_a_session_that_ends_while_rows_are_loaded_is_a_passing_fault(place: Place) -> None:
    towns = Table("public", "towns", (Column("id", ""),), "")

    def batches() -> Any:
        yield pa.record_batch([pa.array([10])], names=["id"])
        query(
            address_of(place.server),
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query LIKE 'COPY%' AND datname LIKE 'rlg_restore%'",
        )
        yield pa.record_batch([pa.array(range(11, 200_000))], names=["id"])

    text = refusal(place, DestinationUnavailable, before_finish=lambda there: there.load(towns, batches()))
    assert text == "unable to load 'towns': the connection to the server was lost or refused"


def test_a_server_that_is_not_there_is_a_passing_fault(place: Place) -> None:
    from dataclasses import replace

    to = replace(place.target, port=1)
    assert refusal(place, DestinationUnavailable, to=to) == f"unable to restore to '{to}': no server answers there"


def test_what_is_loaded_after_the_end_is_refused(place: Place) -> None:
    destination = PostgresDestination(place.target, reopen=PostgresSource.of_copy)
    destination.close()
    destination.close()
    with pytest.raises(DestinationUnsuitable) as caught:
        destination.load(Table("public", "t", (), ""), [])
    assert str(caught.value) == "unable to load 't': nothing is being built"


def test_a_full_disk_is_told_as_that(place: Place, tmp_path: Path) -> None:
    from rlg_backup.sources.postgres.building import complained, refused
    from rlg_backup.sources.postgres.programs import complaints

    assert type(refused("load", "t", "53100", "any")) is StorageFull
    said = (
        'pg_restore: error: could not execute query: ERROR:  could not extend file "base/1": No space left on device\n'
    )
    (complaint,) = complaints(iter([said]))
    assert str(complained(complaint, place.target)) == f"unable to make '{place.target}': the server's disk is full"
