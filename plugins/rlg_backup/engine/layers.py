"""A table over a chain of archives: the rows of the last one that holds it whole, and of each after it those that came,
less as many of each as went. Nothing is merged in the database: every row of the point is loaded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING

import polars as pl

from ..anonymize.resolution import IRREVERSIBLE
from ..changes.bag import Bag
from ..core.errors import MemberDamaged
from ..format.digest import Xxh3RowDigest
from ..format.profile import ColumnProfile, Profile, TableProfile
from ..format.row_numbers import together
from .archives import Archive, removed_numbers
from .parity import reversed_rows

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Layer:
    """What one archive of the chain holds of a table."""

    archive: Archive
    table: TableProfile


@dataclass
class LayeredTable:
    """A table of a restore point; ``layers`` are oldest first. For several threads."""

    table: TableProfile
    layers: list[Layer]
    digest_key: bytes
    _removed: Bag | None = None
    _done: int = 0
    _one: Lock = field(default_factory=Lock)

    @property
    def parts(self) -> list[tuple[Layer, str]]:
        """Every member that holds rows of it, and the layer it belongs to."""
        return [(layer, member) for layer in self.layers for member in layer.table.members]

    def rows(self, layer: Layer, members: Sequence[str], keys: Sequence[bytes]) -> Iterator[pa.RecordBatch]:
        """The rows of some members of a layer that are still there at the point; one of ``keys`` turns tokens back."""
        for batch in reversed_rows(layer.archive, layer.table, keys, members):
            if (removed := self._bag()) is None:
                yield batch
                continue
            gone = removed.take(Xxh3RowDigest(self.digest_key).numbers(batch))
            left = batch.filter(pl.Series(~gone).to_arrow()) if gone.any() else batch
            if left.num_rows:
                yield left
        with self._one:
            self._done += len(members)
            if self._done == len(self.parts):
                self._removed = None  # it is as large as the rows that went

    def _bag(self) -> Bag | None:
        """The rows that went, of all layers; None where none did."""
        removed = [(one.archive, name) for one in self.layers if one.table.change for name in one.table.change.removed]
        if not removed:
            return None
        with self._one:
            if self._removed is None:
                self._removed = Bag(together([removed_numbers(*member) for member in removed]))
            return self._removed


def layered(chain: Sequence[tuple[Archive, Profile]]) -> list[LayeredTable]:
    """The tables of the last archive of a chain, each with its layers. Raises MemberDamaged when an archive says what
    changed of a table that the one before it does not hold as it was."""
    point = chain[-1][1]
    found = []
    for table in point.tables:
        layers = [Layer(chain[-1][0], table)]
        for archive, profile in reversed(chain[:-1]):
            if layers[0].table.change is None:
                break
            layers.insert(0, Layer(archive, _same(profile, point, table)))
        if layers[0].table.change is not None or not all(_adds_up(*pair) for pair in pairwise(layers)):
            raise _torn(table)
        found.append(LayeredTable(table, layers, bytes.fromhex(point.digest_key)))
    return found


def _same(profile: Profile, point: Profile, table: TableProfile) -> TableProfile:
    """The table in an older profile, which must be of the same rows' numbers and the same columns."""
    keys = (profile.digest_key, profile.row_digest) == (point.digest_key, point.row_digest)
    for one in profile.tables if keys else ():
        if (one.schema_name, one.name) == (table.schema_name, table.name) and _defined_alike(one, table):
            return one
    raise _torn(table)


def _defined_alike(one: TableProfile, other: TableProfile) -> bool:
    return (_restored(one), one.fingerprint) == (_restored(other), other.fingerprint)


def _restored(table: TableProfile) -> list[ColumnProfile]:
    """The columns as a restore gives them: whether tokens were put for values makes no difference there."""
    return [
        column if column.policy in IRREVERSIBLE else column.model_copy(update={"policy": "keep"})
        for column in table.columns
    ]


def _adds_up(before: Layer, after: Layer) -> bool:
    change = after.table.change
    return change is not None and before.table.rows + change.rows - change.removed_rows == after.table.rows


def _torn(table: TableProfile) -> MemberDamaged:
    cause = "it says what changed of a table that the backup before it does not hold as it was"
    return MemberDamaged("read", f"{table.schema_name}.{table.name}", cause)
