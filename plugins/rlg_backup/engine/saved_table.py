"""One table while it is saved: policies, digests, clustering and change tracking in one stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import polars as pl

from ..anonymize.actions import Action
from ..anonymize.originals import Originals
from ..anonymize.policies import Policies
from ..changes.bag import Bag
from ..core.model import LEVELS
from ..format.change_state import StateTable
from ..format.digest import Xxh3RowDigest
from ..format.forms import role_of
from ..format.names import table_segment
from ..format.row_hash import Lanes
from ..format.row_numbers import Addresses
from ..format.rows import PartWriter
from ..sources.port import PLACE, VERSION, Table
from .members import StagedMembers
from .samples import Samples
from .tally import Tally
from .tracking import NotedRows, RemovedRows, TrackedTable

if TYPE_CHECKING:
    import pyarrow as pa


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
    ) -> None:
        nullable = {column.name: column.nullable for column in table.columns}
        for_ever = {name: action for name, action in actions.items() if not action.reversible}
        for_now = {name: action for name, action in actions.items() if action.reversible}
        self.table, self.totals, self.digest_key = table, totals, digest_key
        self._actions, self._dataset = actions, dataset
        self.mask = Policies(table.title, for_ever, tokenization_key, nullable)
        self.tokenize = Policies(table.title, for_now, tokenization_key, nullable)
        for policies in (self.mask, self.tokenize):
            policies.check([column.name for column in table.columns])
        self.protected = [*self.mask.declared, *self.tokenize.declared]
        self.members, self.samples, self.tracked = members, samples, tracked
        self._segment = table_segment(table.schema, table.name)
        self.removed = RemovedRows(members, self._segment)
        self._before: Bag | None = None
        self._pieces, self._cut = 0, False
        self._lock = Lock()
        self._names: list[str] = []
        self._rows = self._saved = 0
        self.sampled: list[str] = []
        """The files of its sample; none where its members are read for it."""
        self._restored, self._stored = Xxh3RowDigest(digest_key), Xxh3RowDigest(digest_key)
        self.tally = Tally(totals)

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

    def next_part(self) -> str:
        """The name of a member that is begun now."""
        with self._lock:
            self._names.append(f"data/{self._segment}/part-{len(self._names):05d}.parquet")
            return self._names[-1]

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
        sample = piece.sample.close(piece.stored.rows, alone=not self._cut)
        with self._lock:
            self.sampled += sample
            self._restored += piece.restored
            self._stored += piece.stored
            self.tally.merge(piece.tally)
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
        table = self.table
        return {
            "schema": table.schema,
            "name": table.name,
            "rows": self._restored.rows,
            "fingerprint": table.fingerprint,
            "digest": {"restored": self._restored.hexdigest(), "stored": self._stored.hexdigest()},
            "members": self._names,
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
            "geography": self.tally.geography(LEVELS),
            "totals": self.tally.totals(),
            "dataset": self._dataset,
            "within": [list(one) for one in table.within],
            "change": self._change(),
        }

    def _change(self) -> dict[str, Any] | None:
        if not self.as_changes:
            return None
        return {"rows": self._stored.rows, "removed": self.removed.names, "removed_rows": self.removed.rows}

    def state(self) -> StateTable | None:
        """What the next run is told of it; None where changes are not tracked."""
        return self.tracked.state(self._restored.hexdigest(), self.removed.rows) if self.tracked else None


class PieceWriter:
    """One piece of a table: batches in, Parquet parts, digests, counts and what the next run is told out."""

    def __init__(self, table: SavedTable, originals: Originals) -> None:
        self._table, self._originals = table, originals
        self._stack = ExitStack()
        self.restored, self.stored = Xxh3RowDigest(table.digest_key), Xxh3RowDigest(table.digest_key)
        self.tally, self.sample = Tally(table.totals), table.samples.begin()
        self._noted = NotedRows(table.tracked) if table.tracked else None
        columns = [column.name for column in table.table.columns]
        self._parts = PartWriter(self._open_part, columns=columns, subject=table.table.title)

    def _open_part(self, number: int) -> BinaryIO:
        """Called by the writer when a part begins: the part before is whole by then."""
        self._stack.close()
        return self._stack.enter_context(self._table.members.stored(self._table.next_part()))

    def keep(self, numbers: Lanes, addresses: Addresses) -> None:
        """Takes in rows of before that are still there."""
        self.restored.add(numbers)
        if self._noted:
            self._noted.add(numbers, addresses)

    def write(self, batch: pa.RecordBatch, known: Bag | None = None) -> None:
        """Takes in rows as they were read; those that were there before, or are ``known``, are counted, and not saved
        again."""
        batch, addresses = _without_addresses(batch)
        if not self._table.as_places:  # there the source counts, for rows that are not read
            self.tally.add(batch)
        restored = self._table.mask.apply(_without_fine_places(batch))
        numbers = self.restored.numbers(restored)
        self.restored.add(numbers)
        if self._noted:
            self._noted.add(numbers, addresses)
        if (before := self._table.before if known is None else known) is not None:
            new = ~before.take(numbers)
            if not new.any():
                return
            chosen = pl.Series(new).to_arrow()  # pa.array would load pandas
            batch, restored = batch.filter(chosen), restored.filter(chosen)
            numbers = numbers[0][new], numbers[1][new]
        self._save(batch, restored, numbers)

    def _save(self, batch: pa.RecordBatch, restored: pa.RecordBatch, numbers: Lanes) -> None:
        self._originals.collect(self._table.table.root, batch, self._table.protected)
        if self._table.tokenize.declared:
            restored = self._table.tokenize.apply(restored)
            self.stored.update(restored)
        else:
            self.stored.add(numbers)
        self.sample.add(restored, self._table.count_saved(len(restored)))
        self._parts.write(restored)

    def close(self) -> None:
        """Ends the parts; where only changes are saved and there are none, there is no part."""
        if self.stored.rows or not self._table.as_changes:
            self._parts.close()
        self._stack.close()
        if self._noted:
            self._noted.close()


def _without_fine_places(batch: pa.RecordBatch) -> pa.RecordBatch:
    """City and town were counted; what is stored beside the columns is region and country."""
    return batch.select([field.name for field in batch.schema if role_of(field) not in (b"city", b"town")])


def _without_addresses(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Addresses | None]:
    """The rows, and where they lie where the source tells."""
    found = {role_of(field): place for place, field in enumerate(batch.schema)}
    if PLACE not in found:
        return batch, None
    place, version = (_numpy(batch.column(found[role])) for role in (PLACE, VERSION))
    rest = [number for number, field in enumerate(batch.schema) if role_of(field) not in (PLACE, VERSION)]
    return batch.select(rest), Addresses(place, version)


def _numpy(array: pa.Array) -> np.ndarray[Any, Any]:
    """By polars: pyarrow's own way would load pandas."""
    return pl.Series(pl.from_arrow(array)).to_numpy()
