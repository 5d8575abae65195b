"""Change tracking: what the parent's run left of the rows it saw, and what this one leaves for the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..anonymize.actions import words_of
from ..anonymize.generalizing import Generalize
from ..config.settings import TableSettings
from ..format.change_state import StatePart, StateTable, identity_of
from ..format.digest import WRITTEN
from ..format.names import table_segment
from ..format.row_hash import Lanes
from ..format.row_numbers import PART_ROWS, Addresses, together, write_numbers
from .members import StagedMembers
from .parent_state import ParentState

if TYPE_CHECKING:
    from ..anonymize.actions import Action
    from ..sources.port import Table

BAG_ROWS: Final = 2_000_000
"""Rows of a table that are told apart by their numbers, at most: they are in memory. Larger ones are saved whole."""
FEW: Final = 100_000
"""Rows that may have gone from any table before it is saved whole again, however small it is."""


@dataclass(frozen=True)
class Tracking:
    """What a run needs to tell changes: the members of the state it makes, and its parent's where it has one."""

    members: StagedMembers
    settings: TableSettings
    tokenization_key: str
    parent: ParentState | None = None

    def table(self, table: Table, actions: Mapping[str, Action]) -> TrackedTable:
        """A table with the policies of its columns."""
        base, policies = self._base(table), {name: _told(action) for name, action in actions.items()}
        identity = saved_as(base, policies)
        before = self.parent.table(table, identity) if self.parent else None
        by_place = before is not None and table.storage is not None and before.storage == table.storage
        if before is not None and not by_place and before.rows > BAG_ROWS:
            before = None
        if before is not None and before.gone > max(before.rows, FEW):
            before = None  # a restore holds what went in memory, and reads it all
        return TrackedTable(table, identity, {"base": base, "policies": policies}, self.members, self.parent, before)

    def _base(self, table: Table) -> str:
        """Of all but policies that decides what a saved row of a table is."""
        geography = self.settings.geography.model_dump(mode="json") if self.settings.geography else None
        columns = [[one.name, one.declared_type, one.nullable, one.key] for one in table.columns]  # as ``layers`` asks
        words = [columns, geography, dict(table.options)]
        return identity_of(table.identity, table.fingerprint, json.dumps(words), self.tokenization_key, WRITTEN)


def saved_as(base: str, policies: Mapping[str, str]) -> str:
    """The identity of a table that is saved under ``policies``, which are told in words (``_told``)."""
    return identity_of(base, json.dumps(dict(sorted(policies.items()))))


def _told(action: Action) -> str:
    """An action in its own words, with the places that it leaves: a row that is not read again would keep one that
    stands for its city no more, and may be gone."""
    if not isinstance(action, Generalize) or not action.of_places:
        return words_of(action)
    places = sorted((key.hex(), place.hex()) for key, place in action.places.items())
    return identity_of(words_of(action), json.dumps(places))


class TrackedTable:
    """What is known of one table's rows from before, and what is told of them to the next run. Shared by threads."""

    def __init__(
        self,
        table: Table,
        identity: str,
        made_of: Mapping[str, Any],
        members: StagedMembers,
        parent: ParentState | None,
        before: StateTable | None,
    ) -> None:
        """``made_of``: what ``saved_as`` made the identity of."""
        self.storage = table.storage
        self.before, self.made_of = before, made_of
        self._table, self._identity, self._members, self._parent = table, identity, members, parent
        self._segment, self._numbers, self._one = table_segment(table.schema, table.name), count(), Lock()
        self._parts: list[StatePart] = []

    @property
    def by_place(self) -> bool:
        """Whether its rows are told apart by where they lie."""
        return self.before is not None and self.storage is not None and self.before.storage == self.storage

    @property
    def position_before(self) -> Mapping[str, str]:
        """Where the source stood when the rows of before were read."""
        assert self._parent is not None
        return self._parent.state.position

    def rows_before(self, first: int, last: int | None) -> tuple[Lanes, Addresses]:
        assert self._parent is not None and self.before is not None
        return self._parent.rows(self.before, first, last)

    def numbers_before(self) -> Lanes:
        assert self._parent is not None and self.before is not None
        return self._parent.numbers(self.before)

    def note(self, numbers: Lanes, addresses: Addresses | None) -> None:
        """Writes rows down for the next run."""
        if addresses is not None and (addresses.place[1:] < addresses.place[:-1]).any():
            order = np.argsort(addresses.place)
            numbers, addresses = (numbers[0][order], numbers[1][order]), addresses.of(order)
        for start in range(0, len(numbers[0]), PART_ROWS):
            piece = slice(start, start + PART_ROWS)
            self._write((numbers[0][piece], numbers[1][piece]), None if addresses is None else addresses.of(piece))

    def _write(self, numbers: Lanes, addresses: Addresses | None) -> None:
        with self._one:
            name = f"rows/{self._segment}/part-{next(self._numbers):05d}.parquet"
        with self._members.stored(name) as sink:
            write_numbers(sink, numbers, addresses)
        places = (0, 0) if addresses is None else (int(addresses.place[0]), int(addresses.place[-1]))
        with self._one:
            self._parts.append(StatePart(member=name, rows=len(numbers[0]), first=places[0], last=places[1]))

    def state(self, digest: str, removed: int, detected: Mapping[str, str]) -> StateTable:
        """What the state says of it; ``digest`` is that of all its rows, ``removed`` rows went since the parent,
        ``detected`` columns were tokenized without a policy."""
        return StateTable(
            schema=self._table.schema,
            name=self._table.name,
            identity=self._identity,
            storage=self.storage,
            rows=sum(part.rows for part in self._parts),
            gone=self.before.gone + removed if self.before else 0,
            detected=detected,
            digest=digest,
            parts=tuple(sorted(self._parts, key=lambda part: part.member)),
        )


class NotedRows:
    """Rows of one piece of a table, held until they are worth a part."""

    def __init__(self, table: TrackedTable) -> None:
        self._table = table
        self._numbers: list[Lanes] = []
        self._addresses: list[Addresses] = []
        self._rows = 0

    def add(self, numbers: Lanes, addresses: Addresses | None) -> None:
        self._numbers.append(numbers)
        self._addresses += [addresses] if addresses is not None else []
        self._rows += len(numbers[0])
        if self._rows >= PART_ROWS:
            self.close()

    def close(self) -> None:
        """Writes what is held."""
        if self._rows:
            addresses = Addresses.together(self._addresses) if self._addresses else None
            self._table.note(together(self._numbers), addresses)
        self._numbers, self._addresses, self._rows = [], [], 0


class RemovedRows:
    """The numbers of the rows of one table that are there no more, as members of the archive. For several threads."""

    def __init__(self, members: StagedMembers, segment: str) -> None:
        self._members, self._segment, self._one = members, segment, Lock()
        self._held: list[Lanes] = []
        self._waiting = 0
        self.names: list[str] = []
        self.rows = 0

    def add(self, numbers: Lanes) -> None:
        with self._one:
            self._held.append(numbers)
            self._waiting += len(numbers[0])
            self.rows += len(numbers[0])
            if self._waiting >= PART_ROWS:  # counted: a large table comes in very many small pieces
                self._flush()

    def close(self) -> None:
        with self._one:
            self._flush()

    def _flush(self) -> None:
        numbers, self._held, self._waiting = together(self._held), [], 0
        for start in range(0, len(numbers[0]), PART_ROWS):
            self.names.append(f"removed/{self._segment}/part-{len(self.names):05d}.parquet")
            with self._members.stored(self.names[-1]) as sink:
                write_numbers(sink, (numbers[0][start : start + PART_ROWS], numbers[1][start : start + PART_ROWS]))
