"""The words of docs/vocabulary as types: what every layer may speak of."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
BACKUP_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
LEVELS = ("region", "country", "city", "town")


class Kind(StrEnum):
    """What a backup is relative to: nothing, the last of any kind, the last full one."""

    FULL = "full"
    INCREMENTAL = "incremental"
    DIFFERENTIAL = "differential"


class Fidelity(StrEnum):
    """Whether a restore gives back the original values (with the tokenization key) or masked ones."""

    RECOVERABLE = "recoverable"
    MASKED = "masked"


class Verdict(StrEnum):
    """What a check may end in. What could not be checked is never green."""

    PASS = "PASS"  # noqa: S105  # not a password
    FAIL = "FAIL"
    COULD_NOT_VERIFY = "COULD-NOT-VERIFY"

    @property
    def exit_code(self) -> int:
        return {"PASS": 0, "FAIL": 1, "COULD-NOT-VERIFY": 3}[self.value]

    @staticmethod
    def of(verdicts: Iterable[Verdict]) -> Verdict:
        """The verdict of a whole: FAIL over COULD-NOT-VERIFY over PASS; of nothing, COULD-NOT-VERIFY."""
        found = set(verdicts)
        if Verdict.FAIL in found:
            return Verdict.FAIL
        return Verdict.PASS if found == {Verdict.PASS} else Verdict.COULD_NOT_VERIFY


class Tier(StrEnum):
    """How cold an object lies: the colder, the cheaper to keep and the dearer or slower to read."""

    HOT = "hot"
    COOL = "cool"
    COLD = "cold"
    ARCHIVE = "archive"

    def colder_than(self, other: Tier) -> bool:
        order = list(Tier)
        return order.index(self) > order.index(other)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. Holds counts and names, never a row value.

    ``measured`` and ``expected`` are short texts for a person; ``seconds`` is wall time.
    """

    group: str
    name: str
    verdict: Verdict
    measured: str
    expected: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Excluded:
    """A table or file that is not saved, and why. ``name`` is the source's own name for it."""

    name: str
    reason: str


@dataclass(frozen=True)
class SnapshotIdentity:
    """Which system was read and at which of its states: stable texts, no secrets.

    ``system`` stays the same for one database or tree; ``marker`` changes with its content where the
    driver can tell; ``taken_at`` is UTC.
    """

    system: str
    marker: str
    taken_at: datetime


@dataclass(frozen=True)
class Copy:
    """A committed backup on one target. After ``due_at`` (UTC) it may be removed there; ``tier`` is where its archives
    were moved to."""

    target: str
    sequence: int
    due_at: datetime | None = None
    tier: Tier = Tier.HOT


def new_backup_id(now: datetime) -> str:
    """``20261123T020000Z-7f3a9c2e``: sorts by time; 32 random bits keep two hosts apart."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def is_backup_id(name: str) -> bool:
    """Whether a name is that of a backup's folder."""
    try:
        return bool(BACKUP_ID.fullmatch(name) and backup_time(name))
    except ValueError:  # digits that are no date
        return False


def backup_time(backup_id: str) -> datetime:
    """The UTC time an id was made, to the second."""
    return datetime.strptime(backup_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
