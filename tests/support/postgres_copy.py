"""A SQLite file's tables and rows in PostgreSQL, in the types that the platform has there; no constraints."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg

_TYPES = {"INTEGER": "bigint", "REAL": "double precision", "BLOB": "bytea"}
_TRUTH = "locked"  # a truth value is an integer in SQLite


def copy_to_postgres(file: Path, url: str) -> None:
    """Every table of the file, with its rows, into an empty database."""
    with closing(sqlite3.connect(file)) as source, psycopg.connect(url) as database:
        for name, definition in source.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall():
            there = re.sub("|".join(_TYPES), lambda match: _TYPES[match[0]], definition)
            database.execute(there.replace(f"{_TRUTH} bigint", f"{_TRUTH} boolean"))
            with database.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
                for row in source.execute(f"SELECT * FROM {name}"):
                    copy.write_row(row)
