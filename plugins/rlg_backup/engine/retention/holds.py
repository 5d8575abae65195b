"""Holds: what no policy removes, because somebody says so, on record. And what a drill has proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...catalog import commit_retention
from ...core.errors import BackupError, BackupNotFound, InvalidSetting
from ...core.model import Verdict, new_backup_id
from ...format.retention import LINE, Drill, Drilled, Event, Held, Hold, Kept, Released, State
from ..lease import held, whoever
from ..wiring import Wiring


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
    until it is released; a mark is taken back. On every target that has it. Each call is a hold of its own.

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

    def decide(state: State) -> list[Event]:
        if made in state.holds:
            return []
        back = [mark.backup_id for mark in state.marks if made.covers(mark.backup_id)]
        return [Held(hold=made), *(Kept(backup_id=name, reason=f"held: {reason}"[:LINE]) for name in back)]

    return _on_each(wiring, source, made, _holders(wiring, source, backup_id), decide)


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

    return _on_each(wiring, source, ended, wiring.source_settings(source).targets, decide)


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

    _put_on_record(wiring, source, target, decide)


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
    wiring: Wiring, source: str, about: Hold, targets: Sequence[str], decide: Callable[[State], Sequence[Event]]
) -> Noted:
    done = Noted(about)
    for target in targets:
        try:
            _put_on_record(wiring, source, target, decide)
            done.targets.append(target)
        except BackupError as error:  # the other targets' backups are held all the same, and it is said
            done.missing[target] = error
    return done


def _put_on_record(wiring: Wiring, source: str, target: str, decide: Callable[[State], Sequence[Event]]) -> None:
    catalogs = {name: wiring.catalog(name, source) for name in wiring.source_settings(source).targets}
    others = [catalog for name, catalog in catalogs.items() if name != target]
    with held(wiring, source, target) as lease:
        commit_retention(lease, catalogs[target], key=wiring.signing_key, by=whoever(), decide=decide, others=others)


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
