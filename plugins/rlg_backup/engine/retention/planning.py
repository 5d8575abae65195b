"""Which restore points stay and which go: a decision from facts alone, so that it can be tried on any history.

A backup stays when a rule keeps it, or when one that stays is restored from it. Nothing here reads, writes or asks a
clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from ...config.retention import RetentionRules
from ...core.errors import ClockImplausible
from ...core.model import Kind
from ...format.retention import Mark, State

MOST = 1000  # marks at a time: the newest record tells all of them


@dataclass(frozen=True)
class Fact:
    """One restore point, as its signed documents and its target tell. ``whole``: each of its archives is there, in its
    size. ``size``: bytes of all that lies there of it. ``locked_until``: the target lets nobody remove it before."""

    backup_id: str
    sequence: int
    kind: Kind
    taken_at: datetime
    parent: str | None
    whole: bool = True
    size: int = 0
    locked_until: datetime | None = None


@dataclass(frozen=True)
class Room:
    """How many bytes a source is to give up on its target, and why."""

    wanted: int = 0
    why: str = ""


NO_QUOTA = Room()


class Action(StrEnum):
    """What becomes of a restore point now."""

    STAYS = "stays"
    COMES_BACK = "comes back"
    IS_ARCHIVED = "is archived"
    IS_MARKED = "is marked"
    WAITS = "waits"
    GOES = "goes"


@dataclass(frozen=True)
class Decision:
    """Of one restore point: what becomes of it, why, and when it goes unless something changes."""

    fact: Fact
    action: Action
    reasons: tuple[str, ...]
    due_at: datetime | None = None


def require_plausible(times: Sequence[datetime], newest: datetime, rules: RetentionRules, now: datetime) -> None:
    """Raises ClockImplausible where ``now`` is before the ``newest`` signed record, or where a time between backups
    (``times``, in the order of their commits) longer than ``longest_gap`` ended less than a grace time ago: a clock
    that jumped and a long pause look the same."""
    if now < newest:
        cause = f"by this machine's clock it is {shown(now)}, and the newest record was signed at {shown(newest)}"
        raise ClockImplausible("expire by", "this clock", cause, "set the clock; nothing was marked or removed")
    for earlier, later in pairwise([*_ascending([time for time in times if time <= now], now), now]):
        if rules.longest_gap.after(earlier) < later and now < rules.grace.after(later):
            cause = (
                f"no backup was made from {shown(earlier)} to {shown(later)}, which is longer than "
                f"{rules.longest_gap}: the clock jumped, or backups paused"
            )
            hint = f"nothing is marked or removed before backups have gone on for {rules.grace}"
            raise ClockImplausible("expire by", "this clock", cause, hint)


def plan(
    facts: Sequence[Fact], state: State, rules: RetentionRules, now: datetime, room: Room = NO_QUOTA
) -> list[Decision]:
    """What becomes of each restore point of a source on a target; ``facts`` are all there are, oldest commit first.
    Where ``room`` is wanted the oldest go before their age, unless more than that keeps them.

    What goes, goes with all that is restored from it: a decision carried out in any part, later commits first, leaves
    each that stays with its whole chain.
    """
    marks = state.marked()
    young, reasons = _young(facts, rules, now), _reasons_to_stay(facts, state, rules, now)
    crowded = _crowded_out(facts, young, reasons, room.wanted)
    for name in young.keys() - crowded:
        reasons[name].insert(0, young[name])
    _keep_ancestors(facts, reasons)
    cold = _archive(facts, state, reasons, rules, now)
    going = [fact for fact in facts if not reasons[fact.backup_id]]
    due = {fact.backup_id for fact in going if _is_due(marks.get(fact.backup_id), now)}
    due -= _ancestors(facts, [fact for fact in facts if fact.backup_id not in due])
    more = MOST - sum(fact.backup_id in marks for fact in facts)
    decisions: list[Decision] = []
    for fact in reversed(facts):
        why, mark = tuple(reasons[fact.backup_id]), marks.get(fact.backup_id)
        if why:
            moves = Action.IS_ARCHIVED if fact.backup_id in cold else Action.STAYS
            decisions.append(Decision(fact, Action.COMES_BACK if mark else moves, why))
        elif mark is not None:
            action = Action.GOES if fact.backup_id in due else Action.WAITS
            decisions.append(Decision(fact, action, (mark.reason,), mark.due_at))
        elif more > 0:
            more -= 1
            due_at = rules.grace.after(now)
            early = f"{_taken(fact)}, goes before its age: {room.why}"
            reason = early if fact.backup_id in crowded else _too_old(fact, rules)
            decisions.append(Decision(fact, Action.IS_MARKED, (reason,), due_at))
        else:
            decisions.append(Decision(fact, Action.STAYS, (f"{MOST} others are marked already",)))
    return decisions[::-1]


def held_with_chains(facts: Sequence[Fact], state: State) -> set[str]:
    """The ids of what is held, and of all that it is restored from."""
    held = [fact for fact in facts if any(hold.covers(fact.backup_id) for hold in state.holds)]
    return {fact.backup_id for fact in held} | _ancestors(facts, held)


def _young(facts: Sequence[Fact], rules: RetentionRules, now: datetime) -> dict[str, str]:
    """Those whose age is a reason to stay, with it."""
    aged = zip(facts, _ascending([fact.taken_at for fact in facts], now), strict=True)
    return {
        fact.backup_id: f"taken {shown(taken)}, not older than {rules.age(fact.kind)}"
        for fact, taken in aged
        if taken > rules.age(fact.kind).before(now)
    }


def _crowded_out(
    facts: Sequence[Fact], young: Mapping[str, str], firm: Mapping[str, Sequence[str]], wanted: int
) -> set[str]:
    """Ids of what its age alone keeps and that is to go for room: the oldest first, each with all that is restored from
    it, until these and what goes anyway are as large as ``wanted``."""
    kept = [fact for fact in facts if firm[fact.backup_id]]
    firmly = {fact.backup_id for fact in kept} | _ancestors(facts, kept)
    staying = firmly | young.keys() | _ancestors(facts, [fact for fact in facts if fact.backup_id in young])
    freed = sum(fact.size for fact in facts if fact.backup_id not in staying)
    crowded: set[str] = set()
    for number, oldest in enumerate(facts):
        if freed >= wanted:
            break
        if oldest.backup_id in staying - firmly - crowded:
            family = {oldest.backup_id}
            for fact in facts[number + 1 :]:
                family |= {fact.backup_id} if fact.parent in family else set()
            family &= staying - crowded
            freed += sum(fact.size for fact in facts if fact.backup_id in family)
            crowded |= family
    return crowded & young.keys()


def _reasons_to_stay(facts: Sequence[Fact], state: State, rules: RetentionRules, now: datetime) -> dict[str, list[str]]:
    """Those that hold whatever the age."""
    reasons: dict[str, list[str]] = {fact.backup_id: [] for fact in facts}
    for fact in facts:
        found = reasons[fact.backup_id]
        found += [_held(hold.subject, hold.reason, hold.by) for hold in state.holds if hold.covers(fact.backup_id)]
        if state.drilled is not None and state.drilled.backup_id == fact.backup_id:
            found.append(f"the last one drilled, {shown(state.drilled.at)}")
        if fact.locked_until is not None and fact.locked_until > now:
            found.append(f"locked by its target until {shown(fact.locked_until)}")
    restorable = _restorable(facts)
    for fact in restorable[-1:]:
        reasons[fact.backup_id].append("the newest that can be restored")
    for kind, count in rules.at_least.items():
        for fact in [fact for fact in restorable if fact.kind is kind][-count:] if count else []:
            reasons[fact.backup_id].append(f"one of the newest {count} of kind {kind}")
    return reasons


def _archive(
    facts: Sequence[Fact], state: State, reasons: dict[str, list[str]], rules: RetentionRules, now: datetime
) -> set[str]:
    """Keeps in a colder tier what no other rule keeps and is not too old for that, with its chain; returns the ids of
    what is to be moved there."""
    archive = rules.archive
    if archive is None:
        return set()
    warm = {name for name, found in reasons.items() if found}
    for fact, taken in zip(facts, _ascending([fact.taken_at for fact in facts], now), strict=True):
        if fact.backup_id not in warm and taken > archive.keep.before(now):
            kept = f"archived as '{archive.tier}', kept there for {archive.keep}"
            reasons[fact.backup_id].append(f"{_too_old(fact, rules)}: {kept}")
    cold = [fact for fact in facts if fact.backup_id not in warm]
    _keep_ancestors(cold, reasons)
    return {
        fact.backup_id
        for fact in cold
        if reasons[fact.backup_id] and archive.tier.colder_than(state.tier_of(fact.sequence))
    }


def _keep_ancestors(facts: Sequence[Fact], reasons: dict[str, list[str]]) -> None:
    """Adds to what is kept all that it is restored from; children have later sequences than their parents."""
    for fact in reversed(facts):
        if reasons[fact.backup_id] and fact.parent in reasons:
            reasons[fact.parent].append(f"'{fact.backup_id}', which stays, is restored from it")


def _ancestors(facts: Sequence[Fact], of: Iterable[Fact]) -> set[str]:
    by_id = {fact.backup_id: fact for fact in facts}
    found: set[str] = set()
    for fact in of:
        parent = fact.parent
        while parent in by_id and parent not in found:
            found.add(parent)
            parent = by_id[parent].parent
    return found


def _restorable(facts: Sequence[Fact]) -> list[Fact]:
    """Those that are whole with all they are restored from."""
    sound: set[str] = set()
    for fact in facts:
        if fact.whole and (fact.parent is None or fact.parent in sound):
            sound.add(fact.backup_id)
    return [fact for fact in facts if fact.backup_id in sound]


def _ascending(times: Sequence[datetime], now: datetime) -> list[datetime]:
    """Times in the order of commits, which is sure as no worker's clock is: none is earlier than one before it, but for
    those after ``now``, which count for themselves alone."""
    found: list[datetime] = []
    newest: datetime | None = None
    for time in times:
        if time <= now:
            newest = time if newest is None else max(newest, time)
        found.append(time if newest is None or time > now else newest)
    return found


def _is_due(mark: Mark | None, now: datetime) -> bool:
    return mark is not None and mark.due_at <= now


def _taken(fact: Fact) -> str:
    return f"{fact.kind}, taken {shown(fact.taken_at)}"


def _too_old(fact: Fact, rules: RetentionRules) -> str:
    return f"{_taken(fact)}, older than {rules.age(fact.kind)}"


def _held(subject: str | None, reason: str, by: str) -> str:
    return f"held for '{subject}': {reason} ({by})" if subject else f"held: {reason} ({by})"


def shown(moment: datetime) -> str:
    """A time to people, UTC."""
    return f"{moment:%Y-%m-%d %H:%M}Z"
