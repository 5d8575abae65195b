"""Servers, and a small database with something of every kind that a restore has to bring back."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.postgres_server import NEWEST, Servers, address_of, execute, fresh_database, query, servers

from rlg_backup.core.errors import BackupError
from rlg_backup.demo.server import Server
from rlg_backup.sources.port import TableSource
from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.destination import PostgresDestination
from rlg_backup.sources.postgres.source import PostgresSource

__all__ = ["servers"]
_numbers = itertools.count(1)


PEOPLE = (
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


@dataclass
class Place:
    """A server, a database of it to save, and a free name to restore to."""

    server: Server
    source: Address
    target: Address
    warnings: list[str] = field(default_factory=list)

    def databases(self) -> set[str]:
        return {name for (name,) in query(address_of(self.server), "SELECT datname FROM pg_database")}

    def restore(
        self,
        to: Address | None = None,
        *,
        change: Callable[[dict[str, bytes]], None] = lambda _: None,
        before_finish: Callable[[PostgresDestination], None] = lambda _: None,
        prove: Callable[[TableSource], None] = lambda _: None,
        **options: object,
    ) -> Address:
        to = to or self.target
        with PostgresSource(self.source).snapshot() as snapshot:
            files = dict(snapshot.schema_files())
            change(files)
            with PostgresDestination(to, reopen=PostgresSource.of_copy, **options) as destination:  # type: ignore[arg-type]
                try:
                    destination.prepare(files)
                    for table in snapshot.tables:
                        destination.load(table, snapshot.read(table, geography=False))
                    before_finish(destination)
                    destination.finish(prove)
                finally:
                    self.warnings = list(destination.warnings)
        return to

    def refusal(self, kind: type[BackupError], **options: Any) -> str:
        """The text of the error that a restore ends with; it leaves nothing, not even a temporary database."""
        before = self.databases()
        with pytest.raises(kind) as caught:
            self.restore(**options)
        assert type(caught.value) is kind
        assert self.databases() == before
        return str(caught.value)


def edited(**fields: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["postgres.json"] = json.dumps(json.loads(files["postgres.json"]) | fields).encode()

    return change


@pytest.fixture
def place(servers: Servers) -> Iterator[Place]:
    server = servers[NEWEST]
    target = address_of(server, f"target_{os.getpid()}_{next(_numbers)}")
    with fresh_database(server) as source:
        before = Place(server, source, target).databases()
        yield Place(server, source, target)
        left = Place(server, source, target).databases() - before - {target.database}
        execute(address_of(server), f'DROP DATABASE IF EXISTS "{target.database}" WITH (FORCE)')
        assert left == set(), "a test left databases behind"


@pytest.fixture
def filled(place: Place) -> Place:
    execute(place.source, *PEOPLE)
    return place
