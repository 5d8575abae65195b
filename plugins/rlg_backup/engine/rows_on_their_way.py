"""What becomes of the rows of a restore point between the archive and the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config.settings import FilesSettings
from ..core.model import Check
from ..format.profile import Profile, TableProfile
from ..sources.port import Column, Table
from .erasure import TableErasing
from .layers import LayeredTable
from .masked_copy import MaskedCopy
from .wiring import Wiring

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RowsOnTheirWay:
    """What becomes of rows between the archive and the database: those of erased subjects stay behind, and in a masked
    copy the others change."""

    erasing: TableErasing
    copy: MaskedCopy | None

    def rows(self, table: TableProfile, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        left = self.erasing.rows(table, batches)
        return left if self.copy is None else self.copy.rows(table, left)

    def profile(self) -> Profile:
        """What the database must be, once all rows are in."""
        left = self.erasing.profile()
        return left if self.copy is None else self.copy.profile(left)

    def checks(self) -> list[Check]:
        """What was wrong with the rows themselves, where the database cannot tell."""
        return [] if self.copy is None else self.copy.checks(self.erasing.profile())

    @property
    def warnings(self) -> list[str]:
        if self.copy is None:
            return self.erasing.plan.warnings
        masked = f"masked in this copy: {', '.join(self.copy.columns)}"
        return [*self.erasing.plan.warnings, masked, *self.copy.warnings]


def masked_copy(wiring: Wiring, source: str, profile: Profile, tables: Sequence[LayeredTable]) -> MaskedCopy:
    """What makes a masked copy of a restore point; raises as MaskedCopy does."""
    settings, keys = wiring.source_settings(source), wiring.tokenization_secrets
    assert not isinstance(settings, FilesSettings)

    def read(title: str) -> Iterator[pa.RecordBatch] | None:
        found = [table for table in tables if table_of(table.table).title == title]
        return (
            (batch for one in found for part in one.parts for batch in one.rows(part[0], [part[1]], keys))
            if found
            else None
        )

    return MaskedCopy(settings, profile, wiring.tokenization_secret, read)


def table_of(profile: TableProfile) -> Table:
    """A table as it is loaded: without dropped columns."""
    columns = tuple(Column(c.name, c.declared_type, c.nullable, c.key) for c in profile.stored_columns)
    return Table(profile.schema_name, profile.name, columns, profile.fingerprint, profile.options)
