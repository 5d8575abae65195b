"""A hot standby is read instead of its primary: the same rows, and no load there."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.postgres_server import address_of, execute, query
from tests.support.postgres_world import connected, make_world

from rlg_backup.demo.server import USER, Server
from rlg_backup.sources.postgres.address import Address


@pytest.fixture
def pair() -> Iterator[tuple[Address, Address]]:
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


def test_a_standby_is_backed_up_without_its_unlogged_tables_and_says_so(
    pair: tuple[Address, Address], tmp_path: Path
) -> None:
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
