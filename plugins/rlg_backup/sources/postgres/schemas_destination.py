"""Schemas restored into a database that exists, under other names.

A dump names schemas everywhere in its text. So the definitions are made in a temporary database under their own names,
the server itself renames the schemas there, and what pg_dump then writes goes to the database that exists.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import BackupError, DestinationUnsuitable, MemberDamaged
from ..port import Table, TableSource
from . import needs, schema_document
from .address import Address
from .building import building, session
from .mapped_source import MappedSource
from .needs import Needs
from .pg_restore import Definitions
from .renaming import Renaming
from .schema_document import SchemaDocument
from .temporary import TemporaryDatabase
from .unfinished import Unfinished

if TYPE_CHECKING:
    import pyarrow as pa

_OF_NO_SCHEMA: Final = re.compile(rb"\d+; \d+ \d+ ([A-Z][A-Z ]*?) - ")
_KEPT: Final = ("SCHEMA", "EXTENSION", "COMMENT", "ACL", "DEFAULT ACL", "SECURITY LABEL", "DATABASE")
_ACTS: Final = re.compile(  # they would, while we rename
    rb"\d+; \d+ \d+ ((COMMENT|SECURITY LABEL) - )?(EVENT TRIGGER|PUBLICATION|SUBSCRIPTION)\b"
)


class PostgresSchemasDestination(Unfinished):
    """Schemas of a backup in the database at ``address``, which must exist.

    ``schemas`` maps the backup's names to those they shall have; one that it does not name keeps its own. None of them
    may be there. They are built under names of ours, and renamed when they are proven. What belongs to a database and
    to no schema is left out and told; large objects are refused. For the rest see Unfinished.
    """

    def __init__(self, address: Address, *, schemas: Mapping[str, str], **options: Any) -> None:
        super().__init__(address, **options)
        self._schemas = schemas

    def require_free(self) -> None:
        """See the port. Raises DestinationUnsuitable, DestinationUnavailable; which names are taken is seen once it is
        known which schemas the backup has."""
        session(self._address).close()

    def prepare(self, schema_files: Mapping[str, bytes]) -> None:
        """See the port. Raises what PostgresDestination does, and DestinationUnsuitable where a name is taken or an
        extension is not in the database."""
        document = schema_document.load(schema_files)
        if document.large_objects:
            hint = "restore to a database of its own"
            raise DestinationUnsuitable("restore to", str(self._address), "large objects are in no schema", hint)
        self._renaming = Renaming(self._address, self._schemas)
        self._ending.callback(self._renaming.close)
        with closing(TemporaryDatabase(self._address)) as scratch:
            server = scratch.connection
            with building("restore to", str(self._address)):
                found = needs.look_at(server, document, str(self._address), missing_ok=self._missing_ok)
            self.warnings += found.warnings
            scratch.make(document.locale)
            self._make_there(schema_files[schema_document.DEFINITIONS], document, found, scratch)
            version = server.info.server_version
            renamed, dumped_by = self._renaming.dump(scratch.address, version)
        self._sequences = self._renaming.sequences(document.sequences)
        self._definitions = Definitions(renamed, dumped_by, version, absent=(), tablespaces=found.tablespaces)
        self._ending.callback(self._definitions.close)
        self._renaming.begin()
        self._make("pre-data")
        self._load_into(self._address)

    def _make(self, section: str, **how: Any) -> None:
        """Makes definitions where they are to be. What cannot be made is told by its name in the backup."""
        told = self._renaming.in_the_backup
        try:
            self.warnings += map(told, self._definitions.make(section, self._address, **how))
        except BackupError as error:
            raise type(error)(error.verb, told(error.subject), told(error.cause), error.hint) from None

    def _make_there(self, dump: bytes, document: SchemaDocument, found: Needs, scratch: TemporaryDatabase) -> None:
        """Makes the definitions in the temporary database, notes how its tables look, and renames its schemas."""
        version, place = scratch.connection.info.server_version, scratch.address
        ways = Definitions(dump, document.dumped_by, version, absent=found.absent_roles, tablespaces=found.tablespaces)
        with closing(ways) as definitions:
            for section in ("pre-data", "post-data"):
                self.warnings += definitions.make(section, place, besides=_ACTS)
                self.warnings += _left_out(definitions.contents(section, place))
        self._defined = self._tables(place)
        self.warnings += self._renaming.rename(place)
        self._renamed = self._tables(place)

    def _tables(self, place: Address) -> tuple[Table, ...]:
        with self._reopen(place).snapshot() as snapshot:
            return tuple(snapshot.tables)

    def load(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """See the port, and PostgresDestination."""
        loading = self._open("load", table.title)
        if table.schema not in self._renaming.names:
            raise MemberDamaged("load", table.title, "the definitions lack its schema")
        return loading.load(table, batches, schema=self._renaming.names[table.schema])

    def finish(self, prove: Callable[[TableSource], None] | None = None, erased: Collection[str] = ()) -> None:
        """See the port, and PostgresDestination."""
        loading, names = self._open("finish", str(self._address)), self._renaming.names
        loading.set_sequences(self._sequences)
        self._make("post-data", jobs=self.loaders, broken_keys=self._altered)
        self.warnings += loading.analyze(tuple(names.values()))
        loading.close()
        if prove is not None:
            copy = self._reopen(self._address, schemas=names.values())
            prove(MappedSource(copy, names, self._defined, self._renamed))
        self._renaming.take_names()
        self.close()


def _left_out(contents: Iterable[bytes]) -> list[str]:
    """What of an archive's list of contents is of a database and in no schema."""
    kinds = (match[1].decode() for line in contents if (match := _OF_NO_SCHEMA.match(line)))
    counted = Counter(kind for kind in kinds if kind not in _KEPT)
    return [f"left out, for it is in no schema: {kind.lower()} ({number})" for kind, number in sorted(counted.items())]
