"""Counts and totals by geography, batch by batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.model import LEVELS
from ..format.forms import role_of

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TOTAL_LEVELS = ("region", "country")


class Tally:
    """Rows by region, country, city and town, and sums of integer columns. Rows without a place count under ''.

    Sums are exact: Python integers over 64-bit partial sums of at most one batch.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._counts: dict[str, dict[str, int]] = {}
        self._sums: dict[str, dict[str, dict[str, int]]] = {name: {} for name in columns}

    @property
    def rows(self) -> int:
        """How many rows were counted that have a place at all: each is counted at every level there is."""
        return max((sum(codes.values()) for codes in self._counts.values()), default=0)

    def add(self, batch: pa.RecordBatch) -> None:
        import polars as pl

        roles = {role_of(field).decode(): field.name for field in batch.schema}
        places = {level: roles[level] for level in LEVELS if level in roles}
        wanted = [*places.values(), *(name for name in self._columns if name in batch.schema.names)]
        if not wanted or not batch.num_rows:
            return
        frame = pl.DataFrame(pl.from_arrow(batch.select(wanted)))
        frame = frame.with_columns([pl.col(name).cast(pl.String).fill_null("") for name in places.values()])
        for level, name in places.items():
            counts = self._counts.setdefault(level, defaultdict(int))
            for code, rows in frame.group_by(name).len().iter_rows():
                counts[code] += rows
        for column in self._columns:
            self._add_sums(frame, column, places)

    def _add_sums(self, frame: pl.DataFrame, column: str, places: dict[str, str]) -> None:
        import polars as pl

        if frame.schema[column] != pl.Int64:  # money that is not whole numbers has no exact total
            return
        sums = self._sums[column]
        sums.setdefault("all", defaultdict(int))[""] += int(frame[column].cast(pl.Int128).sum() or 0)
        for level in TOTAL_LEVELS:
            if level in places:
                by_code = sums.setdefault(level, defaultdict(int))
                grouped = frame.group_by(places[level]).agg(pl.col(column).cast(pl.Int128).sum())
                for code, total in grouped.iter_rows():
                    by_code[code] += int(total or 0)

    def add_groups(self, batch: pa.RecordBatch) -> None:
        """Takes in rows that the source counted: the places' fields, the number of rows, and for each column the sum
        as decimal text."""
        roles = {role_of(field).decode(): place for place, field in enumerate(batch.schema)}
        cells = [column.to_pylist() for column in batch.columns]
        levels = {level: [code or "" for code in cells[roles[level]]] for level in LEVELS if level in roles}
        sums = len(levels) + 1
        for row, rows in enumerate(cells[sums - 1]):
            for level, codes in levels.items():
                _add(self._counts.setdefault(level, {}), {codes[row]: rows})
            for column, texts in zip(self._columns, cells[sums:], strict=True):
                self._add_group(column, texts[row], {level: codes[row] for level, codes in levels.items()})

    def _add_group(self, column: str, text: str | None, places: dict[str, str]) -> None:
        if text is None:
            return
        sums = self._sums[column]
        _add(sums.setdefault("all", {}), {"": int(text)})
        for level in TOTAL_LEVELS:
            if level in places:
                _add(sums.setdefault(level, {}), {places[level]: int(text)})

    def merge(self, other: Tally) -> None:
        """Adds what another tally of the same columns counted."""
        for level, counts in other._counts.items():
            _add(self._counts.setdefault(level, {}), counts)
        for column, sums in other._sums.items():
            for level, by_code in sums.items():
                _add(self._sums[column].setdefault(level, {}), by_code)

    def geography(self, levels: Sequence[str]) -> dict[str, dict[str, int]] | None:
        """Level > code > rows, or None for a table without geography."""
        return {level: dict(sorted(self._counts[level].items())) for level in levels if level in self._counts} or None

    def totals(self) -> dict[str, Any]:
        """Column > {"all": sum, level: {code: sum}}; sums as decimal texts."""
        found: dict[str, Any] = {}
        for column, sums in self._sums.items():
            if sums:
                found[column] = {"all": str(sums["all"][""])}
                for level in TOTAL_LEVELS:
                    found[column][level] = {code: str(total) for code, total in sorted(sums.get(level, {}).items())}
        return found


def _add(sums: dict[str, int], others: dict[str, int]) -> None:
    for code, number in others.items():
        sums[code] = sums.get(code, 0) + number
