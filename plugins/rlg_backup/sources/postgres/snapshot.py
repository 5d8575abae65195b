"""The tables of a PostgreSQL database at the one instant that its readers share."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ...core.model import LEVELS, Excluded, SnapshotIdentity
from ..geography import Geography
from ..port import ForeignKey, Piece, Table
from . import catalog, rules, versions
from .casts import require_no_casts
from .catalog import Relation, SourceTable, qualified, quoted
from .caveats import caveats
from .changes import AddressedReading
from .definitions import Definitions
from .reader import Pages, Readers, pieces_of
from .row_addresses import Mask, Versions, made_again

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

    from .address import Address

_IDENTITY: Final = """
SELECT s.system_identifier::text, d.oid::text, pg_catalog.pg_current_snapshot()::text,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_insert_lsn() END::text
FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""
_PAGES: Final = (
    "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass(%s)) / pg_catalog.current_setting('block_size')::int"
)
_RUNS: Final = 8  # of pages that a sample is made of
_RUN_PAGES: Final = 16
_APART: Final = {
    "f": "foreign table: its rows lie on another server",
    "m": "materialized view: a restore refreshes it",
}


class PostgresSnapshot(AddressedReading):
    """See the port. ``read`` may be called by as many threads as there are readers."""

    def __init__(
        self,
        address: Address,
        connection: psycopg.Connection[Any],
        found: Sequence[Relation],
        readers: Readers,
        definitions: Definitions | None,
        *,
        geography: Geography | None,
        exclude: Sequence[str],
        warning_minutes: int,
    ) -> None:
        self._address, self._connection, self._readers, self._definitions = address, connection, readers, definitions
        self._geography = geography
        self._began, self._warning_minutes = time.monotonic(), warning_minutes
        self.identity = _identity(connection)
        if geography is not None:
            names = catalog.column_names(connection, found)
            geography.check({one.title: names[one.oid] for one in found if one.kind in "rp"})
            require_no_casts(connection, geography, found)
        self._titles = {one.title: qualified(one.schema, one.name) for one in found}
        standby = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchall()[0][0]
        lost = {one.title for one in found if standby and one.persistence == "u"}
        all_tables = [one for one in _identified(connection, found) if one.table.title not in lost]
        left_out = {one.table.title: _pattern(one.table, exclude) for one in all_tables}
        self._tables = {(t.table.schema, t.table.name): t for t in all_tables if left_out[t.table.title] is None}
        self.tables: Sequence[Table] = tuple(one.table for one in self._tables.values())
        self.excluded: Sequence[Excluded] = (
            *(Excluded(t, f"excluded by the configuration: {p}") for t, p in left_out.items() if p is not None),
            *_apart(found),
            *(Excluded(title, "unlogged: a standby has none of its rows") for title in sorted(lost)),
        )
        used = set(left_out.values())
        self._told = [
            f"exclude: the pattern '{pattern}' matches no table" for pattern in exclude if pattern not in used
        ]
        dumped_by = definitions.dumped_by if definitions else None
        self._told += caveats(connection, list(self._tables.values()), dumped_by)

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def warnings(self) -> Sequence[str]:
        """As of now: how long the snapshot has been held is told once it is too long."""
        found = list(self._told)
        minutes = int((time.monotonic() - self._began) / 60)
        if minutes >= self._warning_minutes:
            found.append(f"the snapshot was held for {minutes} minutes: vacuum kept every row that died meanwhile")
        return found

    def foreign_keys(self) -> Sequence[ForeignKey]:
        """See the port."""
        return rules.foreign_keys(self._connection)

    def schema_files(self) -> Mapping[str, bytes]:
        """Definitions by pg_dump of this snapshot, and what it leaves out. Sequences are read here, which no snapshot
        holds still: ask for it after the last row was read."""
        return self._definitions.files(self._connection) if self._definitions else {}

    def pieces(self, table: Table) -> Sequence[Piece]:
        """Runs of pages. By address, not by key: each is read once, in order, whatever the key's distribution is."""
        found = self._tables[table.schema, table.name]
        if not found.pages or not found.columns:
            return (None,)
        return pieces_of(self._pages(found))

    def position(self) -> Mapping[str, str]:
        """See ``versions.position``."""
        return versions.position(self._connection)

    def wait_until_kept(self, position: Mapping[str, str]) -> None:
        """See ``versions.wait_until_kept``."""
        versions.wait_until_kept(self._address, position)

    def why_unrelated(self, position: Mapping[str, str]) -> str | None:
        """See ``versions.why_unrelated``."""
        return versions.why_unrelated(position, self.position())

    def ran_on(self, position: Mapping[str, str]) -> bool:
        """A server that was put back to an older image of its disks, and has passed the position since, was started."""
        return position["started"] == self._now["started"]

    def may_be_new(self, position: Mapping[str, str], versions: Versions) -> Mask:
        """See ``row_addresses.made_again``."""
        return made_again(int(position["oldest"]), int(self._now["transaction"]), versions)

    @cached_property
    def _now(self) -> Mapping[str, str]:
        return self.position()

    def _pages(self, table: SourceTable) -> int:
        place = qualified(table.table.schema, table.table.name)
        return self._connection.execute(_PAGES, [place]).fetchall()[0][0] or 0

    def read(
        self, table: Table, *, piece: Piece | None = None, geography: bool = True, batch_rows: int = 65_536
    ) -> Generator[pa.RecordBatch, None, None]:
        """See the port. A batch takes some 8 MiB of memory, more only where one row does; an empty table gives none."""
        assert piece is None or isinstance(piece, Pages)  # of ``pieces``
        places = self._places(table) if geography else ()
        for batch in self._readers.batches(self._tables[table.schema, table.name], piece, places):
            for start in range(0, len(batch), batch_rows):
                yield batch.slice(start, batch_rows)

    def sample(self, table: Table, rows: int) -> Generator[pa.RecordBatch, None, None]:
        """See the port. Runs of pages, the last ones among them; of a table without addresses the first rows."""
        found = self._tables[table.schema, table.name]
        pages = self._pages(found) if found.pages and found.columns else 0
        if pages <= _RUNS:
            yield from self._readers.sample(found, [None], rows)
            return
        size = min(_RUN_PAGES, pages // _RUNS)
        last = pages - size
        starts = [last * run // (_RUNS - 1) for run in range(_RUNS)]
        runs = [Pages(start, None if start == last else start + size) for start in starts]
        yield from self._readers.sample(found, runs, rows // _RUNS)

    def _places(self, table: Table) -> Sequence[str]:
        """SQL for each level of geography: what is configured for the table, or for what it is a part of."""
        configured = self._geography.tables if self._geography else {}
        title = next((title for title in table.titles if title in configured), None)
        if self._geography is None or title is None:
            return ()
        found = self._geography.expressions(title, '"row"', quoted, self._titles.__getitem__)
        return [found[level] for level in LEVELS]


def _identified(connection: psycopg.Connection[Any], found: Sequence[Relation]) -> list[SourceTable]:
    """The tables, each with what tells whether its rows are unchanged. Large objects are told by what they hold: no
    lock of ours keeps their pages from being rewritten."""
    oids = {(one.schema, one.name): one.oid for one in found}
    known = versions.identities(connection, list(oids.values()))
    tables = []
    for one in catalog.tables(connection, found):
        identity, storage = known.get(oids.get((one.table.schema, one.table.name), 0), ("", None))
        storage = storage if one.columns else None
        identity = json.dumps([identity, [column.expression for column in one.columns]])  # and how a value is written
        tables.append(replace(one, table=replace(one.table, identity=identity, storage=storage)))
    return tables


def _pattern(table: Table, exclude: Sequence[str]) -> str | None:
    """The first pattern that names the table, or one it is a part of."""
    return next((p for p in exclude if any(fnmatchcase(title, p) for title in table.titles)), None)


def _apart(found: Sequence[Relation]) -> Iterator[Excluded]:
    for one in found:
        if one.extension is not None and not one.configured:
            yield Excluded(one.title, f"it belongs to the extension {one.extension}, which makes it")
        elif one.kind in _APART:
            yield Excluded(one.title, _APART[one.kind])


def _identity(connection: psycopg.Connection[Any]) -> SnapshotIdentity:
    """The cluster's own identifier with the database's, which a restored copy shares with nobody; the marker holds the
    place in the write-ahead log and the transactions seen."""
    system, database, seen, place = connection.execute(_IDENTITY).fetchall()[0]
    return SnapshotIdentity(f"postgres:{system}:{database}", f"{place}/{seen}", datetime.now(UTC))
