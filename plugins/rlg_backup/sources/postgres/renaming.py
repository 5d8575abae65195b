"""Schemas on their way into a database that exists: under names of ours until they are proven, then under theirs.

Like a temporary database, they are locked as long as their restore lives; the next restore to the same database removes
what a killed one left.
"""

from __future__ import annotations

import logging
import re
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import BackupError, DestinationUnsuitable
from .address import Address
from .building import building, complained, session
from .programs import find, run, version_of
from .schema_document import SequenceState
from .temporary import lock_of

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"(rlg_restore_[0-9a-f]{12})_\d+")
_FREE: Final = "name schemas that are not there, in the map of schemas"
_SCHEMAS: Final = """
SELECT n.nspname, EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid AND d.classid <> 'pg_extension'::regclass
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                      WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e'))
FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend e
    WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
ORDER BY 1
"""
_NAMED: Final = "SELECT nspname FROM pg_catalog.pg_namespace ORDER BY 1"
_EXTENSIONS: Final = """
SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname <> 'plpgsql' ORDER BY 1
"""
_TEXTS: Final = """
SELECT DISTINCT n.nspname || '.' || p.proname
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace,
     pg_catalog.unnest(%s::text[]) renamed
WHERE n.nspname !~ '^pg_|^information_schema$'
  AND (pg_catalog.strpos(p.prosrc, pg_catalog.quote_ident(renamed) || '.') > 0
       OR pg_catalog.strpos(p.proconfig::text, renamed) > 0)
ORDER BY 1
"""
_PUBLIC: Final = """
SELECT a.privilege_type FROM pg_catalog.pg_namespace n,
       pg_catalog.aclexplode(n.nspacl) a WHERE n.nspname = 'public' AND a.grantee = 0
"""


class Renaming:
    """Schemas for the database at ``address``; ``schemas`` maps names of the backup to those they shall have there."""

    def __init__(self, address: Address, schemas: Mapping[str, str]) -> None:
        self._address, self._asked = address, dict(schemas)
        self._token = f"rlg_restore_{secrets.token_hex(6)}"
        self.names: dict[str, str] = {}  # of the backup > of ours
        self._wanted: dict[str, str] = {}  # of the backup > at last
        self._open_to_all: list[str] = []
        self._begun = False
        self._keeper = session(address)
        try:
            with building("restore to", str(address)):
                self._keeper.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [lock_of(self._token)])
                self._remove_dead()
        except BaseException:
            self._keeper.close()
            raise

    # --- in the temporary database ------------------------------------------------------------------

    def rename(self, scratch: Address) -> list[str]:
        """Gives the schemas of the database ``scratch`` names of ours; returns what will not be as it was.

        Raises DestinationUnsuitable where a wanted name is taken, or an extension is not in the database.
        """
        from psycopg import sql

        with building("restore to", str(self._address)):
            connection = session(scratch)
            try:
                self._choose(dict(connection.execute(_SCHEMAS).fetchall()))
                changed = [name for name, wanted in self._wanted.items() if wanted != name]
                texts = [name for (name,) in connection.execute(_TEXTS, [changed])]
                self._open_to_all = [privilege for (privilege,) in connection.execute(_PUBLIC)]
                for name, ours in self.names.items():
                    pair = map(sql.Identifier, (name, ours))
                    connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*pair))
                self._move_extensions(connection)
            finally:
                connection.close()
        return [f"function '{name}': its text names a schema that is renamed, and is as it was" for name in texts]

    def _choose(self, found: Mapping[str, bool]) -> None:
        """``found``: the backup's schemas, and whether anything is in them. One that is empty and not asked for stays
        away."""
        subject = str(self._address)
        if unknown := sorted(set(self._asked) - set(found)):
            raise DestinationUnsuitable("restore to", subject, f"the backup has no schema '{unknown[0]}'")
        chosen = [name for name, filled in found.items() if filled or name in self._asked]
        self._wanted = {name: self._asked.get(name, name) for name in chosen}
        self.names = {name: f"{self._token}_{number}" for number, name in enumerate(chosen)}
        if len(set(self._wanted.values())) < len(chosen):
            raise DestinationUnsuitable("restore to", subject, "the map gives two schemas one name", _FREE)
        self._require_free()

    def _require_free(self) -> None:
        there = {name for (name,) in self._keeper.execute(_NAMED)}
        if taken := sorted(there & set(self._wanted.values())):
            cause = f"it has a schema '{taken[0]}' already"
            raise DestinationUnsuitable("restore to", str(self._address), cause, _FREE)

    def _move_extensions(self, connection: psycopg.Connection[Any]) -> None:
        """To the schemas that they are in where the copy goes: what is written of it then names those."""
        from psycopg import errors, sql

        there = dict(self._keeper.execute(_EXTENSIONS).fetchall())
        for name, schema in connection.execute(_EXTENSIONS).fetchall():
            if name not in there:
                hint = f"CREATE EXTENSION there first: {name}"
                cause = f"the database has no extension '{name}'"
                raise DestinationUnsuitable("restore to", str(self._address), cause, hint)
            if there[name] == schema:
                continue
            place = sql.Identifier(there[name])
            try:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(place))
                connection.execute(sql.SQL("ALTER EXTENSION {} SET SCHEMA {}").format(sql.Identifier(name), place))
            except errors.FeatureNotSupported:
                cause = f"the extension '{name}' is in another schema there, '{there[name]}', and cannot be moved"
                raise DestinationUnsuitable("restore to", str(self._address), cause) from None

    def dump(self, scratch: Address, server_version: int) -> tuple[bytes, int]:
        """The definitions of the schemas, which have names of ours, and the version of the pg_dump that wrote them."""
        program = find("pg_dump", server_version)
        sections = ("--section=pre-data", "--section=post-data")
        asked = ["--format=custom", *sections, "--no-password", "--quote-all-identifiers"]
        asked += [f"--schema={name}" for name in self.names.values()]
        with tempfile.TemporaryFile() as output:
            run(program, asked, scratch, refused=lambda one: complained(one, self._address), output=output)
            output.seek(0)
            return output.read(), version_of(program) or server_version

    # --- in the database that exists ----------------------------------------------------------------

    def begin(self) -> None:
        """From now on ``close`` removes the schemas of our names."""
        self._begun = True

    def sequences(self, states: Iterable[SequenceState]) -> list[SequenceState]:
        return [replace(one, schema=self.names[one.schema]) for one in states if one.schema in self.names]

    def in_the_backup(self, text: str) -> str:
        """A text in which the backup's names of schemas stand for ours."""
        for name, ours in self.names.items():
            text = text.replace(f"{ours}.", "" if name == "public" else f"{name}.")
        return text

    def take_names(self) -> None:
        """Gives the schemas their wanted names, in one transaction. Raises DestinationUnsuitable where one is taken."""
        from psycopg import sql

        with building("restore to", str(self._address)), self._keeper.transaction():
            self._keeper.execute("SET LOCAL synchronous_commit = on")  # with it, all that came before is durable
            self._require_free()
            for name, ours in self.names.items():
                if name == "public":  # what it grants to all at its making is in no dump
                    for privilege in self._open_to_all:
                        grant = sql.SQL("GRANT {} ON SCHEMA {} TO PUBLIC").format(
                            sql.SQL(privilege), sql.Identifier(ours)
                        )
                        self._keeper.execute(grant)
                pair = map(sql.Identifier, (ours, self._wanted[name]))
                self._keeper.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*pair))
        self._begun = False

    def close(self) -> None:
        """Removes what did not take its names. Raises DestinationUnsuitable when it cannot."""
        try:
            if self._begun:
                self._begun = False
                if self._keeper.broken or self._keeper.closed:
                    self._keeper = session(self._address)
                self._drop(list(self.names.values()))
        except BackupError as error:
            hint = "the next restore of schemas to this database removes them; until then they hold restored data"
            subject = f"schemas {self._token}_* of {self._address}"
            raise DestinationUnsuitable("remove", subject, error.cause, hint) from None
        finally:
            self._keeper.close()

    def _drop(self, names: Sequence[str]) -> None:
        from psycopg import sql

        places = sql.SQL(", ").join(map(sql.Identifier, names))
        with building("remove", str(self._address)):
            self._keeper.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(places))

    def _remove_dead(self) -> None:
        """Removes what killed restores left in this database: schemas of our names whose lock is free."""
        left: dict[str, list[str]] = {}
        for (name,) in self._keeper.execute(_NAMED):
            if match := _NAME.fullmatch(name):
                left.setdefault(match[1], []).append(name)
        for token, names in left.items():
            lock = [lock_of(token)]
            if not self._keeper.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", lock).fetchall()[0][0]:
                continue
            try:
                self._drop(names)
                log.info("removed the schemas '%s_*', which a killed restore left", token)
            except BackupError as error:
                log.warning("what a killed restore left stays there, in clear: %s", error)
            self._keeper.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", lock)
