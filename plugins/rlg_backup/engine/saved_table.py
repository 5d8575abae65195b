"""One table while it is saved: policies, digests, clustering and change tracking in one stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from threading import Lock
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa

from ..anonymize.actions import Action, Drop
from ..anonymize.originals import Originals
from ..anonymize.policies import Policies
from ..changes.bag import Bag
from ..config.residency import BASE
from ..core.model import LEVELS
from ..format import arrays
from ..format.change_state import StateTable
from ..format.digest import Xxh3RowDigest
from ..format.forms import role_of
from ..format.names import table_segment
from ..format.row_hash import Lanes, exchanged
from ..format.row_numbers import Addresses
from ..format.rows import PartWriter
from ..sources.port import PLACE, VERSION, Table
from .members import StagedMembers
from .samples import Samples
from .tally import Tally
from .tracking import NotedRows, RemovedRows, TrackedTable
from .zones import Zones


class SavedTable:
    """One table: what is done to it, and the sum of what its pieces gave. Shared by threads."""

    def __init__(
        self,
        table: Table,
        actions: Mapping[str, Action],
        totals: Sequence[str],
        dataset: str,
        digest_key: bytes,
        tokenization_key: bytes | None,
        members: StagedMembers,
        samples: Samples,
        tracked: TrackedTable | None,
        zones: Zones,
        detected: Mapping[str, str],
    ) -> None:
        """``detected``: the columns that ``actions`` tokenize without a policy, each with the kind of data found."""
        nullable = {column.name: column.nullable for column in table.columns}
        for_ever = {name: action for name, action in actions.items() if not action.reversible}
        for_now = {name: action for name, action in actions.items() if action.reversible}
        self.table, self.totals, self.digest_key = table, totals, digest_key
        self._actions, self._dataset, self._detected = actions, dataset, dict(detected)
        self.mask = Policies(table.title, for_ever, tokenization_key, nullable)
        self.tokenize = Policies(table.title, for_now, tokenization_key, nullable)
        for policies in (self.mask, self.tokenize):
            policies.check([column.name for column in table.columns])
        self.stored_columns = [
            column.name for column in table.columns if not isinstance(actions.get(column.name), Drop)
        ]
        self.members, self.samples, self.tracked, self.zones = members, samples, tracked, zones
        self._segment = table_segment(table.schema, table.name)
        self.removed = RemovedRows(members, self._segment)
        self._before: Bag | None = None
        self._pieces, self._cut = 0, False
        self._lock = Lock()
        self._parts = 0
        self._rows = self._saved = 0
        self.sampled: list[str] = []
        """The files of its sample; none where its members are read for it."""
        self._restored = Xxh3RowDigest(digest_key)
        self._shares = {BASE: Share(digest_key, totals)}

    @property
    def as_changes(self) -> bool:
        """Whether what is saved is what differs from the parent's rows."""
        return self.tracked is not None and self.tracked.before is not None

    @property
    def as_places(self) -> bool:
        """Whether its rows are told apart by where they lie, so that only changed ones are read."""
        return self.tracked is not None and self.tracked.by_place

    def expect(self, pieces: int) -> None:
        """How many pieces there are: after the last one the table is done."""
        self._pieces, self._cut = pieces, pieces > 1

    @property
    def before(self) -> Bag | None:
        """The rows of before where these tell by themselves which of them are new. Made when it is first asked for, and
        gone after the last piece: it is as large as the table has rows."""
        if not self.as_changes or self.as_places:
            return None
        with self._lock:
            if self._before is None:
                assert self.tracked is not None
                self._before = Bag(self.tracked.numbers_before())
            return self._before

    def next_part(self, zone: str) -> str:
        """The name of a member that is begun now."""
        with self._lock:
            self._parts += 1
            name = f"data/{self._segment}/part-{self._parts - 1:05d}.parquet"
            self._share(zone).members.append(name)
            return name

    def _share(self, zone: str) -> Share:
        if zone not in self._shares:
            self._shares[zone] = Share(self.digest_key, self.totals)
        return self._shares[zone]

    def tally(self, groups: pa.RecordBatch) -> None:
        """Takes in rows that the source counted."""
        for zone, some in self.zones.split(groups):
            with self._lock:
                self._share(zone).tally.add_groups(some)

    def count(self, rows: int) -> int:
        """The rows that were read so far, with these."""
        with self._lock:
            self._rows += rows
            return self._rows

    def count_saved(self, rows: int) -> int:
        """The rows that were saved so far, with these."""
        with self._lock:
            self._saved += rows
            return self._saved

    def add(self, piece: PieceWriter) -> None:
        """Ends a piece and takes in what it holds."""
        piece.close()
        sample = piece.sample.close(piece.saved_rows, alone=not self._cut)
        with self._lock:
            self.sampled += sample
            self._restored += piece.restored
            for zone, share in piece.shares.items():
                self._share(zone).add(share)
            self._pieces -= 1
            last = not self._pieces
        if last:
            self._end()

    def _end(self) -> None:
        """What is left of the rows of before was removed."""
        if (before := self.before) is not None:
            self.removed.add(before.rest())
            self._before = None
        self.removed.close()

    def profile(self) -> dict[str, Any]:
        """What profile.json says of the table."""
        table, own = self.table, self._shares[BASE]
        return {
            "schema": table.schema,
            "name": table.name,
            "rows": self._restored.rows,
            "fingerprint": table.fingerprint,
            "digest": {"restored": self._restored.hexdigest(), "stored": own.stored.hexdigest()},
            "members": own.members,
            "columns": [
                {
                    "name": column.name,
                    "declared_type": column.declared_type,
                    "nullable": column.nullable,
                    "key": column.key,
                    "policy": self._actions[column.name].name if column.name in self._actions else "keep",
                }
                for column in table.columns
            ],
            "options": dict(table.options),
            "geography": own.tally.geography(LEVELS),
            "totals": own.tally.totals(),
            "dataset": self._dataset,
            "within": [list(one) for one in table.within],
            "change": self._change(),
            "rules": [asdict(rule) for rule in table.rules],
            "zones": {
                zone: {"rows": share.tally.rows, "stored": share.stored.rows}
                for zone, share in sorted(self._shares.items())
                if zone != BASE
            },
            "detected": self._detected,
        }

    def zone_profiles(self) -> dict[str, dict[str, Any]]:
        """What zone.json says of the table, by zone."""
        return {
            zone: {
                "schema": self.table.schema,
                "name": self.table.name,
                "rows": share.stored.rows,
                "stored": share.stored.hexdigest(),
                "members": share.members,
                "geography": share.tally.geography(LEVELS),
                "totals": share.tally.totals(),
            }
            for zone, share in self._shares.items()
            if zone != BASE
        }

    def places(self, level: str) -> set[str]:
        """The codes of a level that its rows belong to."""
        counted = [share.tally.geography([level]) for share in self._shares.values()]
        return {code for counts in counted if counts for code in counts[level]}

    def _change(self) -> dict[str, Any] | None:
        if not self.as_changes:
            return None
        saved = sum(share.stored.rows for share in self._shares.values())
        return {"rows": saved, "removed": self.removed.names, "removed_rows": self.removed.rows}

    def state(self) -> StateTable | None:
        """What the next run is told of it; None where changes are not tracked."""
        if self.tracked is None:
            return None
        return self.tracked.state(self._restored.hexdigest(), self.removed.rows, self._detected)


class Share:
    """What a zone has of a table: the digest of its rows as they are stored, their counts, the names of its members."""

    def __init__(self, digest_key: bytes, totals: Sequence[str]) -> None:
        self.stored, self.tally = Xxh3RowDigest(digest_key), Tally(totals)
        self.members: list[str] = []

    def add(self, other: Share) -> None:
        self.stored += other.stored
        self.tally.merge(other.tally)
        self.members += other.members


class PieceWriter:
    """One piece of a table: batches in, Parquet parts, digests, counts and what the next run is told out."""

    def __init__(self, table: SavedTable, originals: Originals) -> None:
        self._table, self._originals = table, originals
        self.restored, self.sample = Xxh3RowDigest(table.digest_key), table.samples.begin()
        self.shares: dict[str, Share] = {}
        self._noted = NotedRows(table.tracked) if table.tracked else None
        self._streams: dict[str, ZoneStream] = {}
        self._begin(BASE)

    @property
    def saved_rows(self) -> int:
        return sum(share.stored.rows for share in self.shares.values())

    def _begin(self, zone: str) -> None:
        self.shares[zone] = Share(self._table.digest_key, self._table.totals)
        self._streams[zone] = ZoneStream(self._table, zone)

    def keep(self, numbers: Lanes, addresses: Addresses) -> None:
        """Takes in rows of before that are still there."""
        self.restored.add(numbers)
        if self._noted:
            self._noted.add(numbers, addresses)

    def write(self, batch: pa.RecordBatch, known: Bag | None = None) -> None:
        """Takes in rows as they were read; those that were there before, or are ``known``, are counted, and not saved
        again."""
        for zone, rows in self._table.zones.split(batch):
            if zone not in self.shares:
                self._begin(zone)
            self._write(zone, rows, known)

    def _write(self, zone: str, batch: pa.RecordBatch, known: Bag | None) -> None:
        batch, addresses = _without_addresses(batch)
        if not self._table.as_places:  # there the source counts, for rows that are not read
            self.shares[zone].tally.add(batch)
        restored = self._table.mask.apply(_without_fine_places(batch))
        cells = self.restored.cells(restored)
        numbers = self.restored.numbers_of(cells)
        self.restored.add(numbers)
        if self._noted:
            self._noted.add(numbers, addresses)
        if (before := self._table.before if known is None else known) is not None:
            new = ~before.take(numbers)
            if not new.any():
                return
            chosen = pl.Series(new).to_arrow()  # pa.array would load pandas
            batch, restored = batch.filter(chosen), restored.filter(chosen)
            cells, numbers = ((lanes[0][new], lanes[1][new]) for lanes in (cells, numbers))
        self._save(zone, batch, restored, cells, numbers)

    def _save(self, zone: str, batch: pa.RecordBatch, restored: pa.RecordBatch, cells: Lanes, numbers: Lanes) -> None:
        """Takes in rows that go into a part. ``cells`` and ``numbers``: of what will be restored of them."""
        for policies in (self._table.mask, self._table.tokenize):
            for name, values in policies.personal(batch):
                self._originals.collect(self._table.table.root, pa.record_batch([values], names=[name]), [name])
        digest, tokenized, saved = self.shares[zone].stored, self._table.tokenize.declared, restored
        if tokenized:
            saved = self._table.tokenize.apply(restored)
            cells = exchanged(cells, digest.cells(restored, tokenized), digest.cells(saved, tokenized))
            numbers = digest.numbers_of(cells)
        digest.add(numbers)
        self.sample.add(saved, self._table.count_saved(len(saved)))
        self._streams[zone].parts.write(saved)

    def close(self) -> None:
        """Ends the parts; where only changes are saved and there are none, there is no part."""
        for zone, stream in self._streams.items():
            if self.shares[zone].stored.rows or (zone == BASE and not self._table.as_changes):
                stream.parts.close()
            stream.close()
        if self._noted:
            self._noted.close()


class ZoneStream:
    """The rows of one zone on their way into parts."""

    def __init__(self, table: SavedTable, zone: str) -> None:
        self._table, self._zone, self._stack = table, zone, ExitStack()
        self.parts = PartWriter(self._open_part, columns=table.stored_columns, subject=table.table.title)

    def _open_part(self, number: int) -> BinaryIO:
        """Called by the writer when a part begins: the part before is whole by then."""
        self.close()
        name = self._table.next_part(self._zone)
        return self._stack.enter_context(self._table.members.stored(name, self._zone))

    def close(self) -> None:
        self._stack.close()


def _without_fine_places(batch: pa.RecordBatch) -> pa.RecordBatch:
    """City and town were counted; what is stored beside the columns is region and country."""
    return batch.select([field.name for field in batch.schema if role_of(field) not in (b"city", b"town")])


def _without_addresses(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Addresses | None]:
    """The rows, and where they lie where the source tells."""
    found = {role_of(field): place for place, field in enumerate(batch.schema)}
    if PLACE not in found:
        return batch, None
    place, version = (arrays.numbers(batch.column(found[role])) for role in (PLACE, VERSION))
    rest = [number for number, field in enumerate(batch.schema) if role_of(field) not in (PLACE, VERSION)]
    return batch.select(rest), Addresses(place, version)
