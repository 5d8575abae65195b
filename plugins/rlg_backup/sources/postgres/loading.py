"""The sessions that fill a database which is being built: rows in several of them, then sequences and statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import MemberDamaged
from ..port import Table
from .address import Address
from .building import building, session
from .catalog import MOVABLE
from .copying import copy_rows
from .inserting import CHARS, KNOWS_OCTAL
from .large_objects import LARGE_OBJECTS, copy_pages
from .schema_document import MEMBER, SequenceState

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

_SEQUENCES: Final = """
SELECT pg_catalog.setval(pg_catalog.format('%%I.%%I', schema, name)::pg_catalog.regclass, last, called)
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::boolean[]) AS one (schema, name, last, called)
"""
_TABLES: Final = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_|^information_schema$'
"""


class Loading:
    """Sessions of the database at ``address``, whose tables are made; ``close`` ends them."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[psycopg.Connection[Any]] = []
        with self.session("load") as connection:
            self._through: Mapping[tuple[str, str], tuple[str, str]] = {  # partition > the table that finds it its rows
                (schema, name): (root_schema, root) for schema, name, root_schema, root in connection.execute(MOVABLE)
            }
            asked = CHARS if connection.info.server_version < KNOWS_OCTAL else None
            self._chars: Mapping[tuple[str, str], Sequence[str]] = (
                {(schema, name): names for schema, name, names in connection.execute(asked)} if asked else {}
            )

    @contextmanager
    def session(self, verb: str, subject: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """One for this thread, kept for the next; what it raises is of this package."""
        with building(verb, subject or str(self._address)):
            connection = self._idle.pop() if self._idle else self._opened()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    def _opened(self) -> psycopg.Connection[Any]:
        connection = session(self._address)
        connection.execute("SET synchronous_commit = off")  # the last transaction of a restore waits for all before it
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def load(self, table: Table, batches: Iterable[pa.RecordBatch], *, schema: str | None = None) -> int:
        """See the port; may be called by several threads. The rows go into the table of that name in ``schema``."""
        place = (schema or table.schema, table.name)
        place = self._through.get(place, place)
        with self.session("load", table.title) as connection:
            if place == LARGE_OBJECTS:
                return copy_pages(connection, table, batches)
            there = replace(table, schema=place[0], name=place[1])
            return copy_rows(connection, there, batches, chars=self._chars.get(place, ()))

    def set_sequences(self, states: Sequence[SequenceState]) -> None:
        """Raises MemberDamaged for one that the definitions do not make, or that cannot stand there."""
        from psycopg import errors

        columns = [[getattr(one, name) for one in states] for name in ("schema", "name", "last_value", "is_called")]
        with self.session("finish") as connection:
            try:
                connection.execute(_SEQUENCES, columns)
            except (errors.UndefinedTable, errors.InvalidSchemaName, errors.WrongObjectType, errors.DataError):
                cause = "it sets sequences that the definitions do not make"
                raise MemberDamaged("read", f"schema/{MEMBER}", cause) from None

    def analyze(self, schemas: Sequence[str] | None = None) -> list[str]:
        """Statistics for the planner, of all tables or those in ``schemas``; returns what it could not do.

        Each table by itself, for one may have a foreign part that cannot be looked at.
        """
        import psycopg
        from psycopg import sql

        failed = 0
        with self.session("analyze") as connection:
            found = connection.execute(_TABLES).fetchall()
            for schema, name in found if schemas is None else [one for one in found if one[0] in schemas]:
                try:
                    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, name)))
                except psycopg.Error:
                    if connection.broken:
                        raise
                    failed += 1
        return [f"{failed} tables could not be analyzed: the planner knows nothing of them yet"] if failed else []
