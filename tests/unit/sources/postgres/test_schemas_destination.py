"""Schemas restored into a database that exists: under their new names when they are proven, or not there at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.support.postgres_server import address_of, execute, query, session
from tests.unit.sources.postgres.conftest import Place

from rlg_backup.core.errors import BackupError, DestinationUnsuitable, MemberDamaged, ParityFailed
from rlg_backup.sources.port import Table, TableSource
from rlg_backup.sources.postgres.schemas_destination import PostgresSchemasDestination
from rlg_backup.sources.postgres.source import PostgresSource

SCHEMA = (
    "CREATE SCHEMA extra",
    "CREATE TYPE extra.mood AS ENUM ('so', 'la')",
    "CREATE TABLE towns (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood extra.mood DEFAULT 'la')",
    "CREATE TABLE people (id bigserial PRIMARY KEY, town int REFERENCES towns)",
    "CREATE VIEW extra.both AS SELECT * FROM towns NATURAL JOIN people",
    "CREATE MATERIALIZED VIEW extra.filled AS SELECT count(*) AS n FROM people",
    "CREATE TABLE extra.other (v text PRIMARY KEY)",
    "INSERT INTO towns (mood) VALUES ('so'), (NULL), ('la')",
    "INSERT INTO people (town) SELECT 1 + i % 3 FROM generate_series(1, 100) i",
    "INSERT INTO extra.other VALUES ('a')",
    "REFRESH MATERIALIZED VIEW extra.filled",
    "CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.towns'",
    "CREATE FUNCTION follows() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM towns; END",
    "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$",
    "CREATE EVENT TRIGGER fires ON ddl_command_start WHEN TAG IN ('ALTER SCHEMA') EXECUTE FUNCTION no()",
    "COMMENT ON EVENT TRIGGER fires IS 'it would'",
    "CREATE PUBLICATION told FOR TABLE towns",
)
MAP = {"public": "restored", "extra": "Extra two"}
THERE = ("CREATE TABLE towns (mine int)", "CREATE SCHEMA extra", "INSERT INTO towns VALUES (1)")
Row = tuple[Any, ...]


@pytest.fixture
def there(place: Place) -> Iterator[Place]:
    """A database to save, and another with things of its own."""
    execute(place.source, *SCHEMA)
    execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}"')
    execute(place.target, *THERE)
    yield place


def schemas(place: Place) -> list[str]:
    found = query(place.target, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information' ORDER BY 1")
    return [name for (name,) in found]


def restore(
    place: Place,
    mapped: Mapping[str, str] = MAP,
    *,
    change: Callable[[dict[str, bytes]], None] = lambda _: None,
    before_finish: Callable[[], None] = lambda: None,
    prove: Callable[[TableSource], None] = lambda _: None,
) -> list[str]:
    with PostgresSource(place.source).snapshot() as snapshot:
        files = dict(snapshot.schema_files())
        change(files)
        with PostgresSchemasDestination(place.target, schemas=mapped, reopen=PostgresSource.of_copy) as destination:
            destination.prepare(files)
            for table in snapshot.tables:
                destination.load(table, snapshot.read(table, geography=False))
            before_finish()
            destination.finish(prove)
    return destination.warnings


def refusal(place: Place, kind: type[BackupError], mapped: Mapping[str, str] = MAP, **options: Any) -> str:
    """The text of the error that a restore ends with; the database, and the server's list of them, is as before."""
    databases, before = place.databases(), schemas(place)
    with pytest.raises(kind) as caught:
        restore(place, mapped, **options)
    assert type(caught.value) is kind
    assert (place.databases(), schemas(place)) == (databases, before)
    return str(caught.value)


def test_schemas_come_under_their_new_names_beside_what_is_there(there: Place) -> None:
    databases = there.databases()
    restore(there)
    assert schemas(there) == ["Extra two", "extra", "public", "restored"]
    assert there.databases() == databases
    assert query(there.target, "SELECT * FROM public.towns") == [(1,)]
    assert query(there.target, "SELECT id, mood::text FROM restored.towns ORDER BY 1") == [
        (1, "so"), (2, None), (3, "la"),
    ]  # fmt: skip
    assert query(there.target, 'SELECT count(*) FROM "Extra two".both') == [(3,)]
    assert query(there.target, 'SELECT n FROM "Extra two".filled') == [(100,)]
    assert query(there.target, "SELECT restored.follows()") == [(3,)]
    assert query(there.target, "SELECT nextval('restored.people_id_seq')") == [(101,)]
    types = query(
        there.target, "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 'restored.towns'::regclass"
    )
    assert ('"Extra two".mood',) in types
    execute(there.target, "INSERT INTO restored.towns DEFAULT VALUES")
    assert query(there.target, "SELECT has_schema_privilege('public', 'restored', 'USAGE')") == [(True,)]


def test_a_database_whose_name_reads_like_an_address_is_that_one(there: Place) -> None:
    name = there.target.database
    odd = replace(there, target=there.target.of(f"host=nowhere dbname={name}"))
    execute(address_of(there.server), f'ALTER DATABASE "{name}" RENAME TO "{odd.target.database}"')
    try:
        restore(odd)
        assert schemas(odd) == ["Extra two", "extra", "public", "restored"]
    finally:
        execute(address_of(there.server), f'ALTER DATABASE "{odd.target.database}" RENAME TO "{name}"')


def test_what_cannot_be_as_it_was_is_told(there: Place) -> None:
    assert restore(there) == [
        "left out, for it is in no schema: event trigger (1)",
        "left out, for it is in no schema: publication (1)",
        "function 'public.counted': its text names a schema that is renamed, and is as it was",
    ]


def test_a_schema_that_the_map_does_not_name_keeps_its_name(there: Place) -> None:
    execute(there.target, "DROP SCHEMA extra")
    restore(there, {"public": "restored"})
    assert schemas(there) == ["extra", "public", "restored"]


def defined(table: Table) -> Table:
    """But for where its rows lie."""
    return replace(table, identity="", storage=None)


def test_what_is_proven_is_the_copy_under_the_names_it_had(there: Place) -> None:
    def prove(source: TableSource) -> None:
        assert "restored" not in schemas(there)
        with source.snapshot() as copy, PostgresSource(there.source).snapshot() as original:
            assert [defined(table) for table in copy.tables] == [defined(table) for table in original.tables]
            for table in original.tables:
                (piece,) = copy.pieces(table)
                assert [batch.to_pydict() for batch in copy.read(table, piece=piece)] == [
                    batch.to_pydict() for batch in original.read(table)
                ]
        proven.append(source)

    proven: list[TableSource] = []
    restore(there, prove=prove)
    assert len(proven) == 1


def test_a_definition_of_the_copy_that_is_another_is_proven_to_be_another(there: Place) -> None:
    def spoil() -> None:
        (ours,) = (name for name in schemas(there) if name.startswith("rlg_restore") and name.endswith("_1"))
        execute(there.target, f"ALTER TABLE {ours}.towns ALTER mood DROP DEFAULT")

    def prove(source: TableSource) -> None:
        with source.snapshot() as copy, PostgresSource(there.source).snapshot() as original:
            same = [ours.name for ours, theirs in zip(copy.tables, original.tables, strict=True)
                    if ours.fingerprint == theirs.fingerprint]  # fmt: skip
            assert same == ["other", "people"]
        proven.append(source)

    proven: list[TableSource] = []
    restore(there, before_finish=spoil, prove=prove)
    assert len(proven) == 1


def test_what_else_is_in_the_database_is_neither_read_nor_waited_for(place: Place) -> None:
    """Its tables may be nothing that who restores may read, and other sessions may hold them."""
    execute(address_of(place.server), "CREATE ROLE restorer LOGIN CREATEDB PASSWORD 'r'")
    try:
        execute(address_of(place.server), f'CREATE DATABASE "{place.target.database}" OWNER restorer')
        execute(place.source, f'GRANT CREATE ON DATABASE "{place.source.database}" TO restorer')
        execute(place.target, "CREATE TABLE others ()", "CREATE TABLE held ()", "GRANT ALL ON held TO restorer")
        source, target = (replace(one, user="restorer", password="r") for one in (place.source, place.target))
        execute(source, "CREATE SCHEMA own", "CREATE TABLE own.t AS SELECT 7 AS n")

        def prove(copy: TableSource) -> None:
            with copy.snapshot() as snapshot:
                assert [table.title for table in snapshot.tables] == ["own.t"]

        with session(place.target) as other, other.transaction():
            other.execute("LOCK TABLE held")
            restore(replace(place, source=source, target=target), {"own": "restored"}, prove=prove)
        assert query(target, "SELECT n FROM restored.t") == [(7,)]
    finally:
        execute(place.source, "DROP OWNED BY restorer")
        execute(address_of(place.server), f'DROP DATABASE "{place.target.database}"', "DROP ROLE restorer")


def test_what_the_proof_raises_leaves_nothing(there: Place) -> None:
    def prove(_: TableSource) -> None:
        raise ParityFailed("restore to", "here", "no")

    assert refusal(there, ParityFailed, prove=prove) == "unable to restore to 'here': no"


@pytest.mark.parametrize(
    ("mapped", "cause"),
    [
        ({"public": "extra", "extra": "free"}, "it has a schema 'extra' already"),
        ({"public": "free"}, "it has a schema 'extra' already"),
        ({"public": "free", "extra": "free"}, "the map gives two schemas one name"),
    ],
)
def test_a_name_that_is_taken_is_refused(there: Place, mapped: dict[str, str], cause: str) -> None:
    assert refusal(there, DestinationUnsuitable, mapped) == (
        f"unable to restore to '{there.target}': {cause}\nhint: name schemas that are not there, in the map of schemas"
    )


def test_a_schema_that_the_backup_has_not_is_refused(there: Place) -> None:
    assert refusal(there, DestinationUnsuitable, {"pubic": "free"}) == (
        f"unable to restore to '{there.target}': the backup has no schema 'pubic'"
    )


def test_a_name_that_is_taken_meanwhile_is_refused_and_left_alone(there: Place) -> None:
    with pytest.raises(DestinationUnsuitable, match="it has a schema 'restored' already"):
        restore(there, before_finish=lambda: execute(there.target, "CREATE SCHEMA restored"))
    assert schemas(there) == ["extra", "public", "restored"]


def test_large_objects_are_refused_for_they_are_in_no_schema(there: Place) -> None:
    execute(there.source, "SELECT lo_create(0)")
    assert refusal(there, DestinationUnsuitable) == (
        f"unable to restore to '{there.target}': large objects are in no schema\nhint: restore to a database of its own"
    )


def test_what_needs_something_of_no_schema_is_refused_by_its_name_in_the_backup(there: Place) -> None:
    functions = "FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal)"
    execute(
        there.source,
        f"CREATE TRANSFORM FOR int LANGUAGE sql ({functions})",
        "CREATE FUNCTION extra.turned(int) RETURNS int LANGUAGE sql TRANSFORM FOR TYPE int AS 'SELECT $1'",
    )
    cause = "it needs something that is not there"
    assert refusal(there, DestinationUnsuitable) == f"unable to make 'extra.turned': {cause}"
    execute(
        there.source,
        "DROP FUNCTION extra.turned",
        "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler",
        "CREATE TABLE extra.heaped (n int) USING heap2",
    )
    cause = "there is no such way to store a table (method 'heap2')"
    assert refusal(there, DestinationUnsuitable) == f"unable to make '{there.target}': {cause}"


def test_an_extension_is_used_where_it_is(there: Place) -> None:
    execute(there.source, "CREATE EXTENSION hstore", "CREATE TABLE near (v hstore)", "INSERT INTO near VALUES ('a=>1')")
    assert refusal(there, DestinationUnsuitable) == (
        f"unable to restore to '{there.target}': the database has no extension 'hstore'\n"
        "hint: CREATE EXTENSION there first: hstore"
    )
    execute(there.target, "CREATE SCHEMA shared", "CREATE EXTENSION hstore SCHEMA shared")
    restore(there)
    assert query(there.target, "SELECT v::text, pg_typeof(v)::text FROM restored.near") == [
        ('"a"=>"1"', "shared.hstore")
    ]


def test_rows_that_break_a_constraint_leave_nothing(there: Place) -> None:
    def spoil() -> None:
        (name,) = (name for name in schemas(there) if query(there.target, f"SELECT to_regclass('{name}.people')")[0][0]
                   and name != "public")  # fmt: skip
        execute(there.target, f"UPDATE {name}.people SET town = 4711")

    text = refusal(there, ParityFailed, before_finish=spoil)
    assert text.endswith(": a row refers to one that is not there (constraint 'people_town_fkey')")


def test_a_value_that_names_what_is_renamed_is_refused_by_the_name_of_its_table(there: Place) -> None:
    execute(there.source, "CREATE TABLE extra.about AS SELECT 'extra.other'::regclass AS what")
    assert refusal(there, MemberDamaged) == (
        "unable to load 'extra.about': the definitions lack it, a column of it, or what a value of it names"
    )


def test_what_a_killed_restore_left_is_removed_and_what_a_living_one_builds_is_not(there: Place) -> None:
    execute(there.target, "CREATE SCHEMA rlg_restore_0123456789ab_0", "CREATE TABLE rlg_restore_0123456789ab_0.t ()")

    def other() -> None:
        living = {name for name in schemas(there) if name.startswith("rlg_")}
        restore(there, {"public": "second", "extra": "third"})
        assert {name for name in schemas(there) if name.startswith("rlg_")} == living
        assert len(living) == 2

    restore(there, before_finish=other)
    assert schemas(there) == ["Extra two", "extra", "public", "restored", "second", "third"]


def test_a_database_that_is_not_there_is_refused(place: Place) -> None:
    execute(place.source, *SCHEMA)
    with pytest.raises(DestinationUnsuitable) as caught:
        restore(place)
    assert str(caught.value) == f"unable to restore to '{place.target}': there is no such database or user"
