"""Where a restored database is built and how it takes its name: beside it, and never over anything.

The temporary database carries our mark and its restore holds a lock of its name, which ends with its session: what a
killed restore left there, in clear, is removed by the next one.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import BackupError, DestinationUnsuitable
from .address import Address
from .building import building, session
from .database_facts import apply_facts, apply_settings, read_facts
from .schema_document import Database, Locale

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

_MARK: Final = "rlg-backup: an unfinished restore"
_NAME: Final = re.compile(r"rlg_restore_[0-9a-f]{12}")
_LOCKS: Final = 0x524C << 48  # the upper part of our advisory locks' numbers; the name's digits are the lower
_HOME: Final = "postgres"  # where every restore is from, for their locks are of one database; every server has it
_LONGEST: Final = 63  # bytes of a name, unless the server was built otherwise
_FIRST_OWN: Final = 16384  # OIDs below it are the system's (FirstNormalObjectId)
_EXISTS: Final = "it exists and is not empty"

_DEAD: Final = """
SELECT d.datname FROM pg_catalog.pg_database d
WHERE d.datname LIKE 'rlg\\_restore\\_%%' AND pg_catalog.shobj_description(d.oid, 'pg_database') LIKE %s
  AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
"""
_STATE: Final = """
SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
               WHERE a.datid = d.oid AND a.backend_type = 'client backend')
FROM pg_catalog.pg_database d WHERE d.datname = %s
"""
_FILLED: Final = " UNION ALL ".join(
    f"SELECT FROM pg_catalog.{catalog} WHERE oid >= {_FIRST_OWN}{besides}"  # constants
    for catalog, besides in (
        ("pg_class", " AND relnamespace <> 'pg_toast'::regnamespace"),
        ("pg_namespace", " AND nspname <> 'public' AND nspname !~ '^pg_(toast_)?temp_'"),
        ("pg_extension", " AND extname <> 'plpgsql'"),
        *((name, "") for name in ("pg_proc", "pg_type", "pg_operator", "pg_collation", "pg_language", "pg_cast")),
        *((name, "") for name in ("pg_foreign_data_wrapper", "pg_event_trigger", "pg_publication", "pg_default_acl")),
        *((name, "") for name in ("pg_conversion", "pg_ts_config", "pg_ts_dict", "pg_opfamily", "pg_am")),
        ("pg_subscription", " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"),
        ("pg_largeobject_metadata", ""),
    )
)


class TemporaryDatabase:
    """A database beside the one of ``address``. ``close`` removes it, unless it took that one's name.

    Raises DestinationUnsuitable where it cannot be made there, DestinationUnavailable, StorageFull.
    """

    def __init__(self, address: Address) -> None:
        self._wanted = address
        self._home = address.of(_HOME)
        self._keeper = session(self._home, wanted=address)
        self._name = f"rlg_restore_{secrets.token_hex(6)}"
        self.address = address.of(self._name)
        self._made = False
        try:
            self._remove_dead()
        except BaseException:
            self._keeper.close()
            raise

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """A session beside the temporary database, for what concerns the server."""
        return self._keeper

    def make(self, locale: Locale) -> None:
        """Makes it, empty, for nobody but us."""
        from psycopg import sql

        name = sql.Identifier(self._name)
        with building("restore to", str(self._wanted)):
            self._keeper.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [lock_of(self._name)])
            self._create(name, locale)
            self._made = True
            mark = f"{_MARK} of {self._wanted.database}, begun {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            self._keeper.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(mark)))
            self._keeper.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))

    def _create(self, name: Any, locale: Locale) -> None:
        import psycopg
        from psycopg import sql

        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}{}").format(
            name, *map(sql.Literal, (locale.encoding, locale.collate, locale.ctype)), self._provider(locale)
        )
        try:
            self._keeper.execute(statement)
        except (
            psycopg.DataError,
            psycopg.NotSupportedError,
            psycopg.errors.WrongObjectType,
            psycopg.errors.SyntaxError,
        ):
            wanted = locale.locale or locale.collate
            cause = f"the server cannot make a database of encoding {locale.encoding} and locale '{wanted}'"
            hint = "install that locale on the server's machine (locale-gen), or restore to a server that has it"
            raise DestinationUnsuitable("restore to", str(self._wanted), cause, hint) from None

    def _provider(self, locale: Locale) -> Any:
        """What says who compares text; a server before 15 knows libc only, and no word for it."""
        from psycopg import sql

        if self._keeper.info.server_version < 150_000 and locale.provider == "c":
            return sql.SQL("")
        provider, word = {"c": ("libc", ""), "i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}[
            locale.provider
        ]
        parts: list[Any] = [sql.SQL(f" LOCALE_PROVIDER {provider}")]
        if word and locale.locale is not None:
            parts.append(sql.SQL(f" {word} {{}}").format(sql.Literal(locale.locale)))
        if locale.rules is not None:
            parts.append(sql.SQL(" ICU_RULES {}").format(sql.Literal(locale.rules)))
        return sql.SQL("").join(parts)

    # --- the name -----------------------------------------------------------------------------------

    def take_name(self, facts: Database) -> list[str]:
        """Gives it the wanted name, in one transaction, in which an empty database that has it steps aside; nobody may
        be connected to either. ``facts`` are the source's; those of an empty database that was there stand instead.

        Returns what of them could not be set. Raises DestinationUnsuitable.
        """
        import psycopg

        empty = self.require_room()
        aside = f"rlg_replaced_{self._name[-12:]}"
        told: list[str] = []
        try:
            with building("restore to", str(self._wanted)):
                facts = read_facts(self._keeper, self._wanted.database) if empty else facts
                told += apply_settings(self._keeper, self._name, facts.settings)
                with self._keeper.transaction():
                    self._keeper.execute(
                        "SET LOCAL synchronous_commit = on"
                    )  # with it, all that came before is durable
                    if empty:
                        self._rename(self._wanted.database, aside)
                    self._rename(self._name, self._wanted.database)
                    told += apply_facts(self._keeper, self._wanted.database, facts)
        except DestinationUnsuitable as error:
            if isinstance(error.__context__, psycopg.errors.ObjectInUse):
                raise DestinationUnsuitable("restore to", str(self._wanted), "somebody is connected to it") from None
            raise
        self._made = False
        return told + (self._drop_replaced(aside) if empty else [])

    def _rename(self, name: str, to: str) -> None:
        from psycopg import sql

        self._keeper.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*map(sql.Identifier, (name, to))))

    def _drop_replaced(self, aside: str) -> list[str]:
        """The empty database that stepped aside goes, unless somebody filled it at the last moment."""
        try:
            if _is_empty(self._wanted.of(aside)):
                self._drop(aside)
                return []
        except BackupError as error:
            log.warning("%s", error)
        return [f"the empty database that was there is now '{aside}': it could not be removed"]

    def require_room(self) -> bool:
        """Whether there is an empty database of the wanted name. Raises DestinationUnsuitable for one that a restore
        cannot replace."""
        name, subject = self._wanted.database, str(self._wanted)
        if name == _HOME:
            raise DestinationUnsuitable("restore to", subject, "restores work from there", "name another database")
        if len(os.fsencode(name)) > _LONGEST:
            raise DestinationUnsuitable("restore to", subject, f"its name is longer than {_LONGEST} bytes")
        with building("restore to", subject):
            found = self._keeper.execute(_STATE, [name]).fetchone()
        if found is None:
            return False
        hint = "name a database that does not exist, or an empty one of your own that nobody is connected to"
        if not found[0]:
            raise DestinationUnsuitable("restore to", subject, "it exists and belongs to somebody else", hint)
        if not _is_empty(self._wanted):
            raise DestinationUnsuitable("restore to", subject, _EXISTS, hint)
        if found[1]:
            raise DestinationUnsuitable("restore to", subject, "somebody is connected to it", hint)
        return True

    # --- the end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Removes what did not take its name; idempotent. Raises DestinationUnsuitable when it cannot."""
        try:
            if self._made:
                self._made = False
                self._remove()
        finally:
            self._keeper.close()

    def _remove(self) -> None:
        """By a session that is fresh where the keeper's is broken."""
        try:
            if self._keeper.broken or self._keeper.closed:
                self._keeper = session(self._home)
            self._drop(self._name, force=True)
        except BackupError as error:
            hint = "the next restore to this server removes it; until then it holds restored data"
            raise DestinationUnsuitable("remove", str(self.address), error.cause, hint) from None

    def _drop(self, name: str, *, force: bool = False) -> None:
        from psycopg import sql

        statement = "DROP DATABASE IF EXISTS {} WITH (FORCE)" if force else "DROP DATABASE IF EXISTS {}"
        with building("remove", str(self._wanted.of(name))):
            self._keeper.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def _remove_dead(self) -> None:
        """Removes what killed restores left on this server: marked as ours, and its lock free."""
        with building("restore to", str(self._wanted)):
            found = [row[0] for row in self._keeper.execute(_DEAD, [f"{_MARK}%"]) if _NAME.fullmatch(row[0])]
            for name in found:
                lock = [lock_of(name)]
                if not self._keeper.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", lock).fetchall()[0][0]:
                    continue
                try:
                    self._drop(name)
                    log.info("removed the database '%s', which a killed restore left", name)
                except BackupError as error:
                    log.warning("what a killed restore left stays there, in clear: %s", error)
                self._keeper.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", lock)


def drop_database(address: Address) -> None:
    """Removes a database, and ends who is connected to it; gone already is fine. Raises DestinationUnsuitable and
    DestinationUnavailable."""
    from psycopg import sql

    connection = session(address.of(_HOME), wanted=address)
    try:
        with building("remove", str(address)):
            name = sql.Identifier(address.database)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    finally:
        connection.close()


def _is_empty(address: Address) -> bool:
    connection = session(address)
    try:
        with building("restore to", str(address)):
            return not connection.execute(f"SELECT EXISTS ({_FILLED})").fetchall()[0][0]
    finally:
        with suppress(Exception):
            connection.close()


def lock_of(name: str) -> int:
    return _LOCKS | int(name.rpartition("_")[2], 16)
