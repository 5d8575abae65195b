"""replicate: copies to a target the backups that it was down for, so that each is on all targets of its source again.

A target's records stand in the order of their commits, by which readers tell the newest: only what is newer than all
that the target has is copied, parents first. A backup that is older than one it got since stays where it is, and is
told. Each object is fetched to staging, checked against what was signed, and committed as a backup is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..catalog import Catalog, Lease, RestorePoint, backups_of, commit_backup
from ..core.errors import BackupError, ObjectExists
from ..core.model import Kind
from .archives import STATE, require_object
from .copying import copying, fetch_object, objects_of
from .locking import lock_chain, lock_time
from .restore_points import Chosen, open_point
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

    The newest full backup and what came after it; with ``whole`` all that is offered elsewhere. Idempotent.
    """
    done = [Replication(source, target) for target in wiring.source_settings(source).targets]
    shelves: dict[str, _Shelf] = {}
    for one in done:
        try:
            shelves[one.target] = _Shelf.read(wiring.catalog(one.target, source))
        except BackupError as error:
            one.error = error
    for one in done:
        if one.error is None:
            try:
                _complete(wiring, one, shelves, whole=whole)
            except BackupError as error:
                one.error = error
    return done


@dataclass(frozen=True)
class _Shelf:
    """What a target offers, and what it ever had: what expired there is not brought back."""

    offered: Sequence[RestorePoint]
    ever: Sequence[RestorePoint]

    @classmethod
    def read(cls, catalog: Catalog) -> _Shelf:
        catalog.verify_chain()
        return cls(catalog.offered(), backups_of(catalog.entries()))


def _complete(wiring: Wiring, done: Replication, shelves: Mapping[str, _Shelf], *, whole: bool) -> None:
    ever = shelves[done.target].ever
    others = [shelf.offered for target, shelf in shelves.items() if target != done.target]
    wanted: list[RestorePoint] = []
    for point, follows in _lacking(ever, others, whole=whole):
        if follows:
            wanted.append(point)
        else:
            done.left[point.backup_id] = f"target '{done.target}' has a newer backup already"
    if wanted:
        with copying(wiring, done.source, done.target, "replicate") as (lease, workspace):
            _copy_all(wiring, done, lease, workspace, wanted)


def _lacking(
    ever: Sequence[RestorePoint], others: Sequence[Sequence[RestorePoint]], *, whole: bool
) -> list[tuple[RestorePoint, bool]]:
    """What is offered elsewhere and never was here, oldest first, a copy of each; and whether it comes after all that
    is here: by the order of commits on a target that has the newest of here, too, by the workers' clocks else."""
    known = {point.backup_id for point in ever}
    found: dict[str, tuple[RestorePoint, bool]] = {}
    for points in others:
        ids = [point.backup_id for point in points]
        newest = ids.index(ever[-1].backup_id) if ever and ever[-1].backup_id in ids else None
        fulls = [number for number, point in enumerate(points) if point.kind is Kind.FULL]
        start = 0 if whole else fulls[-1] if fulls else len(points)
        for number, point in enumerate(points[start:], start):
            if point.backup_id not in known:
                later = number > newest if newest is not None else not ever or point.time > ever[-1].time
                found.setdefault(point.backup_id, (point, later))
    return sorted(found.values(), key=lambda one: (one[0].time, one[0].sequence))


def _copy_all(
    wiring: Wiring, done: Replication, lease: Lease, workspace: Workspace, wanted: Sequence[RestorePoint]
) -> None:
    for point in wanted:
        try:
            _copy(wiring, workspace, lease, open_point(wiring, done.source, point.target, point))
            done.copied.append(point.backup_id)
        except BackupError as error:  # the next one may well be copied: it need not be a child
            if error.transient:  # this one is copied first, as soon as it can be
                raise
            done.left[point.backup_id] = str(error).partition("\nhint: ")[0]
            done.failed.append(point.backup_id)


def _copy(wiring: Wiring, workspace: Workspace, lease: Lease, chosen: Chosen) -> None:
    """One backup with its objects, the commit record last. Raises CatalogGap where its parent is not on the target."""
    target, manifest, backup_id = lease.store.name, chosen.manifest, chosen.point.backup_id
    catalogs = {name: wiring.catalog(name, chosen.source) for name in wiring.source_settings(chosen.source).targets}
    until = lock_time(wiring, chosen.source, target, manifest.kind)
    storage = wiring.storage(target)
    for name, sha256 in objects_of(wiring, chosen).items():
        key = f"{chosen.folder}/{name}"
        path = fetch_object(wiring, workspace, chosen.target, key, sha256)
        try:
            storage.put_file(key, path, sha256=sha256, locked_until=None if name == STATE else until)
        except ObjectExists:  # of a run that was broken off
            require_object(storage, key, sha256)
    commit_backup(
        lease,
        catalogs[target],
        key=wiring.signing_key,
        backup_id=backup_id,
        kind=manifest.kind,
        parent=manifest.parent,
        manifest_sha256=chosen.manifest_sha256,
        others=[catalog for name, catalog in catalogs.items() if name != target],
    )
    if until is not None:
        lock_chain(wiring, chosen.source, target, backup_id, until)
