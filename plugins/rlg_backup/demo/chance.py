"""Seeded chance: equal seeds give equal values on every host, whatever its clock, locale or hash seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import TypeVar

TODAY = datetime(2026, 9, 1)  # the platform's own "now", UTC; the real date never enters
HISTORY = 3 * 365 * 86_400  # seconds before TODAY in which everything happened
_DAY_ONE = date(2026, 9, 1)

T = TypeVar("T")


def stream(seed: int, name: str) -> Random:
    """A generator of its own for each table: a change to one table leaves the others as they were."""
    return Random(f"{seed}/{name}")  # noqa: S311 - made-up data, no secret


def instant(seconds_ago: int) -> str:
    """``2026-08-31T23:59:59Z``; negative is after TODAY."""
    return (TODAY - timedelta(seconds=seconds_ago)).isoformat() + "Z"


def some_time(rng: Random, within: int = HISTORY) -> str:
    """A moment in the last ``within`` seconds before TODAY."""
    return instant(int(rng.random() * within))


def day(days_ago: int) -> str:
    """``2026-08-31``."""
    return (_DAY_ONE - timedelta(days=days_ago)).isoformat()


def pick(rng: Random, values: Sequence[T]) -> T:
    """One of the values; a third of the cost of ``Random.choice``."""
    return values[int(rng.random() * len(values))]


def number(rng: Random, end: int) -> int:
    """An id from 1 to ``end``, both included."""
    return 1 + int(rng.random() * end)


def document(value: object) -> str:
    """JSON text with sorted keys."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
