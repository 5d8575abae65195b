"""A platform in PostgreSQL and one in SQLite, read so that they can be compared."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from rlg_backup.demo import generate
from rlg_backup.demo.server import Server

INCLUDE = Path(__file__).parents[2] / "include"
DATABASES = ("rlg_data", "rlg_fans")
OF_POSTGRES = {"feature_flags", "internal.schema_migrations"}  # tables that the SQLite platform has not
Row = tuple[Any, ...]


def _single(value: Any) -> Any:
    return struct.unpack("f", struct.pack("f", value))[0]


def _rounded(value: Any) -> Any:
    return float(
        f"{float(value):.12g}"
    )  # the platform's changes reckon in floating point in one, in decimals in the other


def _document(value: Any) -> Any:
    """As what it says, not as it is written; a value of a column without a type as the scalar it becomes."""
    if isinstance(value, bytes):
        return value.hex()
    said = json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value
    return json.dumps(said, sort_keys=True) if isinstance(said, dict | list) else said


Shapes = dict[str, Callable[[Any], Any]]
_BOTH: Shapes = {"jsonb": _document, "float4": _single, "numeric": _rounded}  # by type: what makes both comparable
_OF_POSTGRES: Shapes = {
    **_BOTH,
    "timestamptz": lambda value: datetime.isoformat(value).replace("+00:00", "Z"),
    "bool": int,
    "date": str,
    "uuid": str,
    "inet": str,
    "_text": lambda value: json.dumps(value, separators=(",", ":")),
}


@contextmanager
def serve_platform(folder: Path, *, seed: int, size: int) -> Iterator[tuple[Server, Path]]:
    """A server with a platform in it, whose tree is in the folder that is returned."""
    with Server(folder / "server") as server:
        generate(folder / "platform", include=INCLUDE, seed=seed, size=size, server=server.url())
        yield server, folder / "platform"


@contextmanager
def connected(server: Server, name: str) -> Iterator[psycopg.Connection[Any]]:
    """A session in UTC, each statement committed."""
    with psycopg.connect(server.url(name), autocommit=True, options="-c TimeZone=UTC") as database:
        yield database


def rows_of(server: Server, name: str) -> dict[str, list[Row]]:
    """Every table's rows, sorted, with values as SQLite would hold them."""
    with connected(server, name) as database:
        return {table: _read(database, table, types, _OF_POSTGRES) for table, types in _tables(database).items()}


def rows_beside(path: Path, server: Server, name: str) -> dict[str, list[Row]]:
    """The rows of a SQLite file, in the tables, columns and precision of the PostgreSQL database."""
    with connected(server, name) as database:
        tables = {table: types for table, types in _tables(database).items() if table not in OF_POSTGRES}
    with closing(sqlite3.connect(path)) as file:
        return {table: _read(file, table, types, _BOTH) for table, types in tables.items()}


def _read(database: Any, table: str, types: dict[str, str], shapes: Shapes) -> list[Row]:
    change = [shapes.get(kind, lambda value: value) for kind in types.values()]
    found = [
        tuple(None if value is None else of(value) for of, value in zip(change, row, strict=True))
        for row in database.execute(f"SELECT {', '.join(types)} FROM {table}").fetchall()
    ]
    return sorted(found, key=repr)


def _tables(database: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    """Table > column > type, without partitions."""
    query = """
        SELECT c.oid::regclass::text, a.attname, t.typname FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace::regnamespace::text
        IN ('public', 'internal') AND a.attnum > 0 ORDER BY 1, a.attnum"""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in database.execute(query):
        found.setdefault(table, {})[column] = kind
    return found
