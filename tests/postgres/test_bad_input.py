"""What goes wrong with a server, by the command line: one error in our words, no password, nothing half left."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.postgres.sessions import holding
from tests.support.ports import free_port
from tests.support.postgres_server import NEWEST, Servers, address_of, execute, fresh_database, programs_of, query
from tests.support.postgres_world import connected, make_world
from tests.support.world import World

from rlg_backup.config.load import load
from rlg_backup.core.errors import (
    FAILED,
    MISCONFIGURED,
    BackupError,
    SourceChanged,
    SourceUnavailable,
    SourceUnreadable,
)
from rlg_backup.core.model import Kind
from rlg_backup.demo.server import Server, programs
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.wiring import Wiring
from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.faults import unreadable
from rlg_backup.sources.postgres.source import PostgresSource

PASSWORD = "correct-horse-battery"
GRANT = "hint: GRANT pg_read_all_data TO the user; for tables with row security also ALTER ROLE ... BYPASSRLS\n"


@pytest.fixture
def small(database: Address) -> Address:
    execute(
        database,
        "CREATE TABLE people (id int PRIMARY KEY, note text)",
        "INSERT INTO people SELECT n, 'hippopotamus ' || n FROM generate_series(1, 100) n",
        "CREATE TABLE orders (id serial PRIMARY KEY, person int REFERENCES people)",
        "INSERT INTO orders (person) SELECT n FROM generate_series(1, 100) n",
    )
    return database


@pytest.fixture
def user(small: Address) -> Iterator[Address]:
    """A plain user of the database, who may read nothing yet."""
    name = f"user_{small.database}"
    execute(small, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield replace(small, user=name, password=PASSWORD)
    execute(small, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture
def world(small: Address, tmp_path: Path) -> World:
    return make_world(tmp_path / "world", small, lock_wait_seconds=1)


def refused(world: World, address: Address, **environment: str) -> tuple[int, str]:
    """A backup as who the address says: how it ended and what it said, which left nothing behind."""
    with connected(app=address), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        done = world.run("backup", "--source", "app")
    assert (done.out, world.staged(), world.objects()) == ("", [], {})
    for text in (done.err, *(path.read_text(errors="replace") for path in world.root.rglob("*") if path.is_file())):
        assert address.password is None or address.password not in text
    return done.code, done.err


def test_a_wrong_password_is_told_and_printed_nowhere(world: World, small: Address) -> None:
    said = refused(world, replace(small, password=f"wrong-{PASSWORD}"))
    assert said == (FAILED, f"error: unable to connect to '{small}': the password is wrong\n")


def test_a_database_or_a_server_that_is_not_there_is_named(world: World, small: Address) -> None:
    nowhere, silent = small.of("no_such_database"), replace(small, port=free_port())
    there_is_none = f"error: unable to connect to '{nowhere}': there is no such database or user\n"
    assert refused(world, nowhere) == (FAILED, there_is_none)
    assert refused(world, silent) == (FAILED, f"error: unable to connect to '{silent}': no server answers there\n")


@pytest.mark.parametrize("parameter", ["sslmode", "channel_binding", "target_session_attrs"])
def test_a_parameter_of_the_connection_that_has_no_such_value_is_told(small: Address, parameter: str) -> None:
    cause = "a parameter of the connection has a value that libpq does not know"
    with pytest.raises(SourceUnreadable) as caught, replace(small, options={parameter: "bogus"}).connected():
        pass
    assert str(caught.value) == f"unable to connect to '{small}': {cause}"


@pytest.mark.parametrize("allowed", [0, 1, 2, 3, 4])
def test_a_limit_on_connections_is_told(world: World, small: Address, user: Address, allowed: int) -> None:
    """Whichever of our sessions is the one too many: control, two readers, pg_dump."""
    execute(small, f"GRANT pg_read_all_data TO {user.user}", f"ALTER ROLE {user.user} CONNECTION LIMIT {allowed}")
    if allowed == 4:
        with connected(app=user):
            world.back_up()
        return
    verb = "read the definitions of" if allowed == 3 else "connect to"
    said = f"error: unable to {verb} '{small}': the server takes no more connections\n"
    assert refused(world, user) == (FAILED, said)


def test_a_table_that_may_not_be_read_is_named(world: World, small: Address, user: Address) -> None:
    execute(small, f"GRANT SELECT ON people TO {user.user}")
    assert refused(world, user) == (FAILED, f"error: unable to read 'orders': permission denied\n{GRANT}")


def test_a_sequence_that_may_not_be_read_is_named(world: World, small: Address, user: Address) -> None:
    execute(small, f"GRANT SELECT ON people, orders TO {user.user}")
    cause = "permission denied, or it was dropped meanwhile"
    assert refused(world, user) == (FAILED, f"error: unable to read the definitions of 'orders_id_seq': {cause}\n")


def test_a_role_that_sees_only_some_rows_makes_no_smaller_backup(world: World, small: Address, user: Address) -> None:
    execute(
        small,
        f"GRANT pg_read_all_data TO {user.user}",
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY some_rows ON people TO {user.user} USING (id < 10)",
    )
    assert refused(world, user) == (FAILED, f"error: unable to read 'people': permission denied\n{GRANT}")


def test_a_table_that_is_locked_for_long_is_named(world: World, small: Address) -> None:
    text = (
        "error: unable to read 'people': another session holds it locked, for longer than 1 s\n"
        "hint: look for it in pg_locks, or raise lock_wait_seconds\n"
    )
    with holding(small, "people"):
        assert refused(world, small) == (FAILED, text)


def test_a_pg_dump_older_than_the_server_is_refused_with_both_versions(world: World, small: Address) -> None:
    text = (
        f"error: unable to run 'pg_dump': it is of version 16, and the server of version {NEWEST}: "
        "it does not know all of its definitions\n"
        f"hint: install PostgreSQL's client programs, version {NEWEST} or later, "
        "or name their folder in RLG_POSTGRES_BIN\n"
    )
    assert refused(world, small, RLG_POSTGRES_BIN=str(programs(16))) == (MISCONFIGURED, text)


def test_a_sequence_dropped_while_rows_are_read_is_told_as_that(small: Address) -> None:
    execute(small, "CREATE SEQUENCE alone")
    with pytest.raises(SourceChanged) as caught, PostgresSource(small).snapshot() as snapshot:
        execute(small, "DROP SEQUENCE alone")
        snapshot.schema_files()
    assert str(caught.value) == ("unable to read 'sequences': one was dropped while the backup ran\nhint: run it again")


def test_more_tables_than_the_server_can_lock_are_told_with_the_setting_to_raise(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rlg-pg-") as folder:
        few = ("max_locks_per_transaction=10", "max_connections=10", "max_worker_processes=0", "max_wal_senders=0")
        with Server(Path(folder) / "s", programs=programs_of(NEWEST), settings=few) as server:
            source = address_of(server)
            for start in range(0, 3000, 50):
                execute(source, ";".join(f"CREATE TABLE t{number} ()" for number in range(start, start + 50)))
            said = refused(make_world(tmp_path / "world", source, readers=1), source)
    text = (
        f"error: unable to read '{source}': the server has no room to lock 3000 tables\n"
        "hint: raise max_locks_per_transaction on the server: a backup locks every table at once\n"
    )
    assert said == (FAILED, text)


def test_an_index_that_no_restore_could_make_is_told_with_what_to_do(servers: Servers) -> None:
    """Up to version 16 a function in an index may find what it calls by the search path of who made it."""
    with fresh_database(servers[16]) as source:
        execute(
            source,
            "CREATE FUNCTION base() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 7'",
            "CREATE FUNCTION epoch(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT base() + n'",
            "CREATE TABLE dates (d int)",
            "CREATE INDEX late ON dates (d) WHERE d > epoch(3)",
        )
        with PostgresSource(source).snapshot() as snapshot, pytest.raises(SourceUnreadable) as caught:
            list(snapshot.read(snapshot.tables[0]))
    assert str(caught.value) == (
        "unable to read 'dates': it needs a function or operator that is not there\n"
        "hint: perhaps a function in one of its indexes or statistics names something without its schema, so that no "
        "restore could make that index: name the schema there, or ALTER FUNCTION ... SET search_path"
    )


def test_what_is_too_large_for_the_server_is_told_as_that(database: Address) -> None:
    """A row of two values of 600 MB each is, in any form; a text of 2 GB is quicker."""
    with database.connected() as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT repeat('x', 2000000000)")
    cause = "it is larger or more complex than the server can take"
    assert str(unreadable("read", "t", caught.value)) == f"unable to read 't': {cause}"


ENDED = "the server was shut down, or the session ended by an administrator"
LOST = "the connection to the server was lost or refused"
CRASHED = "the server crashed"
REFUSED = "no server answers there"  # to a session that was begun a moment later
CLOSING = "the server is starting up or shutting down"
GONE = (LOST, ENDED, CRASHED, REFUSED, CLOSING)


@pytest.mark.parametrize(
    ("function", "kind", "causes"),
    [
        ("pg_cancel_backend", SourceUnreadable, {"the server cancelled the statement"}),
        ("pg_terminate_backend", SourceUnavailable, {ENDED, LOST}),  # its last words may be lost with the connection
    ],
)
def test_a_session_ended_while_it_reads_is_told_as_that(
    small: Address, function: str, kind: type[BackupError], causes: set[str]
) -> None:
    execute(small, "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 100000) n")
    end = f"SELECT {function}(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
    with PostgresSource(small).snapshot() as snapshot:
        big = next(table for table in snapshot.tables if table.name == "big")
        batches = snapshot.read(big)
        assert next(batches).num_rows
        assert query(small, end) == [(True,)]
        with pytest.raises(kind) as caught:
            list(batches)
    assert type(caught.value) is kind
    assert str(caught.value) in {f"unable to read 'big': {cause}" for cause in causes}


@pytest.mark.parametrize("asked", ["pieces", "schema_files"])
def test_a_session_ended_between_two_tables_is_told_as_that(small: Address, asked: str) -> None:
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
    with pytest.raises(SourceUnavailable) as caught, PostgresSource(small, readers=1).snapshot() as snapshot:
        query(small, f"{end} AND application_name = 'rlg-backup'")
        _ = snapshot.pieces(snapshot.tables[0]) if asked == "pieces" else snapshot.schema_files()
    assert str(caught.value) in {f"unable to read '{small}': {cause}" for cause in (ENDED, LOST)}


def test_text_of_no_known_encoding_is_refused(servers: Servers) -> None:
    with fresh_database(servers[NEWEST], options="ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0") as source:
        execute(
            source, "SET client_encoding = SQL_ASCII", "CREATE TABLE t (v text)", "INSERT INTO t VALUES (E'caf\\xe9')"
        )
        with PostgresSource(source).snapshot() as snapshot, pytest.raises(SourceUnreadable) as caught:
            list(snapshot.read(snapshot.tables[0]))
    cause = "it holds text that is not UTF-8, and the database does not say in which encoding it is"
    assert str(caught.value) == f"unable to read 't': {cause}"


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may end, and that keeps through a crash what was committed."""
    with tempfile.TemporaryDirectory(prefix="rlg-pg-") as folder:
        server = Server(Path(folder) / "s", programs=programs_of(NEWEST), durable=True)
        with server:
            execute(address_of(server), "CREATE DATABASE db", "CREATE DATABASE other")
            yield server


class Crash:
    """Ends a server as a crash does, once, when the progress of ``what`` has been told ``times`` times."""

    def __init__(self, server: Server, what: str, times: int = 1) -> None:
        self._server, self._what, self._left = server, what, times
        self._one = threading.Lock()

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._one:
            self._left -= what == self._what
            if self._left == 0:
                self._left = -1
                self._server.stop("immediate")

    @property
    def struck(self) -> bool:
        return self._left < 0


def crashed(world: World, crash: Crash, work: Callable[[Wiring], object]) -> str:
    """The error that a command ends in when the server goes away in the middle."""
    with pytest.raises(BackupError) as caught:
        work(Wiring(load(world.config), base=world.root, progress=crash))
    assert crash.struck
    assert caught.value.transient
    assert world.staged() == []
    return f"{type(caught.value).__name__}: {caught.value}"


def test_a_server_that_goes_away_half_way_leaves_nothing_and_the_next_run_works(
    own_server: Server, tmp_path: Path
) -> None:
    source = address_of(own_server, "db")
    execute(source, "CREATE TABLE big AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 100000) n")
    world = make_world(tmp_path / "world", source, readers=1)
    again = f"postgres:there/{source.database}_again"
    with connected(app=source, there=address_of(own_server)):
        said = crashed(world, Crash(own_server, "snapshot big", 2), lambda wiring: backup(wiring, "app", Kind.FULL))
        assert said in {f"SourceUnavailable: unable to read 'big': {cause}" for cause in GONE}
        assert world.objects() == {}
        own_server.start(own_server.port)
        world.back_up()
        said = crashed(world, Crash(own_server, "load"), lambda wiring: restore(wiring, "app", "latest", again))
        assert said.startswith("DestinationUnavailable: unable to ")
        assert said.endswith(GONE)
        own_server.start(own_server.port)
        assert world.run("restore", "latest", "--source", "app", "--to", again).code == 0
    names = query(source, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1")
    assert names == [("db",), ("db_again",), ("other",), ("postgres",)]
