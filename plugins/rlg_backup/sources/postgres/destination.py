"""A PostgreSQL database built from a backup: beside its name, proven, and then renamed.

Definitions without indexes and constraints first, then rows by COPY with several sessions, then the rest: the order of
pg_dump's own sections, in which no trigger fires and no foreign key is looked at while rows are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

from ...core.errors import DestinationUnsuitable, MemberDamaged
from ..placing import close_after
from ..port import Table, TableSource
from . import schema_document
from .address import Address
from .building import building, session
from .copying import copy_rows
from .large_objects import LARGE_OBJECTS, copy_pages, make_large_objects, own_large_objects
from .pg_restore import Definitions
from .schema_document import SchemaDocument
from .temporary import TemporaryDatabase

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

_ABSENT: Final = """
SELECT one FROM pg_catalog.unnest(%s::text[]) one WHERE one NOT IN (SELECT {name} FROM pg_catalog.{catalog}) ORDER BY 1
"""
_VERSIONS: Final = "SELECT name, default_version FROM pg_catalog.pg_available_extensions"
_SEQUENCES: Final = """
SELECT pg_catalog.setval(pg_catalog.format('%%I.%%I', schema, name)::pg_catalog.regclass, last, called)
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::boolean[]) AS one (schema, name, last, called)
"""
# The hash of an enumeration's value is that of its object id, which is another in every database (as pg_dump has it).
_ROOTS: Final = """
SELECT n.nspname, c.relname, rn.nspname, r.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relispartition AND c.relkind = 'r' AND EXISTS (
    SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid AND p.partstrat = 'h'
    JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass) AND o.opcname = 'enum_ops')
"""
_ANALYZED: Final = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_|^information_schema$'
"""


class PostgresDestination:
    """A new database at ``address``, where none may exist, or an empty one. Use it as a context manager, or call
    ``close``. The user needs the right to make databases, and to act as the owners of what is restored.

    ``reopen`` makes the source that ``finish`` hands on to be proven. ``loaders`` are sessions that load rows, and
    that make indexes. ``altered`` says that rows were changed on their way (a masked backup, erasures): then foreign
    keys that rows break are a warning, not ParityFailed. Roles and tablespaces that the server lacks are refused, or
    with ``missing_roles="report"`` left out and told. ``warnings`` is filled by ``prepare`` and ``finish``.
    """

    def __init__(
        self,
        address: Address,
        *,
        reopen: Callable[[Address], TableSource],
        loaders: int = 2,
        altered: bool = False,
        missing_roles: Literal["fail", "report"] = "fail",
    ) -> None:
        self._address, self._reopen, self._altered = address, reopen, altered
        self._missing_ok = missing_roles == "report"
        self.loaders = loaders
        self.warnings: list[str] = []
        self._absent_roles: list[str] = []
        self._temporary: TemporaryDatabase | None = None
        self._definitions: Definitions | None = None
        self._through: Mapping[tuple[str, str], tuple[str, str]] = {}  # partition > the table that finds it its rows
        self._idle: list[psycopg.Connection[Any]] = []

    def __enter__(self) -> PostgresDestination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_after(self.close, error)

    def close(self) -> None:
        """Removes what is not finished; idempotent. Raises DestinationUnsuitable when it cannot."""
        temporary, self._temporary = self._temporary, None
        with ExitStack() as stack:
            if temporary is not None:
                stack.callback(temporary.close)
            if self._definitions is not None:
                stack.callback(self._definitions.close)
            self._disconnect()

    # --- prepare ----------------------------------------------------------------------------------

    def prepare(self, schema_files: Mapping[str, bytes]) -> None:
        """See the port. Raises DestinationUnsuitable, MemberDamaged, DestinationUnavailable, StorageFull, and
        InvalidSetting where there is no pg_restore that knows the definitions."""
        self._document = schema_document.load(schema_files)
        self._temporary = TemporaryDatabase(self._address)
        with building("restore to", str(self._address)):
            self._definitions = self._checked(self._temporary.connection, schema_files[schema_document.DEFINITIONS])
        self._temporary.make(self._document.locale)
        self.warnings += self._definitions.make("pre-data", self._temporary.address)
        with self._connected("make") as connection:
            make_large_objects(connection, self._document.large_objects)
            self._through = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(_ROOTS)}

    def _checked(self, connection: psycopg.Connection[Any], dump: bytes) -> Definitions:
        """The definitions, when the server has all they need. Raises DestinationUnsuitable naming what it lacks."""
        document, version = self._document, connection.info.server_version
        available = dict(connection.execute(_VERSIONS).fetchall())
        if lacking := [one.name for one in document.extensions if one.name not in available]:
            hint = "install their files on the server, then restore again"
            raise self._lacks("extensions", lacking, hint)
        self.warnings += [
            f"extension '{one.name}': version {available[one.name]} here, {one.version} in the source"
            for one in document.extensions
            if available[one.name] != one.version
        ]
        here, there = version // 10_000, document.server_version // 10_000
        if here < there:
            self.warnings.append(f"the server is of version {here}, older than the source's {there}")
        self._absent_roles = self._absent(connection, "roles", document.roles, "rolname", "pg_roles")
        tablespaces = self._absent(connection, "tablespaces", document.tablespaces, "spcname", "pg_tablespace")
        return Definitions(dump, document, version, absent=self._absent_roles, tablespaces=not tablespaces)

    def _absent(
        self, connection: psycopg.Connection[Any], kind: str, wanted: tuple[str, ...], name: str, catalog: str
    ) -> list[str]:
        from psycopg import sql

        query = sql.SQL(_ABSENT).format(name=sql.Identifier(name), catalog=sql.Identifier(catalog))
        found = [row[0] for row in connection.execute(query, [list(wanted)])]
        if found and not self._missing_ok:
            raise self._lacks(kind, found, "make them there, or let the restore go without (missing_roles: report)")
        if found:
            self.warnings.append(f"the server lacks the {kind} {_listed(found)}: left out")
        return found

    def _lacks(self, kind: str, names: list[str], hint: str) -> DestinationUnsuitable:
        return DestinationUnsuitable(
            "restore to", str(self._address), f"the server lacks the {kind} {_listed(names)}", hint
        )

    # --- load -------------------------------------------------------------------------------------

    def load(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """See the port. Raises MemberDamaged for batches that are not rows of the table, ParityFailed naming a check
        that a row breaks, DestinationUnavailable, StorageFull."""
        copy = copy_pages if (table.schema, table.name) == LARGE_OBJECTS else copy_rows
        schema, name = self._through.get((table.schema, table.name), (table.schema, table.name))
        with self._connected("load", table.title) as connection:
            return copy(connection, replace(table, schema=schema, name=name), batches)

    @contextmanager
    def _connected(self, verb: str, subject: str | None = None) -> Iterator[psycopg.Connection[Any]]:
        """A session of the temporary database, for one thread; it is kept for the next."""
        subject = subject or str(self._address)
        if self._temporary is None:
            raise DestinationUnsuitable(verb, subject, "the database is not being built")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = session(self._temporary.address)
            connection.execute("SET synchronous_commit = off")  # the last transaction, the rename, waits for all
        try:
            with building(verb, subject):
                yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _disconnect(self) -> None:
        while self._idle:
            self._idle.pop().close()

    # --- finish -----------------------------------------------------------------------------------

    def finish(self, prove: Callable[[TableSource], None] | None = None) -> None:
        """See the port. Raises ParityFailed naming a constraint that rows break, MemberDamaged, DestinationUnavailable,
        StorageFull, and DestinationUnsuitable if the name was taken meanwhile."""
        with self._connected("finish") as connection:
            self._set_sequences(connection, self._document)
            own_large_objects(connection, self._document.large_objects, self._absent_roles)
        assert self._temporary is not None and self._definitions is not None  # _connected says so
        address = self._temporary.address
        self.warnings += self._definitions.make("post-data", address, jobs=self.loaders, broken_keys=self._altered)
        self._analyze()
        self._disconnect()
        if prove is not None:
            prove(self._reopen(address))
        self.warnings += self._temporary.take_name(self._document.database.without(self._absent_roles))
        self.close()

    def _analyze(self) -> None:
        """Statistics for the planner. Each table by itself: one may have a foreign part that cannot be looked at."""
        import psycopg
        from psycopg import sql

        failed = 0
        with self._connected("analyze") as connection:
            for names in connection.execute(_ANALYZED).fetchall():
                try:
                    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*names)))
                except psycopg.Error:
                    if connection.broken:
                        raise
                    failed += 1
        if failed:
            self.warnings.append(f"{failed} tables could not be analyzed: the planner knows nothing of them yet")

    def _set_sequences(self, connection: psycopg.Connection[Any], document: SchemaDocument) -> None:
        from psycopg import errors

        states = document.sequences
        columns = [[getattr(one, name) for one in states] for name in ("schema", "name", "last_value", "is_called")]
        try:
            connection.execute(_SEQUENCES, columns)
        except (errors.UndefinedTable, errors.InvalidSchemaName, errors.WrongObjectType, errors.DataError):
            cause = "it sets sequences that the definitions do not make"
            raise MemberDamaged("read", f"schema/{schema_document.MEMBER}", cause) from None


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
