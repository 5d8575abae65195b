"""Counts and totals by geography, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..core.model import LEVELS
from ..format import arrays
from ..format.arrays import Numbers
from ..format.forms import role_of

TOTAL_LEVELS = ("region", "country")
_HALF: Final = 32  # bits: halves of up to 2^21 numbers add up to whole numbers that a double holds
_LOW: Final = 2**_HALF - 1
_ROWS: Final = 2**20


class Tally:
    """Rows by region, country, city and town, and sums of integer columns. Rows without a place count under ''.

    Sums are exact: Python integers, over sums of the halves of 64-bit numbers.
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
        roles = {role_of(field).decode(): field.name for field in batch.schema}
        named = {level: roles[level] for level in LEVELS if level in roles}
        wanted = [*named.values(), *(name for name in self._columns if name in batch.schema.names)]
        if not wanted or not batch.num_rows:
            return
        places = {level: _Places.of(batch.column(name)) for level, name in named.items()}
        for level, found in places.items():
            _add(self._counts.setdefault(level, {}), found.rows())
        for column in self._columns:
            self._add_sums(batch.column(column), column, places)

    def _add_sums(self, values: pa.Array, column: str, places: Mapping[str, _Places]) -> None:
        if values.type != pa.int64():  # money that is not whole numbers has no exact total
            return
        found, sums = arrays.numbers(values), self._sums[column]
        total = (int((found >> _HALF).sum()) << _HALF) + int((found & _LOW).sum())
        _add(sums.setdefault("all", {}), {"": total})
        for level in TOTAL_LEVELS:
            if level in places:
                _add(sums.setdefault(level, {}), places[level].sums(found))

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


@dataclass(frozen=True)
class _Places:
    """The place of each row of a batch, by where it is in ``codes``, each of which has rows; '' may be there twice."""

    codes: Sequence[str]
    at: Numbers

    @classmethod
    def of(cls, array: pa.Array) -> _Places:
        encoded = array.cast(pa.string()).dictionary_encode()
        codes = encoded.dictionary.to_pylist()
        return cls([*codes, ""] if array.null_count else codes, arrays.numbers(encoded.indices, len(codes)))

    def rows(self) -> dict[str, int]:
        """How many each place has."""
        return self._by_code(np.bincount(self.at, minlength=len(self.codes)))

    def sums(self, values: Numbers) -> dict[str, int]:
        """What the values of each place add up to."""
        sums: dict[str, int] = {}
        for start in range(0, len(values), _ROWS):
            places, some = self.at[start : start + _ROWS], values[start : start + _ROWS]
            for unit, half in ((1 << _HALF, some >> _HALF), (1, some & _LOW)):
                _add(sums, self._by_code(np.bincount(places, half, len(self.codes)), unit))
        return sums

    def _by_code(self, numbers: np.ndarray[Any, np.dtype[Any]], unit: int = 1) -> dict[str, int]:
        found: dict[str, int] = {}
        for code, number in zip(self.codes, numbers.tolist(), strict=True):
            found[code] = found.get(code, 0) + int(number) * unit
        return found


def _add(sums: dict[str, int], others: Mapping[str, int]) -> None:
    for code, number in others.items():
        sums[code] = sums.get(code, 0) + number
