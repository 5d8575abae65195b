"""A PostgreSQL database as a source: one snapshot that nobody can empty, read by several sessions.

A snapshot alone does not protect: another session's TRUNCATE or rewriting ALTER after it leaves no rows to see. So
every table is locked first, in the one mode that hinders no reader and no writer (ACCESS SHARE), as the
transaction's first statement; only then is the snapshot taken, and what is there compared with what was locked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import SourceChanged, SourceUnavailable, SourceUnreadable
from ..geography import Geography
from . import catalog
from .address import Address, lasting
from .catalog import Relation, qualified
from .definitions import Definitions
from .faults import MAY_READ, state_of, unreadable
from .reader import Readers
from .snapshot import PostgresSnapshot
from .unlocked import require_unchanged

if TYPE_CHECKING:
    import psycopg

_ATTEMPTS: Final = 5
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOCKED: Final = "55P03"
_OVERTAKEN: Final = ("42P01", "3F000", "42809")  # a table, its schema, or its kind, gone since it was listed
_MANY: Final = 1000  # tables locked by one statement
_HOLDERS: Final = """
SELECT l.relation FROM pg_catalog.pg_locks l
WHERE l.relation = ANY (%s) AND l.mode = 'AccessExclusiveLock' ORDER BY l.granted DESC LIMIT 1
"""
_FORBIDDEN: Final = """
SELECT c.oid FROM unnest(%s::oid[]) AS c (oid) WHERE NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') LIMIT 1
"""


class _OvertakenError(Exception):
    """Another session changed what there is, or wants to, before all was held. To begin anew lets it pass."""


class PostgresSource:
    """The database at ``address``, which is only read.

    ``exclude`` are globs of table titles whose rows are left out; their definitions are kept, so that they are there,
    and empty, after a restore. ``readers`` sessions read at the same time. ``lock_wait_seconds`` is how long a table
    that another session holds is waited for; a snapshot held longer than ``snapshot_warning_minutes`` is a warning.
    """

    def __init__(
        self,
        address: Address,
        *,
        geography: Geography | None = None,
        exclude: Sequence[str] = (),
        readers: int = 2,
        lock_wait_seconds: int = 30,
        snapshot_warning_minutes: int = 60,
    ) -> None:
        self._address, self._geography, self._exclude = address, geography, tuple(exclude)
        self._readers, self._lock_wait = readers, lock_wait_seconds
        self._patience = f"SET LOCAL lock_timeout = {lock_wait_seconds * 1000}"
        self._warning_minutes = snapshot_warning_minutes
        self._schemas: Collection[str] | None = None  # all of them
        self._defines = True

    @classmethod
    def of_copy(cls, address: Address, *, schemas: Collection[str] | None = None, readers: int = 2) -> PostgresSource:
        """A database that was restored, to be proven: its definitions are not dumped, and ``schema_files`` has none.
        With ``schemas``, nothing besides those is looked at, locked or read."""
        source = cls(address, readers=readers)
        source._schemas, source._defines = schemas, False
        return source

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """One consistent snapshot, kept until the end of the block. Writers go on; who wants to alter or empty a
        table waits.

        Raises SourceUnavailable (unreachable, or a table locked by others for longer than is waited), SourceUnreadable
        (refused), SourceChanged (tables come and go faster than they can be locked; at the end of the block, a name
        changed that no lock holds), InvalidSetting (geography; no pg_dump that is new enough).
        """
        import psycopg

        with ExitStack() as stack:
            try:
                connection = stack.enter_context(self._address.connected())
                found, readers, definitions = self._hold(connection, stack)
                opened = PostgresSnapshot(
                    self._address,
                    connection,
                    found,
                    readers,
                    definitions,
                    geography=self._geography,
                    exclude=self._exclude,
                    warning_minutes=self._warning_minutes,
                )
                try:
                    yield opened
                except SourceUnreadable:  # perhaps of a name that was
                    require_unchanged(connection, self._address)
                    raise
                if self._defines:
                    require_unchanged(connection, self._address)
            except psycopg.Error as error:
                raise unreadable("read", str(self._address), error) from None

    def _hold(
        self, connection: psycopg.Connection[Any], stack: ExitStack
    ) -> tuple[Sequence[Relation], Readers, Definitions | None]:
        """What there is, held by locks, and readers and definitions that see the same."""
        for _ in range(_ATTEMPTS):
            with ExitStack() as attempt:
                attempt.callback(_roll_back, connection)
                with suppress(_OvertakenError):
                    held = self._attempt(connection, attempt)
                    stack.push(attempt.pop_all())
                    return held
        cause = "other sessions make, alter or drop its tables faster than they can be locked"
        raise SourceChanged("read", str(self._address), cause, "run it again when they are done")

    def _attempt(
        self, connection: psycopg.Connection[Any], stack: ExitStack
    ) -> tuple[Sequence[Relation], Readers, Definitions | None]:
        import adbc_driver_manager

        found = catalog.relations(connection, self._schemas)
        connection.execute(_BEGIN)
        self._lock(connection, found)
        exported = str(connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()[0][0])
        if catalog.relations(connection, self._schemas) != found:
            raise _OvertakenError
        begin = [*lasting(connection.info.server_version), _BEGIN, f"SET TRANSACTION SNAPSHOT '{exported}'"]
        begin += [f"{lock} NOWAIT" for lock in _locks(found)]
        begin.append(self._patience)  # for the system's own tables: who waits for one of ours would be waited for
        try:
            readers = Readers(self._address, self._readers, begin)
        except adbc_driver_manager.Error as error:
            if (
                state_of(error) == _LOCKED
            ):  # a session waits in between to alter a table: it would wait for us, we for it
                raise _OvertakenError from None
            raise unreadable("read", str(self._address), error) from None
        stack.callback(readers.close)
        if not self._defines:
            return found, readers, None
        definitions = Definitions.dump(self._address, connection.info.server_version, exported)
        if definitions is None:
            raise _OvertakenError
        return found, readers, definitions

    def _lock(self, connection: psycopg.Connection[Any], found: Sequence[Relation]) -> None:
        """Raises _OvertakenError, SourceUnavailable and SourceUnreadable, which name a table."""
        import psycopg

        try:
            connection.execute(self._patience.encode())
            for statement in _locks(found):
                connection.execute(statement.encode())
        except psycopg.Error as error:
            if state_of(error).startswith(_OVERTAKEN):
                raise _OvertakenError from None
            if state_of(error) == _LOCKED:
                cause = f"another session holds it locked, for longer than {self._lock_wait} s"
                hint = "look for it in pg_locks, or raise lock_wait_seconds"
                raise SourceUnavailable("read", self._first(connection, _HOLDERS, found), cause, hint) from None
            if state_of(error) == "42501":
                named = self._first(connection, _FORBIDDEN, found)
                raise SourceUnreadable("read", named, "permission denied", MAY_READ) from None
            if state_of(error) == "53200":
                hint = "raise max_locks_per_transaction on the server: a backup locks every table at once"
                cause = f"the server has no room to lock {len(found)} tables"
                raise SourceUnreadable("read", str(self._address), cause, hint) from None
            raise

    def _first(self, connection: psycopg.Connection[Any], query: str, found: Sequence[Relation]) -> str:
        """The title of the table that a query names by its OID; the database where it names none."""
        titles = {relation.oid: relation.title for relation in found}
        connection.execute("ROLLBACK")
        named = connection.execute(query.encode(), [list(titles)]).fetchall()
        return titles[named[0][0]] if named else str(self._address)


def _locks(found: Sequence[Relation]) -> Iterator[str]:
    """Statements that lock every table, its partitions by themselves."""
    places = [f"ONLY {qualified(relation.schema, relation.name)}" for relation in found if relation.kind in "rp"]
    for start in range(0, len(places), _MANY):
        yield f"LOCK TABLE {', '.join(places[start : start + _MANY])} IN ACCESS SHARE MODE"


def _roll_back(connection: psycopg.Connection[Any]) -> None:
    import psycopg

    with suppress(psycopg.Error):  # a lost connection has rolled back by itself
        connection.execute("ROLLBACK")
