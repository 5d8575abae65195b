"""A hot standby is read instead of its primary: the same rows, and no load there."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres_server import address_of, execute, query
from tests.support.postgres_world import connected, make_world
from tests.support.world import World

from rlg_backup.demo.server import USER, Server
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.restore_points import choose
from rlg_backup.sources.postgres.address import Address

Pair = tuple[Address, Address]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A database on its primary, and on a standby that follows it."""
    with tempfile.TemporaryDirectory(prefix="rlg-pg-") as folder, Server(Path(folder) / "primary") as primary:
        execute(address_of(primary), "CREATE DATABASE db")
        other = Server(Path(folder) / "standby")
        other.folder.mkdir(mode=0o700)
        (other.folder / "password").write_bytes((primary.folder / "password").read_bytes())
        command = [primary.programs / "pg_basebackup", "-D", other.folder / "data", "-R", "-c", "fast"]
        subprocess.run([*command, "-U", USER], env=primary.environment(), check=True, timeout=60)
        with other as standby:
            yield address_of(primary, "db"), address_of(standby, "db")


def follow(primary: Address, standby: Address) -> None:
    """Waits until the standby has all that was written."""
    ((written,),) = query(primary, "SELECT pg_current_wal_insert_lsn()::text")
    for _ in range(300):
        if query(standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'") == [(True,)]:
            return
        time.sleep(0.1)
    raise AssertionError("the standby does not follow")


def test_a_standby_is_backed_up_without_its_unlogged_tables_and_says_so(pair: Pair, tmp_path: Path) -> None:
    primary, standby = pair
    execute(
        primary,
        "CREATE TABLE people (id serial PRIMARY KEY, name text)",
        "INSERT INTO people (name) SELECT md5(n::text) FROM generate_series(1, 1000) n",
        "CREATE UNLOGGED TABLE sessions (id serial, note text)",
        "INSERT INTO sessions (note) VALUES ('gone')",
        "SELECT lo_from_bytea(0, 'large')",
    )
    follow(primary, standby)
    world = make_world(tmp_path / "world", standby)
    with connected(app=standby, there=primary):
        world.back_up()
        done = world.run("restore", "latest", "--source", "app", "--to", "postgres:there/again")
    assert done.code == 0, done.err
    again = primary.of("again")
    assert query(again, "SELECT * FROM people ORDER BY 1") == query(primary, "SELECT * FROM people ORDER BY 1")
    assert query(again, "SELECT lo_get(oid) FROM pg_largeobject_metadata") == [(b"large",)]
    assert query(again, "SELECT count(*) FROM sessions") == [(0,)]
    ((number,),) = query(again, "INSERT INTO people (name) VALUES ('next') RETURNING id")
    assert 1000 < number <= 1000 + 33  # a primary logs a sequence's values ahead, 32 at a time
    assert "not in the backup: sessions (unlogged: a standby has none of its rows)\n" in done.out + done.err


def test_a_chain_made_on_a_standby_holds_what_changed_and_is_exact_after_its_promotion_too(
    pair: Pair, tmp_path: Path
) -> None:
    primary, standby = pair
    execute(primary, *TABLE)
    follow(primary, standby)
    world = make_world(tmp_path / "world", standby)
    with connected(app=standby, there=primary):
        world.back_up()
        execute(primary, *CHANGES)
        follow(primary, standby)
        assert backed_up(world) == ("incremental", 202)
        assert restored(world, primary, "one") == query(primary, ROWS)
        execute(standby, "SELECT pg_promote()")
        execute(standby, *CHANGES)
        execute(primary, "UPDATE people SET name = 'of another history'")
        backed_up(world)  # a full one as soon as the server's checkpoint tells the new timeline
        assert restored(world, primary, "two") == query(standby, ROWS)
        execute(standby, "CHECKPOINT", *CHANGES)
        backed_up(world)
        execute(standby, *CHANGES)
        assert backed_up(world) == ("incremental", 202)
        assert restored(world, primary, "three") == query(standby, ROWS)


def test_after_a_failover_that_lost_transactions_nothing_of_them_is_taken_for_unchanged(
    pair: Pair, tmp_path: Path
) -> None:
    """The lost transactions' numbers are given again, to rows in the same places."""
    primary, standby = pair
    execute(primary, *TABLE)
    follow(primary, standby)
    execute(standby, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
    while query(standby, "SELECT count(*) FROM pg_stat_wal_receiver") != [(0,)]:
        time.sleep(0.05)
    world = make_world(tmp_path / "world", primary)
    with connected(app=primary, there=primary):
        world.back_up()
        execute(primary, "INSERT INTO people VALUES (30000, 'lost')", "UPDATE people SET name = 'lost' WHERE id = 7")
        assert backed_up(world) == ("incremental", 2)
    execute(standby, "SELECT pg_promote()", "SELECT pg_current_xact_id()")  # a backup takes a number, too
    execute(standby, "INSERT INTO people VALUES (30000, 'kept')", "UPDATE people SET name = 'kept' WHERE id = 7")
    same = "SELECT ctid::text, xmin::text FROM people WHERE id IN (7, 30000) ORDER BY id"
    assert query(standby, same) == query(primary, same)
    execute(standby, *["SELECT pg_switch_wal()", "SELECT pg_current_xact_id()"] * 4)  # further than the primary was
    with connected(app=standby, there=primary):
        backed_up(world)
        assert restored(world, primary, "again") == query(standby, ROWS)


TABLE = (
    "CREATE TABLE people (id int PRIMARY KEY, name text)",
    "INSERT INTO people SELECT n, md5(n::text) FROM generate_series(1, 20000) n",
)
ROWS = "SELECT * FROM people ORDER BY 1"
CHANGES = (
    "UPDATE people SET name = name || '!' WHERE id % 100 = 0",
    "DELETE FROM people WHERE id = (SELECT min(id) FROM people WHERE id % 100 = 1)",
    "INSERT INTO people SELECT max(id) + 1, 'new' FROM people",
    "INSERT INTO people SELECT max(id) + 1, 'new' FROM people",
)


def backed_up(world: World) -> tuple[str, int]:
    """The kind that an incremental backup became, and how many rows it saved."""
    done = world.run("backup", "--kind", "incremental", "--json")
    assert done.code == 0, done.out + done.err
    backup_id = done.json[0]["backup_id"]
    (table,) = (
        open_remote(world.wiring(), choose(world.wiring(), "app", backup_id), world.wiring().identities())
        .profile()
        .tables
    )
    return done.json[0]["kind"], table.change.rows if table.change else table.rows


def restored(world: World, server: Address, name: str) -> list[Any]:
    done = world.run("restore", "latest", "--source", "app", "--to", f"postgres:there/{name}")
    assert done.code == 0, done.err
    return query(server.of(name), ROWS)
