"""replicate: copies to a target the backups that it was down for, so that each is on all targets of its source again.

A target's records stand in the order of their commits, by which readers tell the newest: only what is newer than all
that the target has is copied, parents first. A backup that is older than one it got since stays where it is, and is
told. Each object is fetched to staging, checked against what was signed, and committed as a backup is. What is held
elsewhere is held here first: a copy is not to expire before what it is a copy of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ..catalog import Lease, RestorePoint, commit_backup, compare_heads
from ..core.errors import BackupError, DamageError, LeaseLost, ObjectExists, ObjectMissing
from ..format.retention import RetentionRecord
from .archives import STATE, require_object
from .chains import chain_of, require_archives
from .copying import copying, fetch_object, objects_of
from .erasure import at_commit, mend
from .lacking import Shelf, lacking
from .locking import lock_chain, lock_time, lock_what_is_not
from .restore_points import Chosen, choose, open_point
from .retention.holds import hand_on, never_held
from .wiring import Wiring
from .workspace import Workspace


@dataclass
class Replication:
    """What one target of a source got: ids in the order of their commits. ``left``: what it still lacks, and why;
    ``failed``: those of them that could not be copied."""

    source: str
    target: str
    copied: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    error: BackupError | None = None

    @property
    def wrong(self) -> str:
        """What could not be done, and why; empty where all was."""
        reasons = [self.left[backup_id] for backup_id in self.failed]
        return "; ".join([*reasons, *([str(self.error)] if self.error else [])])

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "error": str(self.error) if self.error else None}


def replicate(wiring: Wiring, source: str, *, whole: bool = False) -> list[Replication]:
    """Complete the copies of a source on each of its targets; what one target's fault stops goes on on the others.

    The newest full backup and what came after it; with ``whole`` all that is offered elsewhere; and the erasure ledger.
    Idempotent. A target on which something is hidden, as another one knows, gives and gets nothing.
    """
    done = [Replication(source, target) for target in wiring.source_settings(source).targets]
    catalogs = {one.target: wiring.catalog(one.target, source) for one in done}
    hidden = {finding.target: finding.error for finding in compare_heads(catalogs)}
    shelves: dict[str, Shelf] = {}
    for one in done:
        try:
            if one.target in hidden:
                raise hidden[one.target]
            shelves[one.target] = Shelf.read(catalogs[one.target])
        except BackupError as error:
            one.error = error
    for one in done:
        if one.error is None:
            try:
                _complete(wiring, one, shelves, whole=whole)
            except BackupError as error:
                one.error = error
    failures = mend(wiring, [one.target for one in done if one.error is None])
    for one in done:
        one.error = one.error or failures.get(one.target)
    return done


def _complete(wiring: Wiring, done: Replication, shelves: Mapping[str, Shelf], *, whole: bool) -> None:
    others = [shelf for target, shelf in shelves.items() if target != done.target]
    may_hold = wiring.signs(RetentionRecord.TYPE)  # else rlg_retention hands holds on, before it removes anything
    holds = [hold for shelf in others for hold in shelf.holds] if may_hold else []
    catalog = wiring.catalog(done.target, done.source)
    if lacking(wiring, shelves[done.target], others, whole=whole) or never_held(catalog, holds):
        with copying(wiring, done.source, done.target, "replicate") as (lease, workspace):
            hand_on(wiring, lease, holds)
            mine = Shelf.read(catalog)  # a backup may have ended meanwhile
            wanted = []
            for backup_id, one in lacking(wiring, mine, others, whole=whole).items():
                if one.later:
                    wanted.append(one.copies)
                else:
                    done.left[backup_id] = f"target '{done.target}' has a newer backup already"
            _copy_all(wiring, done, lease, workspace, wanted)
    lock_what_is_not(wiring, done.source, done.target)


def _copy_all(
    wiring: Wiring, done: Replication, lease: Lease, workspace: Workspace, wanted: Sequence[Sequence[RestorePoint]]
) -> None:
    for copies in wanted:
        lease.renew()  # who lost it stops, before anything more is sent
        backup_id = copies[0].backup_id
        try:
            _copy_any(wiring, workspace, lease, copies)
            done.copied.append(backup_id)
            lock_chain(wiring, done.source, done.target, backup_id)
        except BackupError as error:  # the next one may well be copied: it need not be a child
            if error.transient or isinstance(error, LeaseLost):  # this one is copied first, as soon as it can be
                raise
            if backup_id in done.copied:
                done.error = error  # it is there, and not locked
                continue
            done.left[backup_id] = error.text
            done.failed.append(backup_id)


def _copy_any(wiring: Wiring, workspace: Workspace, lease: Lease, copies: Sequence[RestorePoint]) -> None:
    """From the first copy that is sound; raises the first one's error where none is."""
    failures: list[BackupError] = []
    for point in copies:
        try:
            return _copy(wiring, workspace, lease, open_point(wiring, lease.source, point.target, point))
        except (DamageError, ObjectMissing) as error:
            failures.append(error)
    raise failures[0]


def _copy(wiring: Wiring, workspace: Workspace, lease: Lease, chosen: Chosen) -> None:
    """One backup with its objects, the commit record last. Raises what keeps its chain from being whole there."""
    target, manifest, backup_id = lease.store.name, chosen.manifest, chosen.point.backup_id
    if manifest.parent is not None:
        parent = choose(wiring, chosen.source, manifest.parent.backup_id, target=target)
        require_archives(wiring, chain_of(wiring, parent, targets=[target]))
    catalogs = {name: wiring.catalog(name, chosen.source) for name in wiring.source_settings(chosen.source).targets}
    until = lock_time(wiring, chosen.source, target, manifest.kind, manifest.snapshot.taken_at)
    for name, sha256 in objects_of(wiring, chosen, target).items():
        try:
            _put(wiring, workspace, lease, chosen, name, sha256, None if name == STATE else until)
        except (DamageError, ObjectMissing):
            if name != STATE:  # without it the next backup is a full one; no restore needs it
                raise
    commit_backup(
        lease,
        catalogs[target],
        key=wiring.signing_key,
        backup_id=backup_id,
        kind=manifest.kind,
        parent=manifest.parent,
        manifest_sha256=chosen.manifest_sha256,
        others=[catalog for name, catalog in catalogs.items() if name != target],
        erasures=at_commit(wiring, chosen.source, target)[0],  # what is wrong with it was told by ``mend``
    )


def _put(
    wiring: Wiring,
    workspace: Workspace,
    lease: Lease,
    chosen: Chosen,
    name: str,
    sha256: str,
    until: datetime | None,
) -> None:
    key, storage = f"{chosen.folder}/{name}", wiring.storage(lease.store.name)
    path = fetch_object(wiring, workspace, chosen, name, sha256)
    lease.renew()  # raises where it was lost in a long fetch
    try:
        storage.put_file(key, path, sha256=sha256, locked_until=until)
    except ObjectExists:  # of a run that was broken off
        require_object(storage, key, sha256)
