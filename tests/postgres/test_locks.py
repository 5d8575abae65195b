"""Other sessions that truncate, alter, drop, make or rename tables at any moment: what is read is never emptied.

A session that holds the first or the last table (they are locked in order of name) stops the source where it is; what
happens meanwhile is done by real sessions. What no lock holds still is noticed when all is read.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from tests.postgres.sessions import PATIENCE, beside, holding, until, waits_for_lock
from tests.support.postgres_server import execute, query
from tests.support.postgres_values import rows_read

from rlg_backup.core.errors import SourceChanged, SourceUnavailable
from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.source import PostgresSource

FIRST, MIDDLE, LAST = "a_first", "m_middle", "z_last"
ROWS = [("1",), ("2",), ("3",)]
WHOLE = {FIRST: ROWS, MIDDLE: ROWS, LAST: ROWS}


@pytest.fixture
def tables(database: Address) -> Address:
    for name in WHOLE:
        execute(database, f"CREATE TABLE {name} (v int)", f"INSERT INTO {name} VALUES (1), (2), (3)")
    return database


def read(address: Address, **given: int) -> dict[str, list[tuple[str, ...]]]:
    """Everything there is, by title."""
    with PostgresSource(address, **given).snapshot() as snapshot:
        found = {table.title: rows_read(snapshot, table) for table in snapshot.tables}
        assert snapshot.schema_files()
    return found


CHANGES = {
    "truncate": ("TRUNCATE m_middle", {**WHOLE, MIDDLE: []}),
    "rewrite": (
        "ALTER TABLE m_middle ALTER v TYPE text USING 'x' || v",
        {**WHOLE, MIDDLE: [("x1",), ("x2",), ("x3",)]},
    ),
    "drop": ("DROP TABLE m_middle", {FIRST: ROWS, LAST: ROWS}),
    "rename": ("ALTER TABLE m_middle RENAME TO renamed", {FIRST: ROWS, "renamed": ROWS, LAST: ROWS}),
    "another schema": (
        "CREATE SCHEMA o; ALTER TABLE m_middle SET SCHEMA o",
        {FIRST: ROWS, "o.m_middle": ROWS, LAST: ROWS},
    ),
    "make": ("CREATE TABLE new AS SELECT 1 AS v", {**WHOLE, "new": [("1",)]}),
    "made anew": ("DROP TABLE m_middle; CREATE TABLE m_middle AS SELECT 7 AS v", {**WHOLE, MIDDLE: [("7",)]}),
    "view instead": ("DROP TABLE m_middle; CREATE VIEW m_middle AS SELECT 7 AS v", {FIRST: ROWS, LAST: ROWS}),
    "new column": ("ALTER TABLE m_middle ADD w int DEFAULT 9", {**WHOLE, MIDDLE: [(v, "9") for (v,) in ROWS]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_before_anything_is_locked_is_seen_whole(tables: Address, change: str) -> None:
    statement, expected = CHANGES[change]
    with holding(tables, FIRST) as let_go, beside(lambda: read(tables)) as reading:
        until(lambda: waits_for_lock(tables))
        execute(tables, statement)
        let_go()
        assert reading.result(PATIENCE) == expected


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_waits_for_what_is_locked_already_is_let_by_and_seen_whole(tables: Address, change: str) -> None:
    statement, expected = CHANGES[change]
    with holding(tables, LAST) as let_go, beside(lambda: read(tables)) as reading:
        until(lambda: waits_for_lock(tables))
        with beside(lambda: execute(tables, "SET application_name = 'other'; " + statement)) as changing:
            until(lambda: waits_for_lock(tables, "other") or changing.done())
            let_go()
            assert reading.result(PATIENCE) in (WHOLE, expected)
        assert query(tables, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted") == [(0,)]


@pytest.mark.parametrize("change", ["truncate", "rewrite", "drop", "rename"])
def test_a_change_of_the_very_table_that_is_waited_for_is_seen_whole(tables: Address, change: str) -> None:
    statement, expected = CHANGES[change]
    expected = {LAST if title == MIDDLE else title: rows for title, rows in expected.items() if title != LAST}
    with holding(tables, LAST) as let_go, beside(lambda: read(tables)) as reading:
        until(lambda: waits_for_lock(tables))
        let_go(statement.replace(MIDDLE, LAST))
        assert reading.result(PATIENCE) == {**expected, MIDDLE: ROWS}


@pytest.mark.parametrize("change", ["truncate", "rewrite", "drop", "rename"])
def test_nothing_empties_what_an_open_snapshot_reads(tables: Address, change: str) -> None:
    """Who wants to waits until it is closed; and does not keep the backup from its end."""
    statement = f"SET application_name = 'other'; {CHANGES[change][0]}"
    with ExitStack() as after:
        with PostgresSource(tables).snapshot() as snapshot:
            changing = after.enter_context(beside(lambda: execute(tables, statement)))
            until(lambda: waits_for_lock(tables, "other"))
            assert {table.title: rows_read(snapshot, table) for table in snapshot.tables} == WHOLE
            assert snapshot.schema_files()
            execute(tables, "INSERT INTO a_first VALUES (4)")  # who only reads and writes is never kept waiting
            assert not changing.done()
        changing.result(PATIENCE)


def test_a_table_that_is_locked_for_long_is_named(tables: Address) -> None:
    with holding(tables, MIDDLE), pytest.raises(SourceUnavailable) as caught:
        read(tables, lock_wait_seconds=1)
    assert str(caught.value) == (
        "unable to read 'm_middle': another session holds it locked, for longer than 1 s\n"
        "hint: look for it in pg_locks, or raise lock_wait_seconds"
    )
    assert read(tables) == WHOLE


SWAPPED = ("ALTER SCHEMA live RENAME TO aside", "ALTER SCHEMA next RENAME TO live", "ALTER SCHEMA aside RENAME TO next")
UNHELD = {
    "schemas swapped": (SWAPPED, "{0}", "the schema 'live' was renamed while it was read"),
    "a schema moved away": (
        ("ALTER SCHEMA live RENAME TO aside",),
        "{0}",
        "the schema 'live' was renamed while it was read",
    ),
    "a value renamed": (
        ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",),
        "{0}",
        "a value of an enumeration was renamed while it was read",
    ),
    "a composite type altered": (
        ("ALTER TYPE pair DROP ATTRIBUTE b",),
        "{0}",
        "a composite type was altered while it was read",
    ),
    "a sequence widened": (
        ("ALTER SEQUENCE narrow AS bigint", "ALTER SEQUENCE narrow RESTART 5000000000"),
        "narrow",
        "its limits were altered while the backup ran",
    ),
}


@pytest.mark.parametrize("change", UNHELD)
def test_a_change_that_no_lock_holds_back_is_no_backup(database: Address, change: str) -> None:
    statements, subject, cause = UNHELD[change]
    execute(
        database,
        *("CREATE SCHEMA live", "CREATE TABLE live.t (v text)", "INSERT INTO live.t VALUES ('live')"),
        *("CREATE SCHEMA next", "CREATE TABLE next.t (v text)", "INSERT INTO next.t VALUES ('next')"),
        *("CREATE TYPE mood AS ENUM ('sad')", "CREATE TABLE m (v mood)", "INSERT INTO m VALUES ('sad')"),
        *("CREATE TYPE pair AS (a int, b int)", "CREATE TABLE p (v pair)", "INSERT INTO p VALUES (ROW(1, 2))"),
        "CREATE SEQUENCE narrow AS int",
    )
    with pytest.raises(SourceChanged) as caught, PostgresSource(database).snapshot() as snapshot:
        execute(database, *statements)
        for table in snapshot.tables:
            rows_read(snapshot, table)
        snapshot.schema_files()
    assert str(caught.value) == f"unable to read '{subject.format(database)}': {cause}\nhint: run it again"


def test_readers_do_not_wait_for_ever_for_who_waits_for_one_of_them(database: Address) -> None:
    """The system's own tables are locked by nobody before they are read."""
    execute(database, "SELECT lo_from_bytea(n, 'x') FROM generate_series(1, 9) n")
    vacuum = "SET application_name = 'other'; VACUUM FULL pg_largeobject"
    source = PostgresSource(database, readers=2, lock_wait_seconds=1)
    with ExitStack() as after, pytest.raises(SourceUnavailable) as caught, source.snapshot() as snapshot:
        (objects,) = snapshot.tables
        assert sum(len(batch) for batch in snapshot.read(objects)) == 9
        after.enter_context(beside(lambda: execute(database, *vacuum.split("; "))))
        until(lambda: waits_for_lock(database, "other"))
        list(snapshot.read(objects))  # by the other reader
    assert str(caught.value) == "unable to read 'pg_catalog.pg_largeobject': another session holds it locked"
