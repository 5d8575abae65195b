"""A PostgreSQL database built from a backup: beside its name, proven, and then renamed.

Definitions without indexes and constraints first, then rows by COPY with several sessions, then the rest: the order of
pg_dump's own sections, in which no trigger fires and no foreign key is looked at while rows are loaded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final

from ..port import Table, TableSource
from . import needs, schema_document
from .building import building, session
from .large_objects import make_large_objects, own_large_objects
from .pg_restore import Definitions
from .temporary import TemporaryDatabase
from .unfinished import Unfinished

if TYPE_CHECKING:
    import pyarrow as pa

_WITH_PASSWORDS: Final = re.compile(rb"\d+; \d+ \d+ (COMMENT - |SECURITY LABEL - )?(USER MAPPING|SUBSCRIPTION) ")
_CLOSED: Final = 150_000  # since then PUBLIC makes nothing in the schema public, and pg_dump tells only what differs


class PostgresDestination(Unfinished):
    """A new database at ``address``, where none may exist, or an empty one. The user needs the right to make databases,
    and to act as the owners of what is restored. For the rest see Unfinished.
    """

    def require_free(self) -> None:
        """See the port. Raises DestinationUnsuitable, DestinationUnavailable."""
        with closing(TemporaryDatabase(self._address)) as temporary:
            temporary.require_room()

    def prepare(self, schema_files: Mapping[str, bytes]) -> None:
        """See the port. Raises DestinationUnsuitable, MemberDamaged, DestinationUnavailable, StorageFull, and
        InvalidSetting where there is no pg_restore that knows the definitions."""
        self._document = schema_document.load(schema_files)
        self._temporary = TemporaryDatabase(self._address)
        self._ending.callback(self._temporary.close)
        self._temporary.require_room()
        server = self._temporary.connection
        with building("restore to", str(self._address)):
            self._needs = needs.look_at(server, self._document, str(self._address), missing_ok=self._missing_ok)
        self.warnings += self._needs.warnings
        self._definitions = Definitions(
            schema_files[schema_document.DEFINITIONS],
            self._document.dumped_by,
            server.info.server_version,
            absent=self._needs.absent_roles,
            tablespaces=self._needs.tablespaces,
        )
        self._ending.callback(self._definitions.close)
        self._temporary.make(self._document.locale)
        if server.info.server_version < _CLOSED <= self._document.dumped_by:
            with building("make", str(self._address)), session(self._temporary.address) as connection:
                connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        self.warnings += self._make("pre-data")
        with self._load_into(self._temporary.address).session("make") as connection:
            make_large_objects(connection, self._document.large_objects)

    def _make(self, section: str, *, jobs: int = 1) -> list[str]:
        """Makes a section of the definitions, and returns what could not be made as it was. Where rows were masked, so
        that others may have them, what holds passwords is left out."""
        make, address = self._definitions.make, self._temporary.address
        if not self._altered:
            return make(section, address, jobs=jobs)
        told = make(section, address, jobs=jobs, broken_keys=True, besides=_WITH_PASSWORDS)
        found = map(_WITH_PASSWORDS.match, self._definitions.contents(section, address))
        kinds = Counter(match[2].decode().lower() for match in found if match and not match[1])
        return [*told, *(f"left out, for it may hold a password: {kind} ({n})" for kind, n in sorted(kinds.items()))]

    def load(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """See the port. Raises MemberDamaged for batches that are not rows of the table, ParityFailed naming a check
        that a row breaks, DestinationUnavailable, StorageFull."""
        return self._open("load", table.title).load(table, batches)

    def finish(self, prove: Callable[[TableSource], None] | None = None, erased: Collection[str] = ()) -> None:
        """See the port: PostgreSQL computes all anew. Raises ParityFailed naming a constraint that rows break,
        MemberDamaged, DestinationUnavailable, StorageFull, and DestinationUnsuitable if the name was taken
        meanwhile."""
        loading = self._open("finish", str(self._address))
        absent, address = self._needs.absent_roles, self._temporary.address
        loading.set_sequences(self._document.sequences)
        with loading.session("finish") as connection:
            own_large_objects(connection, self._document.large_objects, absent)
        self.warnings += self._make("post-data", jobs=self.loaders)
        self.warnings += loading.analyze()
        loading.close()  # nobody may be connected to what is renamed
        if prove is not None:
            prove(self._reopen(address))
        self.warnings += self._temporary.take_name(self._document.database.without(absent))
        self.close()
