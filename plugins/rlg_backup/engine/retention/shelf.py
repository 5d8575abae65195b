"""What a target holds of a source: every restore point with its signed facts, and what no record speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ...catalog import Catalog, RestorePoint, backups_of, compare_heads
from ...config.retention import RetentionRules
from ...config.targets import LocalTarget
from ...core.errors import BackupError, ClockImplausible, StorageDenied, TargetUnknown
from ...core.model import backup_time, is_backup_id
from ...core.size import shown_size
from ...format.retention import Hold, State
from ...storage.port import ObjectInfo
from ..quota import usage_of
from ..residency import archive_name, held, unknown
from ..restore_points import Chosen, open_point
from ..wiring import Wiring
from .holds import never_held, not_yet_held
from .planning import NO_QUOTA, Action, Decision, Fact, Room, plan, require_plausible

ABANDONED = timedelta(days=2)  # no run goes on for that long
SKEW = timedelta(minutes=10)  # by which the target's clock may differ from this machine's
_READERS = 8  # a request to a cloud takes 30 ms


@dataclass(frozen=True)
class Shelf:
    """A source's restore points on a target, oldest commit first. ``objects`` are what lies below each id, whatever its
    backup. ``state`` is with the holds that are ``handed_on`` from other targets, which have no record here yet."""

    target: str
    source: str
    facts: tuple[Fact, ...]
    objects: Mapping[str, tuple[ObjectInfo, ...]]
    state: State
    handed_on: tuple[Hold, ...]
    room: Room = NO_QUOTA

    def abandoned(self, now: datetime) -> list[str]:
        """Ids of no restore point (a run that committed nothing; one that was removed and came back), of which nothing
        was written for two days, by either clock."""
        limit = now - ABANDONED
        needed = {fact.backup_id for fact in self.facts} | {removal.backup_id for removal in self.state.removals}
        return [
            name
            for name, objects in sorted(self.objects.items())
            if name not in needed and backup_time(name) < limit and all(info.modified < limit for info in objects)
        ]


def read_shelf(wiring: Wiring, source: str, target: str, now: datetime) -> Shelf:
    """Reads and checks everything that a decision is made from. Writes nothing.

    Raises whatever is wrong with the catalog, with what other targets witnessed of it, with any record or manifest;
    ClockImplausible where what is old cannot be told.
    """
    targets = wiring.source_settings(source).targets
    if target not in targets:
        raise TargetUnknown(
            "find", target, f"source '{source}' has no target of that name", f"it has: {', '.join(targets)}"
        )
    catalogs = {name: wiring.catalog(name, source) for name in targets}
    for finding in compare_heads(catalogs):
        if finding.target == target:
            raise finding.error
    catalog = catalogs[target]
    entries = catalog.entries()
    state = catalog.state(entries)
    points = [point for point in backups_of(entries) if not state.gone(point.sequence)]
    head = catalog.verify_chain(down_to=points[0].sequence if points else None)
    objects = _objects(wiring, source, target)
    handed_on = never_held(catalog, _holds_elsewhere(catalogs, target))
    shelf = Shelf(
        target=target,
        source=source,
        facts=_facts(wiring, catalog, points, objects),
        objects=objects,
        state=state.after(not_yet_held(handed_on, state)),
        handed_on=tuple(handed_on),
    )
    if head is not None:
        times = [point.time for point in backups_of(entries)]
        require_plausible(times, head.record.made_at, rules_of(wiring, source, target), now)
        _require_same_clock(wiring, target)
    return replace(shelf, room=_room(wiring, shelf, now))


def _holds_elsewhere(catalogs: Mapping[str, Catalog], target: str) -> list[Hold]:
    found: list[Hold] = []
    for name, catalog in catalogs.items():
        if name != target:
            with suppress(BackupError):  # that it cannot be read is told where it is its turn
                found += catalog.state().holds
    return found


def rules_of(wiring: Wiring, source: str, target: str) -> RetentionRules:
    """What holds for a source on a target: a folder has no colder tier to archive to."""
    rules = wiring.settings.retention.rules(source, target)
    is_folder = isinstance(wiring.settings.targets[target], LocalTarget)
    return rules.model_copy(update={"archive": None}) if is_folder else rules


def decisions_on(wiring: Wiring, shelf: Shelf, now: datetime) -> list[Decision]:
    """``plan``, with what the target says of locks on those that would be marked or go; raises StorageError."""
    rules = rules_of(wiring, shelf.source, shelf.target)
    facts, asked = list(shelf.facts), set[str]()
    while True:  # ends: what is locked stays, and others that were not asked about may go in its place
        found = plan(facts, shelf.state, rules, now, shelf.room)
        leaving = {one.fact.backup_id for one in found if one.action in (Action.IS_MARKED, Action.GOES)} - asked
        if not leaving:
            return found
        facts = [
            replace(fact, locked_until=_locked_until(wiring, shelf, fact)) if fact.backup_id in leaving else fact
            for fact in facts
        ]
        asked |= leaving


def without_room(shelf: Shelf, decisions: Sequence[Decision]) -> list[str]:
    """What is to be said where too little may go for the room that is wanted."""
    leaving = [one.fact.size for one in decisions if one.action in (Action.IS_MARKED, Action.WAITS, Action.GOES)]
    missing = shelf.room.wanted - sum(leaving)
    return [f"{shelf.room.why}; {shown_size(missing)} of that must stay for other reasons"] if missing > 0 else []


def _room(wiring: Wiring, shelf: Shelf, now: datetime) -> Room:
    """What the source is to give up, so that there is room for what will be made until that is gone, a grace time from
    now. Of several sources on a target each gives up by what it holds. Raises StorageError."""
    usage = usage_of(wiring, shelf.target)
    if usage is None:
        return NO_QUOTA
    grace = rules_of(wiring, shelf.source, shelf.target).grace
    needed, mine = usage.needed(grace.before(now)), usage.of_source(shelf.source)
    going = {removal.backup_id for removal in shelf.state.removals} | set(shelf.abandoned(now))
    over = usage.used + needed - usage.quota - sum(usage.backups[shelf.source, name] for name in going)
    why = f"{usage}, and the next backups take {shown_size(needed)}"
    return Room(max(0, -(-over * mine // max(1, usage.used))), why)


def _locked_until(wiring: Wiring, shelf: Shelf, fact: Fact) -> datetime | None:
    storage = wiring.storage(shelf.target)
    found = [storage.stat(info.key).locked_until for info in shelf.objects.get(fact.backup_id, ())]
    return max((until for until in found if until is not None), default=None)


def _objects(wiring: Wiring, source: str, target: str) -> dict[str, tuple[ObjectInfo, ...]]:
    """What lies below the source's name by backup id; of other names nothing is known, and nothing is done to it."""
    found: dict[str, tuple[ObjectInfo, ...]] = {}
    for info in wiring.storage(target).list(f"{source}/"):
        name = info.key.split("/")[1]
        if is_backup_id(name):
            found[name] = (*found.get(name, ()), info)
    return found


def _facts(
    wiring: Wiring, catalog: Catalog, points: Sequence[RestorePoint], objects: Mapping[str, tuple[ObjectInfo, ...]]
) -> tuple[Fact, ...]:
    def read(point: RestorePoint) -> Fact:
        chosen = open_point(wiring, catalog.source, catalog.target, point)
        parent = chosen.manifest.parent
        return Fact(
            backup_id=point.backup_id,
            sequence=point.sequence,
            kind=point.kind,
            taken_at=chosen.manifest.snapshot.taken_at,
            parent=parent.backup_id if parent else None,
            size=sum(info.size for info in objects.get(point.backup_id, ())),
            whole=_is_whole(wiring, chosen, objects.get(point.backup_id, ())),
        )

    with ThreadPoolExecutor(_READERS, "rlg") as pool:
        return tuple(pool.map(read, points))


def _is_whole(wiring: Wiring, chosen: Chosen, objects: Sequence[ObjectInfo]) -> bool:
    sizes = {info.key: info.size for info in objects}
    if unknown(wiring.settings, chosen.manifest):
        return False
    archives = held(wiring.settings, chosen.target, chosen.manifest)
    return all(sizes.get(f"{chosen.folder}/{archive_name(one.zone)}") == one.size for one in archives)


def require_removable(wiring: Wiring, target: str) -> None:
    """Raises StorageDenied where these credentials may not delete: no record is to say what would not happen."""
    if wiring.storage(target).facts().may_delete is False:
        hint = "run retention where credentials may delete (retention.queue); nothing was removed"
        raise StorageDenied("remove from", target, "these credentials may not delete there", hint)


def _require_same_clock(wiring: Wiring, target: str) -> None:
    skew = wiring.storage(target).facts().clock_skew
    if skew is not None and abs(skew) > SKEW:
        cause = f"the clock of target '{target}' is {abs(skew)} {'ahead' if skew > timedelta(0) else 'behind'}"
        raise ClockImplausible("expire by", "this clock", cause, "set the clock; nothing was marked or removed")
