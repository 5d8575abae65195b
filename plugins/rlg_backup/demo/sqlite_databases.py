"""SQLite files, each made from SQL definitions and rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from ..core.errors import ConfigurationError, StorageFull
from .databases import Session
from .outcome import Progress
from .platform import Rows, Value

BATCH = 5_000  # rows held in memory at a time


@dataclass(frozen=True)
class SqliteDatabases:
    """``<name>.db`` in a folder, in WAL mode."""

    folder: Path
    kind: ClassVar[str] = "sqlite"
    place: ClassVar[str] = "folder"

    def __str__(self) -> str:
        return str(self.folder)

    def title(self, name: str) -> str:
        return f"{name}.db"

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def has(self, name: str) -> bool:
        return self.path(name).exists()

    def make(self, name: str, definition: str, parts: Iterable[Rows], progress: Progress | None) -> None:
        """Makes the tables, fills them, then makes indexes, views and triggers."""
        path = self._unfinished(name)
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # A half-made database is thrown away, so that nothing needs to survive a crash meanwhile.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            tables: list[str] = []
            rest: list[str] = []
            for statement in statements(definition):
                (tables if statement.startswith("CREATE TABLE") else rest).append(statement)
            database.execute("BEGIN")
            for statement in tables:
                database.execute(statement)
            for part in parts:
                count = _load(database, part)
                if progress:
                    progress(f"{name}.{part.table}", count)
            for statement in rest:
                database.execute(statement)
            database.execute("COMMIT")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA journal_mode = WAL")

    def publish(self, name: str) -> None:
        self._unfinished(name).rename(self.path(name))

    @contextmanager
    def changing(self, name: str) -> Iterator[Session]:
        with closing(sqlite3.connect(self.path(name), timeout=60, isolation_level=None)) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("BEGIN IMMEDIATE")
            yield _Session(database)
            database.execute("COMMIT")

    def count_rows(self, name: str) -> dict[str, int]:
        with closing(sqlite3.connect(self.path(name))) as database:
            listed = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            names = [table for (table,) in database.execute(listed)]
            counts = {table: database.execute(f'SELECT count(*) FROM "{table}"').fetchone() for table in names}  # noqa: S608
        return {table: count for table, (count,) in counts.items()}

    @contextmanager
    def faults(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # The message may quote a value; the name of the code cannot.
            said = getattr(error, "sqlite_errorname", type(error).__name__)
            kind = StorageFull if said == "SQLITE_FULL" else ConfigurationError
            raise kind(verb, str(self), f"SQLite says {said}") from error

    def _unfinished(self, name: str) -> Path:
        return self.folder / f"{name}.db.unfinished"


class _Session:
    """The rounds are counted in the database's ``user_version``."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.round: int = database.execute("PRAGMA user_version").fetchone()[0] + 1
        database.execute(f"PRAGMA user_version = {self.round}")

    def run(self, statement: str, values: Sequence[Value]) -> int:
        return self._database.execute(statement, values).rowcount

    def rows(self, query: str, values: Sequence[Value]) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    def insert(self, table: str, row: Mapping[str, Value]) -> None:
        self._database.execute(_insert(table, list(row)), list(row.values()))


def statements(definition: str) -> Iterator[str]:
    """The statements of a script; a trigger with its inner semicolons is one. Comment lines between are dropped."""
    pending: list[str] = []
    for line in definition.splitlines():
        if not pending and (not line.strip() or line.startswith("--")):
            continue
        pending.append(line)
        text = "\n".join(pending)
        if sqlite3.complete_statement(text):
            yield text.rstrip().removesuffix(";")
            pending.clear()


def _load(database: sqlite3.Connection, part: Rows) -> int:
    rows, count = iter(part.rows), 0
    while batch := list(islice(rows, BATCH)):
        database.executemany(_insert(part.table, part.columns), batch)
        count += len(batch)
    return count


def _insert(table: str, columns: Sequence[str]) -> str:
    # Names come from this package, values are bound.
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
