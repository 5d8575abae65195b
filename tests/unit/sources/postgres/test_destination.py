"""A restored database: whole and proven under its name, or not there at all."""

from __future__ import annotations

import re
import threading
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from tests.support.postgres_compare import assert_same_database
from tests.support.postgres_server import address_of, execute, query
from tests.unit.sources.postgres.conftest import Place, edited

from rlg_backup.core.errors import ParityFailed
from rlg_backup.sources.port import Column, Table, TableSource
from rlg_backup.sources.postgres.destination import PostgresDestination

pytestmark = pytest.mark.usefixtures("filled")


def test_a_restored_database_is_the_source(place: Place) -> None:
    assert_same_database(place.source, place.restore())
    assert place.warnings == []
    assert query(place.target, "SELECT n FROM filled") == [(2,)]
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        query(place.target, "SELECT n FROM vacant")


def test_indexes_of_partitions_are_attached_by_one_session_and_made_by_several(place: Place) -> None:
    """Two that attach at once may leave the index of the whole table not valid for ever."""
    execute(
        place.source,
        "CREATE TABLE whole (a int PRIMARY KEY) PARTITION BY LIST (a)",
        *(f"CREATE TABLE part_{n} PARTITION OF whole FOR VALUES IN ({n}) PARTITION BY LIST (a)" for n in range(20)),
        *(f"CREATE TABLE leaf_{n} PARTITION OF part_{n} DEFAULT" for n in range(20)),
        "CREATE TABLE refers (a int CONSTRAINT to_whole REFERENCES whole)",
        "COMMENT ON CONSTRAINT to_whole ON refers IS 'made last'",
        "CREATE TABLE keyed (id int PRIMARY KEY, v text)",  # what leans on the key comes after it, its index later
        "CREATE MATERIALIZED VIEW leans AS SELECT id, v, count(*) AS n FROM keyed GROUP BY id",
        "CREATE UNIQUE INDEX ON leans (id)",
    )
    said = logged(place, loaders=2)
    session, text = r"\[(\d+)\] LOG: +statement: ", r"(?:.|\n\t)*?"
    assert len(set(re.findall(rf"{session}ALTER INDEX {text} ATTACH PARTITION", said))) == 1
    assert len(set(re.findall(rf"{session}ALTER TABLE {text} ADD CONSTRAINT {text} PRIMARY KEY", said))) == 2
    assert query(place.target, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert_same_database(place.source, place.target)


def logged(place: Place, **options: Any) -> str:
    """What the server's log says of definitions while a database is restored."""
    server, log = address_of(place.server), place.server.folder / "log"
    before = log.stat().st_size
    execute(server, "ALTER SYSTEM SET log_statement = 'ddl'", "SELECT pg_reload_conf()")
    try:
        place.restore(**options)
    finally:
        execute(server, "ALTER SYSTEM RESET log_statement", "SELECT pg_reload_conf()")
    return log.read_bytes()[before:].decode(errors="replace")


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

    assert place.refusal(ParityFailed, prove=prove) == "unable to restore to 'here': no"


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
