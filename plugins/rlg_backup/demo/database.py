"""Makes a SQLite database from SQL definitions and rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from .outcome import Progress
from .platform import Rows

BATCH = 5_000  # rows held in memory at a time


def make_database(path: Path, definition: str, parts: Iterable[Rows], name: str, progress: Progress | None) -> None:
    """Makes the tables, fills them, then makes indexes, views and triggers, in WAL mode.

    ``path`` must not exist. Triggers come last, so that a lock on rows does not refuse the first ones.
    """
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
    places, rows, count = ", ".join("?" * len(part.columns)), iter(part.rows), 0
    # Names come from this package, values are bound.
    insert = f"INSERT INTO {part.table} ({', '.join(part.columns)}) VALUES ({places})"  # noqa: S608
    while batch := list(islice(rows, BATCH)):
        database.executemany(insert, batch)
        count += len(batch)
    return count


def count_rows(path: Path) -> dict[str, int]:
    """Rows of each table, by name."""
    with closing(sqlite3.connect(path)) as database:
        listed = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        names = [name for (name,) in database.execute(listed)]
        return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608
