"""Holds: what no policy removes, because somebody says so, on record. And what a drill has proven."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...catalog import Catalog, Lease
from ...core.errors import BackupError, BackupNotFound, CatalogError, DamageError, InvalidSetting, ObjectMissing
from ...core.model import Verdict, new_backup_id
from ...format.retention import LINE, Drill, Drilled, Event, Held, Hold, Kept, Released, State
from ..chains import chain_of
from ..lease import held, whoever
from ..restore_points import choose
from ..wiring import Wiring
from .record import Decide, put_on_record


@dataclass
class Noted:
    """On which targets something was put on record, and why not on others."""

    hold: Hold
    targets: list[str] = field(default_factory=list)
    missing: dict[str, BackupError] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        missing = {target: str(error) for target, error in self.missing.items()}
        return {**self.hold.to_dict(), "targets": self.targets, "missing": missing}


def hold(wiring: Wiring, source: str, *, backup: str | None = None, subject: str | None = None, reason: str) -> Noted:
    """Keeps a backup (an id or its beginning), or for a ``subject`` every backup of the source, present and future,
    until it is released; marks of it and of what it is restored from are taken back. On every target that has it. Each
    call is a hold of its own.

    Raises BackupNotFound where no target has the backup; otherwise what is wrong with a target is in the result.
    """
    backup_id = _found(wiring, source, backup) if backup else None
    made = Hold(
        hold_id=new_backup_id(wiring.clock()),
        backup_id=backup_id,
        subject=subject,
        reason=reason,
        by=whoever(),
        since=wiring.clock(),
    )
    holders = _holders(wiring, source, backup_id)
    return _on_each(wiring, source, made, holders, lambda target: _holding(wiring, source, target, made))


def undo(wiring: Wiring, source: str, backup: str, reason: str) -> Noted:
    """Brings a marked backup back, and holds it: else the next run would mark it again. Raises BackupNotFound, and
    InvalidSetting for one that is not marked on any target."""
    backup_id = _found(wiring, source, backup)
    targets = _holders(wiring, source, backup_id)
    if not any(wiring.catalog(target, source).state().marked().get(backup_id) for target in targets):
        raise InvalidSetting(
            "undo the expiry of", backup_id, "it is not marked", f"hold it: rlg-backup hold {backup_id}"
        )
    return hold(wiring, source, backup=backup_id, reason=reason)


def release(wiring: Wiring, source: str, which: str, reason: str) -> Noted:
    """Ends a hold, by its id or the beginning of it, on every target. Raises BackupNotFound for none, or several."""
    found = {hold.hold_id: hold for hold, _ in list_holds(wiring, source) if hold.hold_id.startswith(which)}
    if len(found) != 1:
        cause = f"source '{source}' has {len(found) or 'no'} hold{'s' if found else ''} whose id begins so"
        raise BackupNotFound("release", which, cause, "'rlg-backup hold' lists them")
    ended = next(iter(found.values()))

    def decide(state: State) -> list[Event]:
        there = any(hold.hold_id == ended.hold_id for hold in state.holds)
        return [Released(hold_id=ended.hold_id, reason=reason)] if there else []

    return _on_each(wiring, source, ended, wiring.source_settings(source).targets, lambda _: decide)


def hand_on(wiring: Wiring, lease: Lease, holds: Iterable[Hold]) -> None:
    """Puts on the target of ``lease`` what other targets hold and it never did. Idempotent; raises as
    commit_retention."""
    source, target = lease.source, lease.store.name
    for one in never_held(wiring.catalog(target, source), holds):
        put_on_record(wiring, lease, _holding(wiring, source, target, one))


def never_held(catalog: Catalog, holds: Iterable[Hold]) -> list[Hold]:
    """Those of ``holds`` that were never on record there: one that was released there stays released."""
    known = {one.hold_id for one in catalog.state().holds}
    missing = {one.hold_id: one for one in holds if one.hold_id not in known}
    if missing:  # else no record of the past need be read
        for event in catalog.events():
            if isinstance(event, Held):
                missing.pop(event.hold.hold_id, None)
    return list(missing.values())


def not_yet_held(holds: Iterable[Hold], state: State) -> list[Event]:
    """What puts them on record, but for those that are."""
    known = {one.hold_id for one in state.holds}
    return [Held(hold=one) for one in holds if one.hold_id not in known]


def list_holds(wiring: Wiring, source: str) -> list[tuple[Hold, tuple[str, ...]]]:
    """Each hold of a source with the targets that have it, oldest first. Raises what is wrong with a target: a hold
    there might be missing from the list."""
    found: dict[str, tuple[Hold, tuple[str, ...]]] = {}
    for target in wiring.source_settings(source).targets:
        for one in wiring.catalog(target, source).state().holds:
            known = found.get(one.hold_id, (one, ()))[1]
            found[one.hold_id] = (one, (*known, target))
    return sorted(found.values(), key=lambda item: item[0].since)


def note_drill(wiring: Wiring, source: str, target: str, backup_id: str, manifest_sha256: str) -> None:
    """Puts on record that this copy was restored and found equal: it stays until another one was. Idempotent.

    Raises LeaseHeld and as commit_retention.
    """
    drill = Drill(backup_id=backup_id, manifest_sha256=manifest_sha256, at=wiring.clock())

    def decide(state: State) -> list[Event]:
        known = state.drilled
        again = known is not None and (known.backup_id, known.manifest_sha256) == (backup_id, manifest_sha256)
        return [] if again else [Drilled(drill=drill)]

    with held(wiring, source, target) as lease:
        put_on_record(wiring, lease, decide)


def note_drills(wiring: Wiring, blocks: Sequence[Mapping[str, Any]]) -> dict[str, BackupError]:
    """``note_drill`` for each block of a drill that passed; by source, why one could not be put on record."""
    failures: dict[str, BackupError] = {}
    for block in blocks:
        passed = Verdict.of(Verdict(check["verdict"]) for check in block["checks"]) is Verdict.PASS
        if passed and block.get("backup_id"):
            try:
                note_drill(wiring, block["source"], block["target"], block["backup_id"], block["manifest_sha256"])
            except BackupError as error:  # the other sources' drills are noted all the same
                failures[block["source"]] = error
    return failures


def _on_each(
    wiring: Wiring, source: str, about: Hold, targets: Sequence[str], decide_on: Callable[[str], Decide]
) -> Noted:
    done = Noted(about)
    for target in targets:
        try:
            with held(wiring, source, target) as lease:
                put_on_record(wiring, lease, decide_on(target))
            done.targets.append(target)
        except BackupError as error:  # the other targets' backups are held all the same, and it is said
            done.missing[target] = error
    return done


def _holding(wiring: Wiring, source: str, target: str, hold: Hold) -> Decide:
    """A hold, and the marks of what it keeps on a target taken back."""
    needed = _chain(wiring, source, target, hold.backup_id) if hold.backup_id else set[str]()

    def decide(state: State) -> list[Event]:
        made = not_yet_held([hold], state)
        back = [mark.backup_id for mark in state.marks if hold.covers(mark.backup_id) or mark.backup_id in needed]
        reason = f"held: {hold.reason}"[:LINE]
        return [*made, *(Kept(backup_id=name, reason=reason) for name in back)] if made else []

    return decide


def _chain(wiring: Wiring, source: str, target: str, backup_id: str) -> set[str]:
    """The ids of all that a backup is restored from on a target; nothing where it cannot be restored there."""
    try:
        chosen = choose(wiring, source, backup_id, target=target)
        return {one.point.backup_id for one in chain_of(wiring, chosen, targets=[target])}
    except (BackupNotFound, CatalogError, DamageError, ObjectMissing):
        return set()


def _found(wiring: Wiring, source: str, backup: str) -> str:
    """The one id that begins so on the first target that has it."""
    missing: list[BackupError] = []
    for target in wiring.source_settings(source).targets:
        try:
            return wiring.catalog(target, source).find(backup).backup_id
        except BackupError as error:
            missing.append(error)
    raise missing[0]


def _holders(wiring: Wiring, source: str, backup_id: str | None) -> list[str]:
    """The targets that have a backup, and those that do not answer: that they were asked is to be said."""
    targets = list(wiring.source_settings(source).targets)
    if backup_id is None:
        return targets
    found = []
    for target in targets:
        try:
            wiring.catalog(target, source).find(backup_id)
        except BackupNotFound:
            continue
        except BackupError:  # told by whoever writes there
            pass
        found.append(target)
    return found
