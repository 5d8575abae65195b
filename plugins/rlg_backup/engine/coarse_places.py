"""Which place stands for all of a city or country, where a policy makes places coarser: read from geography's own
tables, so that what is left is a place that exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from ..anonymize.actions import Action
from ..anonymize.forms import form_of, to_plaintexts
from ..anonymize.generalizing import Generalize
from ..config.settings import GeographySettings
from ..core.errors import InvalidSetting, PolicyMismatch
from ..core.model import LEVELS
from ..sources.port import Table

if TYPE_CHECKING:
    import pyarrow as pa

Read = Callable[[str], Iterable["pa.RecordBatch"] | None]
"""The rows of the table of that title; None where the backup has no such table."""

_PLACES: Final = ("country", "city", "town")


class CoarsePlaces:
    """What the levels of ``geography`` say; their tables are ``read`` when a policy asks for them, once."""

    def __init__(self, geography: GeographySettings | None, read: Read) -> None:
        self._geography, self._read = geography, read
        self._above = cache(self._parents)
        self._standing = cache(self._standing_for)

    def known_to(self, table: Table, name: str, action: Action) -> Action:
        """The action of a column, with the places it needs; any other as it is. Raises PolicyMismatch for a column that
        is not of a finer level."""
        if not isinstance(action, Generalize) or not action.of_places:
            return action
        level = self._level_of(table, name)
        if level is None or LEVELS.index(level) <= LEVELS.index(action.to or ""):
            cause = f"'generalize' to {action.to} is for columns that 'geography.tables' names for a finer level"
            raise PolicyMismatch("anonymize", f"{table.title}.{name}", cause, "choose another policy for it")
        return replace(action, places=self._standing(level, action.to or ""))

    def _level_of(self, table: Table, name: str) -> str | None:
        for title in table.titles:
            given = self._geography.tables.get(title) if self._geography else None
            if given is not None:
                return next((level for level in _PLACES if getattr(given, level) == name), None)
        return None

    def _standing_for(self, level: str, to: str) -> dict[bytes, bytes]:
        """Each key of a level > the lowest of those with the same place at the level ``to``."""
        steps = [self._above(one) for one in reversed(LEVELS[LEVELS.index(to) + 1 : LEVELS.index(level) + 1])]
        lowest: dict[bytes, bytes] = {}
        within: dict[bytes, bytes] = {}
        for key in steps[0]:
            place: bytes | None = key
            for step in steps:
                place = None if place is None else step.get(place)
            if place is not None:
                within[key] = place
                lowest[place] = min(key, lowest.get(place, key))
        return {key: lowest[within[key]] if key in within else key for key in steps[0]}

    def _parents(self, level: str) -> dict[bytes, bytes | None]:
        """Each key of a level > that of the place above."""
        given = self._geography.levels.get(level) if self._geography else None  # type: ignore[call-overload]
        found: dict[bytes, bytes | None] = {}
        if given is None or given.parent is None:
            return found
        batches = self._read(given.table)
        if batches is None:
            cause = f"a policy makes places of the level '{level}' coarser, and its table is left out of the backup"
            raise InvalidSetting("read", given.table, cause, "take it out of 'exclude', or choose another policy")
        for batch in batches:
            columns = [_plaintexts(batch, name) for name in (given.key, given.parent)]
            found.update(pair for pair in zip(*columns, strict=True) if pair[0] is not None)
        return found


def _plaintexts(batch: pa.RecordBatch, name: str) -> list[bytes | None]:
    place = batch.schema.get_field_index(name)
    values: list[bytes | None] = to_plaintexts(
        batch.column(place), form_of(batch.schema.field(place)) or ""
    ).to_pylist()
    return values
