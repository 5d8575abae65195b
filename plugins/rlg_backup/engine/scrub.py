"""scrub: reads back what targets hold, a share of it each time, and mends a damaged copy from another target's.

No identity is needed: every byte is compared with what was signed. Which backups are due is told by their ids alone, so
that a number of runs, one after another, reads all of them, whoever makes the runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ..catalog import RestorePoint, compare_heads
from ..core.errors import BackupError, BackupNotFound, DamageError, ObjectDamaged, ObjectMissing
from ..core.model import Verdict
from .archives import STATE, digest_of
from .copying import copying, fetch_object, objects_of
from .locking import lock_time
from .restore_points import Chosen, choose
from .verify import Verification, verdict_of, verify
from .wiring import Wiring

WEEK = 7


@dataclass
class Scrubbed:
    """One target of a source: how many copies there are and were read; the faults found, and those that were mended,
    by the id of the backup. ``error``: why it could not be looked through."""

    source: str
    target: str
    copies: int = 0
    read: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    mended: dict[str, list[str]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    error: BackupError | None = None

    @property
    def verdict(self) -> Verdict:
        """FAIL where a fault stays, COULD-NOT-VERIFY where something was not read; a fault that was mended is told."""
        if set(self.faults) - set(self.mended):
            return Verdict.FAIL
        if self.error is not None:
            return verdict_of(self.error)
        return Verdict.COULD_NOT_VERIFY if self.unread else Verdict.PASS

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "error": str(self.error) if self.error else None, "verdict": self.verdict.value}


def turn_of(moment: datetime, runs: int) -> int:
    """Which of ``runs`` weekly turns it is."""
    return moment.toordinal() // WEEK % runs


def scrub(wiring: Wiring, source: str, *, runs: int = 1, turn: int = 0, mend: bool = True) -> list[Scrubbed]:
    """Read what is due of a source on each of its targets, mending damaged copies where another target has a sound one.

    Of ``runs`` turns, each reads another share; with one all is read. Idempotent.
    """
    found = [Scrubbed(source, target) for target in wiring.source_settings(source).targets]
    catalogs = {one.target: wiring.catalog(one.target, source) for one in found}
    hidden = {finding.target: finding.error for finding in compare_heads(catalogs)}
    for one in found:
        try:
            if one.target in hidden:
                raise hidden[one.target]
            catalogs[one.target].verify_chain(down_to=1)  # all of it: nothing else reads what is long past
            points = catalogs[one.target].points()
        except BackupError as error:
            one.error = error
            continue
        one.copies = len(points)
        for point in _due(points, runs, turn):
            _look(wiring, one, point, mend=mend)
    return found


def _due(points: Sequence[RestorePoint], runs: int, turn: int) -> list[RestorePoint]:
    return [point for point in points if _number(point.backup_id) % runs == turn]


def _number(backup_id: str) -> int:
    return int.from_bytes(hashlib.sha256(backup_id.encode()).digest()[:8], "big")


def _look(wiring: Wiring, done: Scrubbed, point: RestorePoint, *, mend: bool) -> None:
    try:
        found = verify(wiring, done.source, point.backup_id, target=done.target)
    except BackupNotFound:  # it expired meanwhile
        done.copies -= 1
        return
    done.read.append(point.backup_id)
    wiring.progress(f"scrub {done.target}", len(done.read), 0)
    if found.verdict is Verdict.FAIL:
        done.faults[point.backup_id] = _wrong(found)
        if mend:
            try:
                done.mended[point.backup_id] = _mend(wiring, done, point)
            except BackupError as error:
                done.faults[point.backup_id] += f"; not mended: {str(error).partition(chr(10))[0]}"
    elif found.verdict is not Verdict.PASS:
        done.unread[point.backup_id] = _wrong(found)


def _wrong(found: Verification) -> str:
    return "; ".join(str(check.measured) for check in found.checks if check.verdict is not Verdict.PASS)


def _mend(wiring: Wiring, done: Scrubbed, point: RestorePoint) -> list[str]:
    """The keys that were replaced. What is to be written was fetched and checked before anything is removed. Raises
    BackupNotFound where no other target has the backup whole, or where it expired meanwhile; ObjectLocked where the
    damaged object may not go yet."""
    sound = _sound(wiring, done, point)
    storage, replaced = wiring.storage(done.target), []
    with copying(wiring, done.source, done.target, "scrub") as (lease, workspace):
        wiring.catalog(done.target, done.source).find(point.backup_id)  # what expired is not brought back
        for name, sha256 in objects_of(wiring, sound, done.target).items():
            key = f"{sound.folder}/{name}"
            if _holds(wiring, done.target, key, sha256):
                continue
            path = fetch_object(wiring, workspace, sound, name, sha256)
            until = None if name == STATE else lock_time(wiring, done.source, done.target, point.kind, point.time)
            lease.renew()  # raises where it was lost in a long fetch
            storage.delete(key)  # and not erase: older versions, and what is locked below, are in nobody's way
            storage.put_file(key, path, sha256=sha256, locked_until=until)
            replaced.append(key)
    again = verify(wiring, done.source, point.backup_id, target=done.target)
    if again.verdict is not Verdict.PASS:
        raise ObjectDamaged("mend", sound.folder, _wrong(again))
    return replaced


def _sound(wiring: Wiring, done: Scrubbed, point: RestorePoint) -> Chosen:
    """The same backup on another target: by the manifest that this target's signed record names."""
    expected = wiring.catalog(done.target, done.source).record(point).manifest_sha256
    for other in wiring.source_settings(done.source).targets:
        if other != done.target:
            try:
                chosen = choose(wiring, done.source, point.backup_id, target=other)
            except BackupError:  # whatever is wrong there, it is of no use
                continue
            if chosen.manifest_sha256 == expected:
                return chosen
    raise BackupNotFound("mend", f"{done.source}/{point.backup_id}", "no other target holds it")


def _holds(wiring: Wiring, target: str, key: str, sha256: str) -> bool:
    try:
        with wiring.storage(target).open(key) as stream:
            return digest_of(stream)[1] == sha256
    except (DamageError, ObjectMissing):
        return False
