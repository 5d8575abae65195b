"""Committing a backup: the one way a restore point comes to exist."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from ..core.errors import CatalogForged, CatalogGap, InvalidSetting, ObjectDamaged, StorageError
from ..core.model import Kind
from ..format.canonical import DOCUMENT_LIMIT
from ..format.commit import CommitRecord, Erasures
from ..format.manifest import Parent
from ..format.signing import SigningKey
from .heads import witnesses_for
from .lease import ATTEMPTS, Lease
from .lease_file import Pending
from .points import MOVED_HINT, RestorePoint, list_points, parse_key
from .reading import Catalog
from .records import Head, check_record, follows, put_record, read_record
from .seen import SeenHead

NO_ERASURES = Erasures(length=0, head=None)


def commit(lease: Lease, key: SigningKey, build: Callable[[Head | None], CommitRecord]) -> RestorePoint:
    """Commits the record that ``build`` makes after the newest one, exactly once.

    ``build`` may be called several times, with the head of the moment. Calling this again after any failure
    is safe: a backup that is committed already gives its point, also when the lease is lost by now.
    Raises LeaseLost when the lease ran out or was taken (then nothing was committed), CatalogForged when the
    backup is in the catalog with another manifest or the record does not follow the head, SignerUnknown when
    ``key`` is not among the trusted signers, and as Catalog.head.
    """
    for _ in range(ATTEMPTS):
        found = lease.finish(lease.look(), "commit")
        # The listing is newer than the file: the swap below holds only if nobody has committed in between.
        points = list_points(lease.store, lease.source)
        head = read_record(lease.store, points[-1], lease.trusted) if points else None
        record = build(head)
        existing = _committed(lease, points, record)
        if existing is not None:
            return existing
        file = lease.require_live(found, "commit")
        pending = Pending(record.path, record.sign(key))
        point = _check(lease, points, head, pending)
        if lease.swap(found, replace(file, pending=pending)):  # decided
            put_record(lease.store, point, pending.record, lease.trusted)
            with suppress(StorageError):  # committed: a 'pending' that stays is taken out by whoever comes next
                lease.finish(lease.look(), "commit")
            return point
    raise lease.unsettled("commit")


def commit_backup(
    lease: Lease,
    catalog: Catalog,
    *,
    key: SigningKey,
    backup_id: str,
    kind: Kind,
    parent: Parent | None,
    manifest_sha256: str,
    others: Iterable[Catalog] = (),
    erasures: Erasures = NO_ERASURES,
) -> RestorePoint:
    """Makes an uploaded backup a restore point of ``catalog``'s target, and remembers the head.

    ``parent`` is None for a full one; ``manifest_sha256`` is of the manifest's bytes;
    ``others`` are the source's other targets, reachable or not. Idempotent. Raises as ``commit`` and
    Catalog.verify_chain; CatalogGap when the parent is not in this catalog, CatalogForged when it is with another
    manifest, ObjectMissing or ObjectDamaged when the manifest on the target is not that one.
    """
    if (catalog.target, catalog.source) != (lease.store.name, lease.source):
        raise InvalidSetting("commit", backup_id, "the lease and the catalog are not of one source and target")
    _check_manifest(lease, backup_id, manifest_sha256)
    previous = catalog.verify_chain()
    _check_parent(catalog, backup_id, kind, parent)
    witnesses = witnesses_for(previous.record if previous else None, others)

    def build(head: Head | None) -> CommitRecord:
        sequence = head.point.sequence if head else 0
        if previous is not None and sequence < previous.point.sequence:
            cause = f"target '{catalog.target}' lists no record {previous.point.sequence:08d} any more, which it did"
            raise CatalogGap("commit", backup_id, cause, MOVED_HINT)
        return CommitRecord(
            source=lease.source,
            backup_id=backup_id,
            kind=kind,
            sequence=sequence + 1,
            manifest_sha256=manifest_sha256,
            previous_sha256=head.sha256 if head else None,
            committed_at=lease.clock(),
            target=lease.store.name,
            erasures=erasures,
            witnesses=witnesses,
        )

    point = commit(lease, key, build)
    mine = read_record(lease.store, point, lease.trusted)
    catalog.seen.remember(catalog.target, catalog.source, SeenHead(point.sequence, mine.sha256))
    return point


def _committed(lease: Lease, points: list[RestorePoint], record: CommitRecord) -> RestorePoint | None:
    point = next((point for point in points if point.backup_id == record.backup_id), None)
    if point is None:
        return None
    found = read_record(lease.store, point, lease.trusted)
    if (found.record.kind, found.record.manifest_sha256) != (record.kind, record.manifest_sha256):
        cause = f"the backup is in the catalog of target '{lease.store.name}' with another kind or manifest"
        raise CatalogForged("commit", point.key, cause, MOVED_HINT)
    return point


def _check(lease: Lease, points: list[RestorePoint], head: Head | None, pending: Pending) -> RestorePoint:
    """What readers would refuse is never decided: the record is read back from its bytes first."""
    point = parse_key(lease.store.name, lease.source, pending.key)
    if not follows(points, head, check_record(pending.record, point, lease.trusted).record):
        cause = f"it does not follow the newest record on target '{lease.store.name}'"
        raise CatalogForged("commit", point.key, cause)
    return point


def _check_manifest(lease: Lease, backup_id: str, manifest_sha256: str) -> None:
    key = f"{lease.source}/{backup_id}/manifest.json"
    data, _ = lease.store.get_bytes(key, limit=DOCUMENT_LIMIT)
    if hashlib.sha256(data).hexdigest() != manifest_sha256:
        raise ObjectDamaged("commit", key, f"the manifest on target '{lease.store.name}' is not the one to commit")


def _check_parent(catalog: Catalog, backup_id: str, kind: Kind, parent: Parent | None) -> None:
    if (kind is Kind.FULL) != (parent is None):
        raise InvalidSetting("commit", backup_id, "a full backup has no parent, any other kind has one")
    if parent is None:
        return
    hint = "make a full backup to this target"
    point = next((point for point in catalog.points() if point.backup_id == parent.backup_id), None)
    if point is None:
        cause = f"its parent '{parent.backup_id}' is not in the catalog of target '{catalog.target}'"
        raise CatalogGap("commit", backup_id, cause, hint)
    if catalog.record(point).manifest_sha256 != parent.manifest_sha256:
        cause = f"its parent '{parent.backup_id}' has another manifest on target '{catalog.target}'"
        raise CatalogForged("commit", backup_id, cause, hint)
