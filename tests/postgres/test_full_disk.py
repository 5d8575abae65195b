"""The disk of the server that is restored to is full, at every phase: nothing of the database is left there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.failures.room import ROOMY, Room, required_namespace
from tests.postgres import small_server
from tests.support.postgres_server import NEWEST, execute, programs_of
from tests.support.postgres_server import query as rows
from tests.support.postgres_world import connected, make_world
from tests.support.world import Ran

from rlg_backup.core.errors import FAILED
from rlg_backup.demo.server import USER
from rlg_backup.sources.postgres.address import Address

MB = 1 << 20


@pytest.fixture
def room() -> Iterator[Room]:
    with Room(required_namespace()) as room:
        yield room
        room.clear()


class Small:
    """A server on a disk of its own, whose log of changes has room elsewhere."""

    def __init__(self, room: Room, folder: Path) -> None:
        self._room, self._disk = room, folder / "disk"
        room.disk(self._disk)
        told = self._call("start", log=str(folder / "wal")).json
        self.address = Address("postgres", "127.0.0.1", told["port"], USER, told["password"])

    def room_for(self, size: int) -> None:
        """Leaves so many bytes."""
        files = [path for path in self._room.see(self._disk).rglob("*") if path.is_file()]
        self._room.resize(self._disk, size=sum(path.stat().st_blocks * 512 for path in files) + size)

    def mended(self) -> list[str]:
        """Gives it room, and says which databases there are besides its own."""
        self._room.resize(self._disk, size=ROOMY)
        self._call("restart")
        query = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        return [str(name) for (name,) in rows(self.address, query)]

    def stop(self) -> None:
        self._call("stop")

    def _call(self, function: str, **given: str) -> Ran:
        place = {"folder": str(self._disk / "s"), "programs": str(programs_of(NEWEST))}
        done = self._room.call(f"{small_server.__name__}:{function}", **place, **given)
        assert done.code == 0, done.err
        return done


@pytest.fixture
def small(tmp_path: Path, room: Room) -> Iterator[Small]:  # in this order: the disks go before the folder they are in
    server = Small(room, tmp_path)
    yield server
    server.stop()


def test_a_database_that_does_not_fit_is_not_there_and_the_next_restore_removes_what_was_left(
    small: Small, database: Address, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    execute(
        database,
        "CREATE TABLE big AS SELECT n, (SELECT string_agg(md5(n || ' ' || p), '') FROM generate_series(1, 12) p) t "
        "FROM generate_series(1, 40000) n",
        "CREATE INDEX on_big ON big (t)",
    )
    world, copy, found = make_world(tmp_path / "world", database), small.address.of("copy"), []
    with connected(app=database, small=small.address):
        world.back_up()
        for megabytes in (1, 12, 33, 90):  # a database without rows takes 8, the table 17, its index 17
            small.room_for(megabytes * MB)
            done = world.run("restore", "latest", "--source", "app", "--to", "postgres:small/copy")
            if done.code == 0:
                break
            left = small.mended()
            assert done.code == FAILED
            assert all(name.startswith("rlg_restore_") for name in left) and len(left) <= 1
            assert not left or "the next restore to this server removes it" in caplog.text
            found.append(done.err)
        assert small.mended() == ["copy"]
    assert rows(copy, "SELECT count(*), min(length(t)) FROM big") == [(40_000, 384)]
    assert found == [
        f"error: unable to restore to '{copy}': the server's disk is full\n",
        "error: unable to load 'big': the server's disk is full\n",
        "error: unable to make 'big': the server's disk is full\n",
    ]
