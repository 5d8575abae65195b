"""scrub: reads back what targets hold, a share of it each time, and mends a damaged copy from another target's.

No identity is needed: every byte is compared with what was signed, those of the change state too. Which backups are due
is told by when each was read last (engine/turns.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..catalog import Lease, RestorePoint, compare_heads
from ..core.errors import BackupError, BackupNotFound, DamageError, ObjectDamaged, ObjectMissing
from ..core.model import Verdict
from .archives import MANIFEST, STATE, digest_of, require_size
from .chains import chain_of
from .copying import copying, fetch_object, is_there, objects_of
from .locking import lock_time, lock_what_needs
from .restore_points import Chosen, choose
from .turns import Turns
from .verify import Verification, verdict_of, verify
from .wiring import Wiring
from .workspace import Workspace


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


def scrub(wiring: Wiring, source: str, *, runs: int = 1, mend: bool = True) -> list[Scrubbed]:
    """Read what is due of a source on each of its targets, mending damaged copies where another target has a sound one.

    Each copy is due at least once in ``runs`` runs that follow each other, with one in every run. Idempotent.
    """
    found = [Scrubbed(source, target) for target in wiring.source_settings(source).targets]
    catalogs = {one.target: wiring.catalog(one.target, source) for one in found}
    hidden = {finding.target: finding.error for finding in compare_heads(catalogs)}
    turns = Turns(wiring.settings.state / f"scrub-{source}.json")
    for one in found:
        try:
            if one.target in hidden:
                raise hidden[one.target]
            catalogs[one.target].verify_chain(down_to=1)  # all of it: nothing else reads what is long past
            points = {point.backup_id: point for point in catalogs[one.target].points()}
            one.copies = len(points)
            for backup_id in turns.due(one.target, list(points), runs):
                _look(wiring, one, points[backup_id], mend=mend)
            turns.note(one.target, list(points), set(one.read) - set(one.unread))
        except BackupError as error:
            one.error = error
    return found


def _look(wiring: Wiring, done: Scrubbed, point: RestorePoint, *, mend: bool) -> None:
    try:
        found = verify(wiring, done.source, point.backup_id, target=done.target)
    except BackupNotFound:  # it expired meanwhile
        done.copies -= 1
        return
    done.read.append(point.backup_id)
    wiring.progress(f"scrub {done.target}", len(done.read), 0)
    try:
        wrong = _wrong(found) or _wrong_state(wiring, done, point)
    except BackupError as error:
        done.unread[point.backup_id] = str(error).partition(chr(10))[0]
        return
    if found.verdict is Verdict.COULD_NOT_VERIFY:
        done.unread[point.backup_id] = wrong
    elif wrong:
        done.faults[point.backup_id] = wrong
        if mend:
            try:
                done.mended[point.backup_id] = _mend(wiring, done, point)
            except BackupError as error:
                done.faults[point.backup_id] += f"; not mended: {str(error).partition(chr(10))[0]}"


def _wrong(found: Verification) -> str:
    return "; ".join(str(check.measured) for check in found.checks if check.verdict is not Verdict.PASS)


def _wrong_state(wiring: Wiring, done: Scrubbed, point: RestorePoint) -> str:
    """What is wrong with the change state of a copy, where it has one. Raises StorageError."""
    mine = choose(wiring, done.source, point.backup_id, target=done.target)
    sha256 = objects_of(wiring, mine, done.target).get(STATE)
    if sha256 is None or _holds(wiring, done.target, f"{mine.folder}/{STATE}", sha256):
        return ""
    return "the change state has other bytes than were signed: no restore needs it, the next backup does"


def _mend(wiring: Wiring, done: Scrubbed, point: RestorePoint) -> list[str]:
    """The keys that were replaced, of the backup and of those it is restored from. What is to be written was fetched
    and checked before anything is removed. Raises BackupNotFound where no other target has the backup whole, or where
    it expired meanwhile; ObjectLocked where the damaged object may not go yet."""
    sound = _sound(wiring, done, point)
    others = [target for target in wiring.source_settings(done.source).targets if target != done.target]
    replaced: list[str] = []
    with copying(wiring, done.source, done.target, "scrub") as (lease, workspace):
        wiring.catalog(done.target, done.source).find(point.backup_id)  # what expired is not brought back
        for one in chain_of(wiring, sound, targets=[sound.target, *others]):
            if one is sound or not _stands(wiring, done.target, one):
                replaced += _replace(wiring, workspace, lease, one)
    again = verify(wiring, done.source, point.backup_id, target=done.target)
    if wrong := _wrong(again) or _wrong_state(wiring, done, point):
        raise ObjectDamaged("mend", sound.folder, wrong)
    lock_what_needs(wiring, done.source, done.target, {key.split("/")[1] for key in replaced})
    return replaced


def _replace(wiring: Wiring, workspace: Workspace, lease: Lease, sound: Chosen) -> list[str]:
    """The keys of a backup's objects whose bytes are others on the target of ``lease``, once they are replaced."""
    storage, replaced = wiring.storage(lease.store.name), []
    taken_at = sound.manifest.snapshot.taken_at
    until = lock_time(wiring, lease.source, lease.store.name, sound.point.kind, taken_at)
    for name, sha256 in objects_of(wiring, sound, lease.store.name).items():
        key = f"{sound.folder}/{name}"
        gone = name == STATE and not is_there(wiring, lease.store.name, key)  # with a later backup, on purpose
        if gone or _holds(wiring, lease.store.name, key, sha256):
            continue
        path = fetch_object(wiring, workspace, sound, name, sha256)
        lease.renew()  # raises where it was lost in a long fetch
        locked = None if name == STATE else until
        storage.put_file(key, path, sha256=sha256, locked_until=locked, replacing=True)
        replaced.append(key)
    return replaced


def _stands(wiring: Wiring, target: str, sound: Chosen) -> bool:
    """Whether a target has a backup by its manifest and the sizes of its archives: its bytes are read in its turn."""
    try:
        require_size(wiring, replace(sound, target=target))
    except (DamageError, ObjectMissing):
        return False
    return _holds(wiring, target, f"{sound.folder}/{MANIFEST}", sound.manifest_sha256)


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
