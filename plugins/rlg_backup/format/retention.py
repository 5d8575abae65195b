"""The retention record: what happens to restore points after their commit (FORMAT.md section 1).

It stands in the chain of commit records, so that nobody can hide, repeat or exchange a hold or an expiry. ``events``
say what it is about, ``state`` what holds from then on: the newest one alone tells how everything stands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ..core.model import Tier
from .chained import Chained, Sequence8
from .document import BackupId, Count, Instant, Record, Sha256, Text

WORD = "retention"
LINE = 500  # characters of a text to people


def _line(value: str) -> str:
    if not (0 < len(value) <= LINE and value.isprintable()):
        raise ValueError(f"it is not one line of 1 to {LINE} printable characters")
    return value


Line = Annotated[str, Field(strict=True), AfterValidator(_line)]


class Hold(Record):
    """Who keeps a backup, or every backup of the source (``backup_id`` null), from expiring, and why. ``subject`` is
    the name of a case, never of a person: the record is not encrypted."""

    hold_id: BackupId
    backup_id: BackupId | None
    subject: Line | None
    reason: Line
    by: Line
    since: Instant

    @model_validator(mode="after")
    def _holds_one_thing(self) -> Self:
        if (self.backup_id is None) == (self.subject is None):
            raise ValueError("it holds either a backup or all those of a subject")
        return self

    def covers(self, backup_id: str) -> bool:
        return self.backup_id in (None, backup_id)


class Mark(Record):
    """A backup that goes after ``due_at``; until then it is restored by its id, and can be brought back."""

    backup_id: BackupId
    reason: Line
    marked_at: Instant
    due_at: Instant


class ListedObject(Record):
    """An object as it was when its backup ceased to be a restore point."""

    key: Text
    size: Count


class Removal(Record):
    """A backup that is no restore point any more, and whose objects are being removed."""

    backup_id: BackupId
    sequence: Sequence8
    reason: Line
    since: Instant
    objects: tuple[ListedObject, ...]


class Drill(Record):
    """The copy that was last restored and found equal, by its manifest."""

    backup_id: BackupId
    manifest_sha256: Sha256
    at: Instant


class ErasedObject(Record):
    """An object that was removed. ``versions`` went with it, itself counted; 0 of one that an earlier run removed."""

    key: Text
    size: Count
    versions: Count


# --- events -----------------------------------------------------------------------------------------


class Held(Record):
    what: Literal["held"] = "held"
    hold: Hold


class Released(Record):
    what: Literal["released"] = "released"
    hold_id: BackupId
    reason: Line


class Marked(Record):
    what: Literal["marked"] = "marked"
    mark: Mark


class Kept(Record):
    """A mark is taken back."""

    what: Literal["kept"] = "kept"
    backup_id: BackupId
    reason: Line


class Expired(Record):
    what: Literal["expired"] = "expired"
    removal: Removal


class Erased(Record):
    """The certificate of deletion: which objects of a backup are gone from the target, as of the record's time."""

    what: Literal["erased"] = "erased"
    removal: Removal
    objects: tuple[ErasedObject, ...]


class Archived(Record):
    """The archives of a backup lie in a colder tier from now on."""

    what: Literal["archived"] = "archived"
    backup_id: BackupId
    sequence: Sequence8
    tier: Tier


class Drilled(Record):
    what: Literal["drilled"] = "drilled"
    drill: Drill


Event = Annotated[Held | Released | Marked | Kept | Archived | Expired | Erased | Drilled, Field(discriminator="what")]


# --- state ------------------------------------------------------------------------------------------


def _apart(value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    edges = [edge for first, last in value for edge in (first, last + 1)]
    if any(first > last for first, last in value) or edges != sorted(set(edges)):
        raise ValueError("they are not ranges in order that are apart from each other")
    return value


Ranges = Annotated[tuple[tuple[Sequence8, Sequence8], ...], AfterValidator(_apart)]


class State(Record):
    """How the backups of a source stand on a target. ``archived`` (by tier) and ``removed`` are ranges of the sequences
    of their commits, both ends included; what was archived and then removed is in both."""

    holds: tuple[Hold, ...]
    marks: tuple[Mark, ...]
    archived: Mapping[Tier, Ranges]
    removals: tuple[Removal, ...]
    removed: Ranges
    drilled: Drill | None

    def marked(self) -> dict[str, Mark]:
        """Marks by the id of their backup."""
        return {mark.backup_id: mark for mark in self.marks}

    def gone(self, sequence: int) -> bool:
        """Whether the backup committed as ``sequence`` is no restore point any more."""
        return _holds(self.removed, sequence) or any(removal.sequence == sequence for removal in self.removals)

    def tier_of(self, sequence: int) -> Tier:
        """Where the archives of the backup committed as ``sequence`` were moved to."""
        return next((tier for tier, ranges in self.archived.items() if _holds(ranges, sequence)), Tier.HOT)

    def after(self, events: Iterable[Event]) -> State:
        """What holds once ``events`` have happened, in their order."""
        state = self
        for event in events:
            state = state.model_copy(update=state._change(event))
        return state

    def _change(self, event: Event) -> dict[str, object]:
        match event:
            case Held(hold=hold):
                return {"holds": (*self.holds, hold)}
            case Released(hold_id=released):
                return {"holds": tuple(hold for hold in self.holds if hold.hold_id != released)}
            case Marked(mark=mark):
                return {"marks": (*self._unmarked(mark.backup_id), mark)}
            case Kept(backup_id=kept):
                return {"marks": self._unmarked(kept)}
            case Archived(sequence=sequence, tier=tier):
                others = {name: _without(ranges, sequence) for name, ranges in self.archived.items()}
                moved = {**others, tier: _with(others.get(tier, ()), sequence)}
                return {"archived": {name: ranges for name, ranges in moved.items() if ranges}}
            case Expired(removal=removal):
                return {"marks": self._unmarked(removal.backup_id), "removals": (*self.removals, removal)}
            case Erased(removal=removal):
                left = tuple(other for other in self.removals if other.sequence != removal.sequence)
                return {"removals": left, "removed": _with(self.removed, removal.sequence)}
            case Drilled(drill=drill):
                return {"drilled": drill}

    def _unmarked(self, backup_id: str) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.marks if mark.backup_id != backup_id)


NOTHING = State(holds=(), marks=(), archived={}, removals=(), removed=(), drilled=None)


def _holds(ranges: Sequence[tuple[int, int]], number: int) -> bool:
    place = bisect_right(ranges, number, key=lambda ends: ends[0])
    return place > 0 and number <= ranges[place - 1][1]


def _with(ranges: Sequence[tuple[int, int]], number: int) -> tuple[tuple[int, int], ...]:
    """Ranges with one more number; those that touch become one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted({*ranges, (number, number)}):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _without(ranges: Sequence[tuple[int, int]], number: int) -> tuple[tuple[int, int], ...]:
    split: list[tuple[int, int]] = []
    for first, last in ranges:
        if first <= number <= last:
            split += [(first, number - 1)] * (first < number) + [(number + 1, last)] * (number < last)
        else:
            split.append((first, last))
    return tuple(split)


class RetentionRecord(Chained):
    """What was decided about restore points, by whom, and how everything stands then."""

    TYPE: ClassVar[str] = "retention"

    record_id: BackupId
    made_at: Instant
    by: Line
    events: Annotated[tuple[Event, ...], Field(min_length=1)]
    state: State

    @property
    def path(self) -> str:
        """The key of the object: ``catalog/<source>/<sequence>-<record_id>-retention.json``."""
        return f"catalog/{self.source}/{self.sequence:08d}-{self.record_id}-{WORD}.json"
