"""Where a platform's databases are kept: SQLite files or a PostgreSQL server. What differs by kind is behind this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .outcome import Progress
from .platform import Rows, Value


class Session(Protocol):
    """A transaction that changes a database. Its SQL is what both kinds understand, with ``?`` for each value.

    ``round`` counts the sessions that changed this database, from 1.
    """

    round: int

    def run(self, statement: str, values: Sequence[Value]) -> int:
        """Rows changed by a statement."""
        ...

    def rows(self, query: str, values: Sequence[Value]) -> list[tuple[Any, ...]]: ...

    def insert(self, table: str, row: Mapping[str, Value]) -> None:
        """Adds a row of values as the makers give them."""
        ...


class Databases(Protocol):
    """The databases of one platform, by name. ``kind`` names the folder of their SQL definitions, ``place`` what holds
    them."""

    kind: ClassVar[str]
    place: ClassVar[str]

    def __str__(self) -> str:
        """Where they are, for messages."""
        ...

    def title(self, name: str) -> str:
        """What a message calls a database."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a database of that name."""
        ...

    def make(self, name: str, definition: str, parts: Iterable[Rows], progress: Progress | None) -> None:
        """Builds a database beside its name; what an earlier run left there goes first.

        Triggers and references stay silent meanwhile, so that a lock on rows does not refuse the first ones.
        """
        ...

    def publish(self, name: str) -> None:
        """Gives the database that was made its name."""
        ...

    def changing(self, name: str) -> AbstractContextManager[Session]:
        """A session, committed at the end; what is raised in it leaves the database as it was."""
        ...

    def count_rows(self, name: str) -> Mapping[str, int]:
        """Rows of each table; one outside the ordinary schema is called ``schema.table``."""
        ...

    def faults(self, verb: str) -> AbstractContextManager[None]:
        """Turns what the database says meanwhile into ConfigurationError or StorageFull, without values."""
        ...


def databases_of(folder: Path, server: str | None) -> Databases:
    """Those of the PostgreSQL server at a URL where one is given, SQLite files in the folder otherwise."""
    if server is None:
        from .sqlite_databases import SqliteDatabases

        return SqliteDatabases(folder)
    from .postgres_databases import PostgresDatabases

    return PostgresDatabases(server)
