"""Databases of a PostgreSQL server, each made from SQL definitions and rows.

The makers give every value as SQLite would hold it. COPY's text form lets the server read times, addresses, documents
and truth values from that; only what has another shape (arrays, scalars in a document) is changed on the way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from ..core.errors import ConfigurationError, StorageFull
from .databases import Session
from .outcome import Progress
from .platform import Rows, Value

DISK_FULL = "53100"
_UTC = "-c TimeZone=UTC"
_SILENT = f"{_UTC} -c session_replication_role=replica"  # no trigger fires, no reference is looked up
_COLUMNS: LiteralString = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"""
_TABLES: LiteralString = """
    SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1, 2"""
_SEQUENCES: LiteralString = """
    SELECT c.relname, a.attname, pg_get_serial_sequence(c.oid::regclass::text, a.attname)
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE a.attidentity <> ''"""


@dataclass(frozen=True)
class PostgresDatabases:
    """The server at ``url`` (postgresql://...), asked as a superuser, who alone may silence references."""

    url: str = field(repr=False)
    kind: ClassVar[str] = "postgres"
    place: ClassVar[str] = "server"

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}"

    def title(self, name: str) -> str:
        return f"database {name}"

    def has(self, name: str) -> bool:
        with self._server() as server:
            return server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None

    def make(self, name: str, definition: str, parts: Iterable[Rows], progress: Progress | None) -> None:
        """All in one transaction; then the planner's statistics, as a database in use has them."""
        made = sql.Identifier(_unfinished(name))
        with self._server() as server:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(made))
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(made))
        with self.connect(_unfinished(name), options=_SILENT) as database:
            database.execute(definition.encode())
            for part in parts:
                count = _load(database, part)
                if progress:
                    progress(f"{name}.{part.table}", count)
            _advance_sequences(database)
            database.commit()
            database.autocommit = True
            database.execute("ANALYZE")

    def publish(self, name: str) -> None:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        with self._server() as server:
            server.execute(rename.format(sql.Identifier(_unfinished(name)), sql.Identifier(name)))

    @contextmanager
    def changing(self, name: str) -> Iterator[Session]:
        with self.connect(name, options=_UTC) as database:  # commits at the end
            yield _Session(database)

    def count_rows(self, name: str) -> dict[str, int]:
        found = {}
        with self.connect(name) as database:
            for schema, table in database.execute(_TABLES).fetchall():
                count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
                title = table if schema == "public" else f"{schema}.{table}"
                ((found[title],),) = database.execute(count).fetchall()
        return found

    def connect(self, name: str, **more: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, dbname=name, **more)

    @contextmanager
    def faults(self, verb: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            # The message may quote a value; the state cannot. Before there is a session there is none.
            kind = StorageFull if error.sqlstate == DISK_FULL else ConfigurationError
            said = f"PostgreSQL says {error.sqlstate}" if error.sqlstate else "PostgreSQL does not let us in there"
            raise kind(verb, str(self), said) from error

    def _server(self) -> psycopg.Connection[Any]:
        return self.connect("postgres", autocommit=True)


class _Session:
    """The rounds are counted by a sequence of the database, which goes on even where a session fails."""

    def __init__(self, database: psycopg.Connection[Any]) -> None:
        self._database = database
        ((self.round,),) = database.execute("SELECT nextval('internal.rounds_of_changes')").fetchall()

    def run(self, statement: str, values: Sequence[Value]) -> int:
        return self._execute(statement, values).rowcount

    def rows(self, query: str, values: Sequence[Value]) -> list[tuple[Any, ...]]:
        return self._execute(query, values).fetchall()

    def insert(self, table: str, row: Mapping[str, Value]) -> None:
        (values,) = _in_shape(Rows(table, tuple(row), [tuple(row.values())]), _types(self._database, table))
        places = sql.SQL(", ").join(sql.Placeholder() * len(row))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})")
        self._database.execute(statement.format(sql.Identifier(table), _names(row), places), values)

    def _execute(self, statement: str, values: Sequence[Value]) -> psycopg.Cursor[Any]:
        return self._database.execute(statement.replace("?", "%s").encode(), values)


def _unfinished(name: str) -> str:
    return f"{name}_unfinished"


def _types(database: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """The type of each column of a table."""
    return dict(database.execute(_COLUMNS, (table,)).fetchall())


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _load(database: psycopg.Connection[Any], part: Rows) -> int:
    count = 0
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(part.table), _names(part.columns))
    rows = _in_shape(part, _types(database, part.table))
    with database.cursor() as cursor, cursor.copy(statement) as copy:
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last one is the number
            copy.write_row(row)
    return count


def _in_shape(part: Rows, types: Mapping[str, str]) -> Iterable[Sequence[Any]]:
    """The rows with the values of some types in the shape that those take."""
    changes = [(at, _SHAPES[types[name]]) for at, name in enumerate(part.columns) if types[name] in _SHAPES]
    return (_changed(list(row), changes) for row in part.rows) if changes else part.rows


def _changed(row: list[Any], changes: Iterable[tuple[int, Callable[[Value], Any]]]) -> list[Any]:
    for at, change in changes:
        row[at] = change(row[at])
    return row


def _document(value: Value) -> Value:
    """A document stays as it is written; a number, other text or bytes become a scalar of one."""
    if value is None or (isinstance(value, str) and value[:1] in ("{", "[")):
        return value
    return json.dumps(value.hex() if isinstance(value, bytes) else value)


def _array(value: Value) -> Any:
    """The list that a document is."""
    return None if value is None else json.loads(str(value))


_SHAPES: Mapping[str, Callable[[Value], Any]] = {"jsonb": _document, "text[]": _array}


def _advance_sequences(database: psycopg.Connection[Any]) -> None:
    """COPY gave the keys; what counts them goes on after the last."""
    for table, column, sequence in database.execute(_SEQUENCES).fetchall():
        latest = sql.SQL("SELECT setval(%s, max({})) FROM {}").format(sql.Identifier(column), sql.Identifier(table))
        database.execute(latest, (sequence,))
