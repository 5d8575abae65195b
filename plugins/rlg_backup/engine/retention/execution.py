"""expire: marks what the policy does not keep, and removes what was marked a grace time before.

All is decided again under the source's lease. A signed record comes first and the objects go after it, so that
whatever stops this leaves a backup that is listed and whole, or one that is not listed and whose rest the next run
removes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from ...catalog import Lease
from ...core.errors import BackupError, ObjectLocked
from ...core.model import Verdict
from ...format.retention import LINE, Archived, Erased, Event, Expired, Kept, ListedObject, Mark, Marked, Removal, State
from ..erasure import lock_entries
from ..lease import held
from ..verify import verdict_of
from ..wiring import Wiring
from .holds import not_yet_held
from .planning import Action, Decision, held_with_chains
from .record import put_on_record
from .removal import erase_backup, held_until, lock_held, move_archives, remove_abandoned
from .shelf import Shelf, decisions_on, read_shelf, require_removable, rules_of, without_room

log = logging.getLogger(__name__)

BATCH = 100  # backups that one record says to be going


@dataclass
class Outcome:
    """What was decided and done about a source on one target; ``error`` stopped it, ``failures`` did not. ``warnings``
    are of what the policy cannot help."""

    source: str
    target: str
    dry_run: bool
    decisions: list[Decision] = field(default_factory=list)
    certificates: list[Erased] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[BackupError] = field(default_factory=list)
    error: BackupError | None = None

    @property
    def verdict(self) -> Verdict:
        if self.error is not None:
            return verdict_of(self.error)
        return Verdict.FAIL if self.failures else Verdict.PASS

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "verdict": self.verdict.value,
            "dry_run": self.dry_run,
            "restore_points": [_told(decision) for decision in self.decisions],
            "certificates": [certificate.to_dict() for certificate in self.certificates],
            "abandoned": self.abandoned,
            "warnings": self.warnings,
            "failures": [str(error) for error in (*self.failures, *([self.error] if self.error else []))],
        }


def expire(wiring: Wiring, source: str, target: str, *, dry_run: bool = False) -> Outcome:
    """Carries the retention policy out for one source on one target. What goes wrong is in the outcome.

    ``dry_run`` decides and writes nothing, and needs neither lease nor signing key. Idempotent.
    """
    outcome = Outcome(source, target, dry_run)
    try:
        if dry_run:
            now = _now(wiring)
            shelf = read_shelf(wiring, source, target, now)
            outcome.decisions, outcome.abandoned = decisions_on(wiring, shelf, now), shelf.abandoned(now)
            outcome.warnings += without_room(shelf, outcome.decisions)
        else:
            wiring.signing_key  # noqa: B018  # without one nothing can be said, so nothing is begun
            with held(wiring, source, target) as lease:
                _carry_out(wiring, lease, outcome)
    except BackupError as error:  # one target's trouble is not another's
        outcome.error = error
    return outcome


def changes(decisions: Sequence[Decision], state: State, now: datetime) -> list[Event]:
    """The marks to set and to take back, where ``state`` does not have them so already."""
    marks = state.marked()
    found: list[Event] = []
    for decision in decisions:
        backup_id = decision.fact.backup_id
        marked = backup_id in marks
        if decision.action is Action.COMES_BACK and marked:
            found.append(Kept(backup_id=backup_id, reason=decision.reasons[0][:LINE]))
        elif decision.action is Action.IS_MARKED and decision.due_at is not None and not marked:
            mark = Mark(backup_id=backup_id, reason=decision.reasons[0], marked_at=now, due_at=decision.due_at)
            found.append(Marked(mark=mark))
    return found


def _carry_out(wiring: Wiring, lease: Lease, outcome: Outcome) -> None:
    now = _now(wiring)
    shelf = read_shelf(wiring, outcome.source, outcome.target, now)
    _remove(wiring, lease, shelf, shelf.state.removals, outcome)  # what a run before began
    outcome.decisions = decisions_on(wiring, shelf, now)
    outcome.warnings += without_room(shelf, outcome.decisions)
    put_on_record(wiring, lease, lambda state: not_yet_held(shelf.handed_on, state))
    put_on_record(wiring, lease, lambda state: changes(outcome.decisions, state, now))
    _lock_held(wiring, shelf, outcome, held_until(now))
    cold = [one for one in outcome.decisions if one.action is Action.IS_ARCHIVED]
    for start in range(0, len(cold), BATCH):
        _archive(wiring, lease, shelf, cold[start : start + BATCH], outcome)
    going = [one for one in reversed(outcome.decisions) if one.action is Action.GOES]  # later commits first
    if going:
        require_removable(wiring, outcome.target)
    for start in range(0, len(going), BATCH):
        removals = [_removal(shelf, decision, now) for decision in going[start : start + BATCH]]
        put_on_record(wiring, lease, partial(_new_removals, removals))
        _remove(wiring, lease, shelf, removals, outcome)
    for name in shelf.abandoned(now):
        if _is_listed_elsewhere(wiring, shelf, name):
            continue
        lease.renew()
        try:
            remove_abandoned(wiring, shelf, name)
            outcome.abandoned.append(name)
        except ObjectLocked as error:  # from the request that made it; it goes once the lock has ended
            log.info("%s", error)


def _lock_held(wiring: Wiring, shelf: Shelf, outcome: Outcome, until: datetime) -> None:
    """Where the target is to lock, what is held is locked on, with its chain, and requests to erase for as long as what
    they are replayed in; what cannot be does not stop the rest."""
    if wiring.settings.targets[shelf.target].lock == "none":
        return
    jobs = [partial(lock_entries, wiring, shelf.source, shelf.target, until if shelf.state.holds else None)]
    if shelf.state.holds:
        records = {point.backup_id: point.key for point in wiring.catalog(shelf.target, shelf.source).points()}
        held = sorted(held_with_chains(shelf.facts, shelf.state))
        jobs += [partial(lock_held, wiring, shelf, backup_id, records[backup_id], until) for backup_id in held]
    for job in jobs:
        try:
            job()
        except BackupError as error:
            log.error("%s", error)
            outcome.failures.append(error)


def _is_listed_elsewhere(wiring: Wiring, shelf: Shelf, backup_id: str) -> bool:
    """Whether another target lists, or may list, a backup that was not committed here: where rows of zones lie apart it
    may need what lies here."""
    if not wiring.settings.residency.zones:
        return False
    others = [target for target in wiring.source_settings(shelf.source).targets if target != shelf.target]
    try:
        return any(backup_id in {point.backup_id for point in wiring.catalog(o, shelf.source).points()} for o in others)
    except BackupError as error:
        log.warning("what '%s' left on '%s' stays there for now: %s", backup_id, shelf.target, error)
        return True


def _archive(wiring: Wiring, lease: Lease, shelf: Shelf, cold: Sequence[Decision], outcome: Outcome) -> None:
    """Moves the archives of backups to a colder tier, and says so; one that cannot be moved does not stop the rest."""
    archive = rules_of(wiring, shelf.source, shelf.target).archive
    assert archive is not None
    done: list[Archived] = []
    for decision in cold:
        fact = decision.fact
        lease.renew()
        try:
            move_archives(wiring, shelf, fact.backup_id, archive.tier)
            done.append(Archived(backup_id=fact.backup_id, sequence=fact.sequence, tier=archive.tier))
        except BackupError as error:
            log.error("%s", error)
            outcome.failures.append(error)
    put_on_record(wiring, lease, lambda state: [one for one in done if state.tier_of(one.sequence) != one.tier])


def _removal(shelf: Shelf, decision: Decision, now: datetime) -> Removal:
    fact = decision.fact
    listed = tuple(ListedObject(key=info.key, size=info.size) for info in shelf.objects.get(fact.backup_id, ()))
    return Removal(
        backup_id=fact.backup_id, sequence=fact.sequence, reason=decision.reasons[0], since=now, objects=listed
    )


def _new_removals(removals: Sequence[Removal], state: State) -> list[Event]:
    return [Expired(removal=removal) for removal in removals if not state.gone(removal.sequence)]


def _remove(wiring: Wiring, lease: Lease, shelf: Shelf, removals: Sequence[Removal], outcome: Outcome) -> None:
    """Removes what records say to be going, and certifies it; one that cannot be removed yet does not stop the rest."""
    done: list[Erased] = []
    for removal in removals:
        lease.renew()  # raises LeaseLost: who was superseded removes nothing any more
        try:
            done.append(erase_backup(wiring, shelf.source, shelf.target, removal))
        except BackupError as error:
            log.error("%s", error)
            outcome.failures.append(error)
    if done:
        put_on_record(wiring, lease, lambda state: [one for one in done if one.removal in state.removals])
        outcome.certificates += done


def _now(wiring: Wiring) -> datetime:
    """To the second, as records tell it."""
    return wiring.clock().replace(microsecond=0)


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "backup_id": decision.fact.backup_id,
        "kind": decision.fact.kind.value,
        "time": f"{decision.fact.taken_at:%Y-%m-%dT%H:%M:%SZ}",
        "action": decision.action.value,
        "due_at": f"{decision.due_at:%Y-%m-%dT%H:%M:%SZ}" if decision.due_at else None,
        "reasons": list(decision.reasons),
    }
