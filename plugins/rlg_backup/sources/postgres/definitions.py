"""The definitions of a PostgreSQL database: by pg_dump of the snapshot, and by ourselves what it leaves to the data.

They are kept in files without a name while they are made: a killed worker leaves nothing to read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from ...core.errors import BackupError, MemberDamaged, SourceChanged, SourceUnavailable, SourceUnreadable
from ..port import table_title
from . import programs, schema_document
from .catalog import qualified
from .database_facts import read_facts
from .programs import Complaint
from .schema_document import (
    Extension,
    Grant,
    LargeObject,
    Locale,
    SchemaDocument,
    SequenceState,
)

if TYPE_CHECKING:
    import psycopg

    from .address import Address

_SECTIONS: Final = ("pre-data", "post-data")
_LOCK_SECONDS: Final = 5  # we hold every lock it wants: it waits only where another session waits for one of ours
_LOCKED: Final = "55P03"
_SEQUENCES_AT_ONCE: Final = 500

_LOCALES: Final = {  # by the major version that changed pg_database
    14: "'c', NULL, NULL",
    15: "datlocprovider::text, daticulocale, NULL",
    16: "datlocprovider::text, daticulocale, daticurules",
    17: "datlocprovider::text, datlocale, daticurules",
}
_DATABASE: Final = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, {locale}
FROM pg_database WHERE datname = current_database()
"""
_EXTENSIONS: Final = """
SELECT e.extname, n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""
_ROLES: Final = """
WITH own AS (SELECT oid FROM pg_database WHERE datname = current_database()), named (role) AS (
    SELECT d.refobjid FROM pg_shdepend d, own
    WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('o', 'a', 'r')
      AND (d.dbid = own.oid OR d.dbid = 0 AND d.classid = 'pg_database'::regclass AND d.objid = own.oid)
    UNION SELECT datdba FROM pg_database JOIN own USING (oid)
    UNION SELECT nspowner FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    UNION SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
          WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION SELECT lomowner FROM pg_largeobject_metadata
)
SELECT rolname FROM pg_roles WHERE oid IN (SELECT role FROM named) AND rolname !~ '^pg_' ORDER BY 1
"""
_TABLESPACES: Final = """
SELECT DISTINCT t.spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
"""
_SEQUENCES: Final = """
SELECT n.nspname, c.relname, s.seqmin, s.seqmax
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
     AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (e.oid IS NULL OR c.oid = ANY (e.extconfig)) AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
ORDER BY 1, 2
"""
_LARGE_OBJECTS: Final = """
SELECT m.oid, pg_get_userbyid(m.lomowner), obj_description(m.oid, 'pg_largeobject'),
       CASE WHEN m.lomacl IS NOT NULL THEN ARRAY(
           SELECT ARRAY[CASE g.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(g.grantee)::text END, g.privilege_type,
                        g.is_grantable::text] FROM aclexplode(m.lomacl) g ORDER BY 1) END
FROM pg_largeobject_metadata m ORDER BY m.oid
"""


@dataclass(frozen=True)
class Definitions:
    """What pg_dump wrote of one snapshot: its custom format, and the same as SQL for a person."""

    dumped: Mapping[str, bytes]
    dumped_by: int  # as server_version_num

    @classmethod
    def dump(cls, address: Address, server_version: int, snapshot: str) -> Definitions | None:
        """None where another session waits for a lock that would have to wait for us: to begin anew lets it pass.

        Raises InvalidSetting (no pg_dump that is new enough), SourceUnreadable, SourceUnavailable.
        """
        program = programs.find("pg_dump", server_version)
        sections = [f"--section={section}" for section in _SECTIONS]
        asked = ["--format=custom", *sections, "--no-password", "--quote-all-identifiers", f"--snapshot={snapshot}"]
        asked.append(f"--lock-wait-timeout={_LOCK_SECONDS * 1000}")
        with tempfile.TemporaryFile() as dump:
            try:
                programs.run(program, asked, address, refused=_refused(str(address)), output=dump)
            except _LockedError:
                return None
            version = programs.version_of(program) or server_version
            files = {schema_document.DEFINITIONS: _content(dump)}
            for section in _SECTIONS:
                files[f"{section}.sql"] = _as_sql(section, dump, version, address)
        return cls(files, version)

    def files(self, connection: psycopg.Connection[Any]) -> Mapping[str, bytes]:
        """The members below ``schema/``. ``connection`` is in the snapshot; sequences stand outside of any, and are
        read as they are now. Raises SourceChanged when one was dropped or altered meanwhile, and psycopg.Error."""
        version = connection.info.server_version
        document = SchemaDocument(
            server_version=version,
            dumped_by=self.dumped_by,
            **_database(connection, version),
            extensions=tuple(Extension(*row) for row in _rows(connection, _EXTENSIONS)),
            roles=tuple(name for (name,) in _rows(connection, _ROLES)),
            tablespaces=tuple(name for (name,) in _rows(connection, _TABLESPACES)),
            sequences=tuple(_sequences(connection)),
            large_objects=tuple(_large_object(*row) for row in _rows(connection, _LARGE_OBJECTS)),
        )
        return {schema_document.MEMBER: schema_document.dump(document), **self.dumped}


class _LockedError(SourceUnavailable):
    """pg_dump waited for a lock in vain."""


def _refused(subject: str) -> Callable[[Complaint], BackupError]:
    def made(complaint: Complaint) -> BackupError:
        if complaint.state == _LOCKED:
            return _LockedError("read the definitions of", subject, complaint.cause)
        kind: type[BackupError] = SourceUnavailable if complaint.transient else SourceUnreadable
        named = next(iter(complaint.names.values()), subject)
        hint = programs.LOOK if complaint.cause == programs.UNSHOWN else None
        return kind("read the definitions of", named, complaint.cause, hint)

    return made


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _as_sql(section: str, dump: IO[bytes], version: int, address: Address) -> bytes:
    def refused(complaint: Complaint) -> BackupError:
        return MemberDamaged("write", f"schema/{section}.sql", complaint.cause)

    program = programs.find("pg_restore", version, whose="the pg_dump")
    dump.seek(0)
    with tempfile.TemporaryFile() as script:
        asked = [f"--section={section}", "--file=-"]
        programs.run(program, asked, address, refused=refused, output=script, stdin=dump)
        return _content(script)


def _rows(connection: psycopg.Connection[Any], query: str) -> list[Any]:
    return connection.execute(query.encode()).fetchall()


def _database(connection: psycopg.Connection[Any], version: int) -> dict[str, Any]:
    known = _LOCALES[min(version // 10_000, max(_LOCALES))]
    encoding, collate, ctype, provider, locale, rules = _rows(connection, _DATABASE.format(locale=known))[0]
    return {
        "locale": Locale(encoding, provider, collate, ctype, locale, rules),
        "database": read_facts(connection, connection.info.dbname),
    }


def _sequences(connection: psycopg.Connection[Any]) -> Iterator[SequenceState]:
    import psycopg

    names = _rows(connection, _SEQUENCES)
    for start in range(0, len(names), _SEQUENCES_AT_ONCE):
        some = names[start : start + _SEQUENCES_AT_ONCE]
        parts = [
            f"SELECT {place}, last_value, is_called FROM {qualified(schema, name)}"  # noqa: S608  # quoted names
            for place, (schema, name, _, _) in enumerate(some)
        ]
        try:
            found = _rows(connection, " UNION ALL ".join(parts) + " ORDER BY 1")
        except psycopg.errors.UndefinedTable:
            raise SourceChanged("read", "sequences", "one was dropped while the backup ran", "run it again") from None
        for place, last_value, is_called in found:
            schema, name, least, most = some[place]
            if not least <= last_value <= most:  # of its definition in the snapshot: no restore could set it
                cause = "its limits were altered while the backup ran"
                raise SourceChanged("read", table_title(schema, name, {}), cause, "run it again")
            yield SequenceState(schema, name, last_value, is_called)


def _large_object(oid: int, owner: str, comment: str | None, grants: Sequence[Sequence[str]] | None) -> LargeObject:
    found = None if grants is None else tuple(Grant(who, what, may == "true") for who, what, may in grants)
    return LargeObject(oid, owner, comment, found)
