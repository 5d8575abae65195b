"""What a change to a database works with: the session, seeded chance, and a clock of the platform's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from .chance import TODAY, pick
from .databases import Session
from .platform import Value


@dataclass
class Editor:
    """``clock`` moves one second with each change, from the latest change the database knows of: no two
    changes have one time, so the triggers that set the host's own time stay silent."""

    session: Session
    rng: Random
    clock: datetime = TODAY

    def now(self) -> str:
        return self.clock.isoformat() + "Z"

    def tick(self) -> None:
        self.clock += timedelta(seconds=1)

    def start_after(self, table: str) -> None:
        """Sets the clock from a table's ``updated_at``."""
        latest = self.one(f"SELECT max(updated_at) FROM {table}")  # noqa: S608 - our own table names
        if latest:  # text in SQLite
            self.clock = max(TODAY, datetime.fromisoformat(str(latest)).replace(tzinfo=None))

    def run(self, sql: str, *values: Value) -> int:
        """Rows changed by a statement."""
        return self.session.run(sql, values)

    def row(self, sql: str, *values: Value) -> tuple[Any, ...] | None:
        return next(iter(self.session.rows(sql, values)), None)

    def one(self, sql: str, *values: Value) -> Any:
        """The first value of the first row, or None."""
        found = self.row(sql, *values)
        return found[0] if found else None

    def some(self, table: str, key: str = "id") -> int | None:
        """One of the integer keys of a table, or None of an empty one."""
        span = self.row(f"SELECT min({key}), max({key}) FROM {table}")  # noqa: S608 - our own names
        if span is None or span[0] is None:
            return None
        at: int = self.rng.randint(*span)
        return int(self.one(f"SELECT {key} FROM {table} WHERE {key} >= ? ORDER BY {key} LIMIT 1", at))  # noqa: S608

    def next_key(self, table: str) -> int:
        """An integer key above all there are."""
        return int(self.one(f"SELECT coalesce(max(id), 0) + 1 FROM {table}"))  # noqa: S608 - our own names

    def insert(self, table: str, **values: Value) -> bool:
        """Adds a row; always true, as the last line of a change."""
        self.session.insert(table, values)
        return True

    def offer(self, town: int | None) -> tuple[str, str, int]:
        """Plan, period and cents of one of the offers at a town, or where the place is unknown."""
        country = self.one("SELECT country_code FROM places WHERE town_id = ?", town)
        country = country or self.one("SELECT min(country_code) FROM prices WHERE tier = 'global'")
        sql = "SELECT plan, period, amount_cents FROM prices WHERE country_code = ? ORDER BY plan, period"
        found: tuple[str, str, int] = pick(self.rng, self.session.rows(sql, (country,)))
        return found


@dataclass(frozen=True)
class Change:
    """A kind of change (insert, update, delete or rekey), how often it is drawn, and how it is made.

    ``make`` returns whether there was anything to change.
    """

    kind: str
    weight: int
    make: Callable[[Editor], bool]


Changes = Sequence[Change]
