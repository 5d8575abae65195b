"""Schemas of a database as if they had other names, so that a copy under those can be proven against its source."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.model import Excluded, SnapshotIdentity
from ..port import ForeignKey, Piece, Table, TableSnapshot, TableSource, table_title

if TYPE_CHECKING:
    import pyarrow as pa


class MappedSource:
    """Of ``source`` the schemas that are values of ``schemas``, under the names that are its keys.

    A definition is in words that name schemas. ``known`` are the tables as they were defined under the keys,
    ``renamed`` the same under the values: a table that is as one of those is told as it was, any other as it is.
    """

    def __init__(
        self, source: TableSource, schemas: Mapping[str, str], known: Sequence[Table], renamed: Sequence[Table]
    ) -> None:
        self._source, self._schemas = source, schemas
        as_defined = {(table.schema, table.name): table for table in known}
        names = {there: name for name, there in schemas.items()}
        self._known = {
            (table.schema, table.name, table.fingerprint): as_defined[names[table.schema], table.name]
            for table in renamed
            if table.schema in names
        }

    @contextmanager
    def snapshot(self) -> Iterator[TableSnapshot]:
        """See the port."""
        with self._source.snapshot() as inner:
            yield _MappedSnapshot(inner, self._schemas, self._known)


class _MappedSnapshot:
    def __init__(
        self, inner: TableSnapshot, schemas: Mapping[str, str], known: Mapping[tuple[str, str, str], Table]
    ) -> None:
        self._inner = inner
        names = {there: name for name, there in schemas.items()}
        self._titles = {
            table_title(*place, {}): table_title(names[place[0]], place[1], {})
            for table in inner.tables
            for place in ((table.schema, table.name), *table.within)
            if place[0] in names
        }
        self._there = {(names[table.schema], table.name): table for table in inner.tables if table.schema in names}
        self.tables: Sequence[Table] = tuple(
            known.get((table.schema, table.name, table.fingerprint), replace(table, schema=schema))
            for (schema, _), table in self._there.items()
        )
        self.excluded: Sequence[Excluded] = ()
        self.warnings: Sequence[str] = ()

    @property
    def identity(self) -> SnapshotIdentity:
        return self._inner.identity

    @property
    def readers(self) -> int:
        return self._inner.readers

    def foreign_keys(self) -> Sequence[ForeignKey]:
        return [
            replace(one, title=self._titles.get(one.title, one.title), refers=self._titles.get(one.refers, one.refers))
            for one in self._inner.foreign_keys()
            if one.title in self._titles  # the others are of the database that these schemas go into
        ]

    def schema_files(self) -> Mapping[str, bytes]:
        return self._inner.schema_files()

    def pieces(self, table: Table) -> Sequence[Piece]:
        return self._inner.pieces(self._there[table.schema, table.name])

    def read(
        self, table: Table, *, piece: Piece | None = None, geography: bool = True, batch_rows: int = 65_536
    ) -> Generator[pa.RecordBatch, None, None]:
        there = self._there[table.schema, table.name]
        return self._inner.read(there, piece=piece, geography=geography, batch_rows=batch_rows)

    def sample(self, table: Table, rows: int) -> Generator[pa.RecordBatch, None, None]:
        return self._inner.sample(self._there[table.schema, table.name], rows)
