"""PostgreSQL servers of every supported version, one of each in a test process, and databases that last for a test.

They come from npm, with the contributed extensions and libxml but without client programs; those are of the Python
wheel that the demo uses.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support import node

from rlg_backup.demo.server import USER, Server, programs
from rlg_backup.sources.postgres.address import Address

VERSIONS = (14, 15, 16, 17, 18)
OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]
_numbers = itertools.count(1)


class Servers:
    """Starts a server when its version is first asked for; ``stop`` ends and forgets them all."""

    def __init__(self) -> None:
        # short: the path of a folder is part of command lines, and a test process has no use for its data after
        self._root = Path(tempfile.mkdtemp(prefix="rlg-pg-"))
        self._running: dict[int, Server] = {}

    def __getitem__(self, version: int) -> Server:
        if version not in self._running:
            settings = ("max_connections=60", "shared_buffers=32MB", "max_wal_size=4GB", "autovacuum=off")
            server = Server(self._root / str(version), programs=programs_of(version), settings=settings)
            self._running[version] = server.start()
        return self._running[version]

    def stop(self) -> None:
        for server in self._running.values():
            server.stop("immediate")
        shutil.rmtree(self._root)


def programs_of(version: int) -> Path:
    """The folder of a server's programs; skips where this system can have none."""
    if os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        # an error in CI (tests/conftest.py)
        pytest.skip(f"REQUIRED-IN-CI: PostgreSQL {version} is packed for Linux on x86-64 only")
    package = node.install("postgres_npm") / "node_modules" / f"postgres-{version}"
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):  # an npm package can hold no links
        place = package / link["target"]
        if not place.is_symlink():
            spare = place.with_name(f"{place.name}.{os.getpid()}")
            spare.symlink_to(os.path.relpath(package / link["source"], place.parent))
            spare.replace(place)
    return package / "native" / "bin"


def address_of(server: Server, database: str = "postgres") -> Address:
    """A database of a server, as its superuser."""
    return Address(database, host=server.host, port=server.port, user=USER, password=server.password)


def session(address: Address, **settings: Any) -> psycopg.Connection[Any]:
    """A session as any other client's: with the server's own settings, not those that a backup pins."""
    return psycopg.connect(
        host=address.host, port=address.port, user=address.user, password=address.password, dbname=address.database,
        autocommit=True, client_encoding="UTF8", **settings,
    )  # fmt: skip


def execute(address: Address, *statements: str) -> None:
    """Each statement is a transaction of its own."""
    with session(address) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def query(address: Address, statement: str) -> list[tuple[Any, ...]]:
    with session(address) as connection:
        return connection.execute(statement.encode()).fetchall()


def psql(address: Address, *arguments: str | Path, stdin: int | None = None) -> str:
    """Runs the newest psql, which any of the servers understands; returns what it wrote."""
    command = [programs() / "psql", "-X", "-q", "-b", "-v", "ON_ERROR_STOP=1", *arguments]
    done = subprocess.run(command, env=address.environment(), stdin=stdin, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


@contextmanager
def fresh_database(
    server: Server, name: str | None = None, *, options: str = "TEMPLATE template0"
) -> Iterator[Address]:
    """A new database, dropped afterwards with everybody who is still in it."""
    name = f"db_{os.getpid()}_{next(_numbers)}"
    there = address_of(server)
    execute(there, f'CREATE DATABASE "{name}" {options}')
    try:
        yield there.of(name)
    finally:
        drop_database(server, name)


def drop_database(server: Server, name: str) -> None:
    execute(address_of(server), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    found = Servers()
    yield found
    found.stop()


@pytest.fixture
def database(servers: Servers) -> Iterator[Address]:
    """An empty database of the newest server."""
    with fresh_database(servers[NEWEST]) as address:
        yield address
