"""What can happen to a SQLite database between two backups. Each change takes the connection and a source of chance."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable

Change = Callable[[sqlite3.Connection, random.Random], None]

SHAPES = (
    "id INTEGER PRIMARY KEY, v, w TEXT",
    "id INTEGER PRIMARY KEY AUTOINCREMENT, v REAL, w BLOB",
    "k TEXT PRIMARY KEY, v, w TEXT",
    "a INTEGER, b TEXT, v, PRIMARY KEY (a, b)",
    "v, w TEXT",  # told apart by the row id alone
    "id INTEGER PRIMARY KEY, w TEXT UNIQUE, g GENERATED ALWAYS AS (id * 2) STORED",
    "v, w TEXT, CHECK (v IS NULL OR v <> 'never')",
)
_INDEXES = """
SELECT i.name FROM pragma_index_list(?) i, pragma_index_info(i.name) c WHERE i.origin = 'c' AND c.name = ?
"""


def tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return sorted(name for (name,) in found)


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Those that take a value."""
    found = connection.execute(f'SELECT name FROM pragma_table_xinfo("{table}") WHERE hidden = 0')
    return [name for (name,) in found]


def value(chance: random.Random) -> object:
    """Few distinct ones, so that rows repeat and come back."""
    number = chance.randrange(12)
    return chance.choice([None, number, number / 4, str(number), bytes([number]), f"text {number}", -0.0, "1", 1.0])


def one(connection: sqlite3.Connection, chance: random.Random) -> str:
    return chance.choice(tables(connection) or create(connection, chance))


def create(connection: sqlite3.Connection, chance: random.Random) -> list[str]:
    name = f"t{chance.randrange(5)}"
    if name not in tables(connection):
        rowid = (
            " WITHOUT ROWID"
            if (shape := chance.choice(SHAPES)).startswith(("k", "a")) and chance.random() < 0.5
            else ""
        )
        connection.execute(f'CREATE TABLE "{name}" ({shape}){rowid}')
    return [name]


def insert(connection: sqlite3.Connection, chance: random.Random) -> None:
    table = one(connection, chance)
    names = columns(connection, table)
    marks = ", ".join("?" * len(names))
    for _ in range(chance.randrange(1, 12)):
        row = [chance.randrange(40) if name in ("id", "a") else value(chance) for name in names]
        connection.execute(f'INSERT OR IGNORE INTO "{table}" VALUES ({marks})', row)


def update(connection: sqlite3.Connection, chance: random.Random) -> None:
    table = one(connection, chance)
    name = chance.choice(columns(connection, table))
    new = chance.randrange(40) if name in ("id", "a") else value(chance)
    places = _some(connection, table, chance)
    connection.execute(f'UPDATE OR IGNORE "{table}" SET "{name}" = ? WHERE {places}', [new])


def touch(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Writes rows again as they are."""
    table = one(connection, chance)
    name = columns(connection, table)[-1]
    connection.execute(f'UPDATE "{table}" SET "{name}" = "{name}"')


def delete(connection: sqlite3.Connection, chance: random.Random) -> None:
    table = one(connection, chance)
    connection.execute(f'DELETE FROM "{table}" WHERE {_some(connection, table, chance)}')


def empty(connection: sqlite3.Connection, chance: random.Random) -> None:
    connection.execute(f'DELETE FROM "{one(connection, chance)}"')


def reload(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Empties a table and puts the same rows in again, in another order."""
    table = one(connection, chance)
    names = ", ".join(f'"{name}"' for name in columns(connection, table))
    connection.execute(f'CREATE TEMP TABLE kept AS SELECT {names} FROM "{table}" ORDER BY random()')
    connection.execute(f'DELETE FROM "{table}"')
    connection.execute(f'INSERT INTO "{table}" ({names}) SELECT * FROM kept')
    connection.execute("DROP TABLE temp.kept")


def drop(connection: sqlite3.Connection, chance: random.Random) -> None:
    connection.execute(f'DROP TABLE "{one(connection, chance)}"')


def rename(connection: sqlite3.Connection, chance: random.Random) -> None:
    table, name = one(connection, chance), f"t{chance.randrange(5)}"
    if name not in tables(connection):
        connection.execute(f'ALTER TABLE "{table}" RENAME TO "{name}"')


def swap(connection: sqlite3.Connection, chance: random.Random) -> None:
    found = tables(connection)
    if len(found) > 1:
        first, second = chance.sample(found, 2)
        for old, new in ((first, "between"), (second, first), ("between", second)):
            connection.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')


def add_column(connection: sqlite3.Connection, chance: random.Random) -> None:
    table, name = one(connection, chance), f"c{chance.randrange(4)}"
    if name not in columns(connection, table):
        connection.execute(
            f'ALTER TABLE "{table}" ADD COLUMN {name} DEFAULT {chance.choice(["NULL", "7", chr(39) * 2])}'
        )


def drop_column(connection: sqlite3.Connection, chance: random.Random) -> None:
    table = one(connection, chance)
    extra = [name for name in columns(connection, table) if name.startswith("c")]
    if extra:
        name = chance.choice(extra)
        for (own,) in connection.execute(_INDEXES, [table, name]).fetchall():  # with which SQLite keeps the column
            connection.execute(f'DROP INDEX "{own}"')
        connection.execute(f'ALTER TABLE "{table}" DROP COLUMN "{name}"')


def index(connection: sqlite3.Connection, chance: random.Random) -> None:
    table = one(connection, chance)
    connection.execute(f'CREATE INDEX IF NOT EXISTS "i_{table}" ON "{table}" ("{columns(connection, table)[-1]}")')


def vacuum(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Numbers the rows anew that have no key."""
    connection.execute("VACUUM")


CHANGES: tuple[Change, ...] = (
    *(insert,) * 5, *(update,) * 4, *(delete,) * 3, touch, empty, reload, create, create, drop, rename, swap,
    add_column, drop_column, index, vacuum,
)  # fmt: skip


def _some(connection: sqlite3.Connection, table: str, chance: random.Random) -> str:
    """A condition that holds for some of the rows."""
    name = chance.choice(columns(connection, table))
    return chance.choice([f'"{name}" IS NULL', f'"{name}" > 3', f"\"{name}\" < '5'", f"typeof(\"{name}\") = 'integer'"])
