"""Committing: the one way a restore point comes to exist, and the one way it is held, marked or removed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ..core.errors import (
    BackupExpired,
    CatalogForged,
    CatalogGap,
    InvalidSetting,
    LeaseLost,
    ObjectDamaged,
    StorageError,
)
from ..core.model import Kind, new_backup_id
from ..format.canonical import DOCUMENT_LIMIT
from ..format.chained import Witness
from ..format.commit import CommitRecord, Erasures
from ..format.manifest import Parent
from ..format.retention import Event, RetentionRecord, State
from ..format.signing import SigningKey
from .heads import witnesses_for
from .lease import ATTEMPTS, Lease
from .lease_file import Pending
from .points import MOVED_HINT, Entry, RestorePoint, RetentionEntry, backups_of, list_entries, parse_key
from .reading import Catalog
from .records import Head, check_record, follows, put_record, read_record
from .seen import SeenHead

NO_ERASURES = Erasures(length=0, head=None)


def commit(lease: Lease, key: SigningKey, build: Callable[[Head | None], CommitRecord | RetentionRecord]) -> Entry:
    """Commits the record that ``build`` makes after the newest one, exactly once.

    ``build`` may be called several times, with the head of the moment. Calling this again after any failure
    is safe: what is committed already gives its entry, also when the lease is lost by now.
    Raises LeaseLost when the lease ran out or was taken (then nothing was committed), CatalogForged when the
    backup is in the catalog with another manifest or the record does not follow the head, SignerUnknown when
    ``key`` is not among the trusted signers, and as Catalog.head.
    """
    for _ in range(ATTEMPTS):
        found = lease.finish(lease.look(), "commit")
        # The listing is newer than the file: the swap below holds only if nobody has committed in between.
        entries = list_entries(lease.store, lease.source)
        head = read_record(lease.store, entries[-1], lease.trusted) if entries else None
        record = build(head)
        existing = _committed(lease, entries, record)
        if existing is not None:
            return existing
        file = lease.require_live(found, "commit")
        pending = Pending(record.path, record.sign(key))
        entry = _check(lease, entries, head, pending)
        if lease.swap(found, replace(file, pending=pending)):  # decided
            put_record(lease.store, entry, pending.record, lease.trusted)
            with suppress(StorageError):  # committed: a 'pending' that stays is taken out by whoever comes next
                lease.finish(lease.look(), "commit")
            return entry
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
    manifest, BackupExpired when the backup was here and was removed, ObjectMissing or ObjectDamaged when the manifest
    on the target is not that one.
    """
    _require_one_place(lease, catalog, backup_id)
    _check_manifest(lease, backup_id, manifest_sha256)
    after = _After.now(lease, catalog, others, backup_id)
    _check_there(catalog, backup_id)
    _check_parent(catalog, backup_id, kind, parent)

    def build(head: Head | None) -> CommitRecord:
        return CommitRecord(
            source=lease.source,
            backup_id=backup_id,
            kind=kind,
            sequence=after.sequence(head),
            manifest_sha256=manifest_sha256,
            previous_sha256=head.sha256 if head else None,
            committed_at=lease.clock(),
            target=lease.store.name,
            erasures=erasures,
            witnesses=after.witnesses,
        )

    point = commit(lease, key, build)
    assert isinstance(point, RestorePoint)
    _remember(lease, catalog, point)
    return point


def commit_retention(
    lease: Lease,
    catalog: Catalog,
    *,
    key: SigningKey,
    by: str,
    decide: Callable[[State], Sequence[Event]],
    others: Iterable[Catalog] = (),
) -> RetentionEntry | None:
    """Commits what is decided about restore points of ``catalog``'s target, and remembers the head.

    ``decide`` is given how they stand and may be called several times; without an event nothing is written, and None
    returned. ``by`` tells who, to people. Idempotent as far as ``decide`` is. Raises as ``commit`` and
    Catalog.verify_chain.
    """
    record_id = new_backup_id(lease.clock())
    _require_one_place(lease, catalog, record_id)
    after = _After.now(lease, catalog, others, record_id)
    if not decide(catalog.state()):
        return None

    def build(head: Head | None) -> RetentionRecord:
        entries = catalog.entries()
        mine = [one for one in entries if isinstance(one, RetentionEntry) and one.record_id == record_id]
        if mine:  # the swap before arrived, its answer did not
            return catalog.retention(mine[0])
        before = catalog.state(entries)
        events = tuple(decide(before))
        if not events:
            raise LeaseLost("commit", lease.source, f"another run decided meanwhile on target '{lease.store.name}'")
        return RetentionRecord(
            source=lease.source,
            record_id=record_id,
            sequence=after.sequence(head),
            previous_sha256=head.sha256 if head else None,
            target=lease.store.name,
            witnesses=after.witnesses,
            made_at=lease.clock(),
            by=by,
            events=events,
            state=before.after(events),
        )

    entry = commit(lease, key, build)
    assert isinstance(entry, RetentionEntry)
    _remember(lease, catalog, entry)
    return entry


@dataclass(frozen=True)
class _After:
    """What a new record comes after: the newest one that was verified, and what it is to witness."""

    target: str
    subject: str
    newest: int
    witnesses: dict[str, Witness]

    @classmethod
    def now(cls, lease: Lease, catalog: Catalog, others: Iterable[Catalog], subject: str) -> _After:
        """Raises as Catalog.verify_chain."""
        previous = catalog.verify_chain()
        witnesses = witnesses_for(previous.record if previous else None, others)
        return cls(catalog.target, subject, previous.entry.sequence if previous else 0, witnesses)

    def sequence(self, head: Head | None) -> int:
        """The next one; raises CatalogGap where the catalog is shorter than it was."""
        sequence = head.entry.sequence if head else 0
        if sequence < self.newest:
            cause = f"target '{self.target}' lists no record {self.newest:08d} any more, which it did"
            raise CatalogGap("commit", self.subject, cause, MOVED_HINT)
        return sequence + 1


def _require_one_place(lease: Lease, catalog: Catalog, subject: str) -> None:
    if (catalog.target, catalog.source) != (lease.store.name, lease.source):
        raise InvalidSetting("commit", subject, "the lease and the catalog are not of one source and target")


def _remember(lease: Lease, catalog: Catalog, entry: Entry) -> None:
    mine = read_record(lease.store, entry, lease.trusted)
    catalog.seen.remember(catalog.target, catalog.source, SeenHead(entry.sequence, mine.sha256))


def _committed(lease: Lease, entries: Sequence[Entry], record: CommitRecord | RetentionRecord) -> Entry | None:
    if isinstance(record, RetentionRecord):
        return next(
            (one for one in entries if isinstance(one, RetentionEntry) and one.record_id == record.record_id), None
        )
    point = next((point for point in backups_of(entries) if point.backup_id == record.backup_id), None)
    if point is None:
        return None
    found = read_record(lease.store, point, lease.trusted).record
    assert isinstance(found, CommitRecord)
    if (found.kind, found.manifest_sha256) != (record.kind, record.manifest_sha256):
        cause = f"the backup is in the catalog of target '{lease.store.name}' with another kind or manifest"
        raise CatalogForged("commit", point.key, cause, MOVED_HINT)
    return point


def _check(lease: Lease, entries: Sequence[Entry], head: Head | None, pending: Pending) -> Entry:
    """What readers would refuse is never decided: the record is read back from its bytes first."""
    entry = parse_key(lease.store.name, lease.source, pending.key)
    if not follows(entries, head, check_record(pending.record, entry, lease.trusted).record):
        cause = f"it does not follow the newest record on target '{lease.store.name}'"
        raise CatalogForged("commit", entry.key, cause)
    return entry


def _check_manifest(lease: Lease, backup_id: str, manifest_sha256: str) -> None:
    key = f"{lease.source}/{backup_id}/manifest.json"
    data, _ = lease.store.get_bytes(key, limit=DOCUMENT_LIMIT)
    if hashlib.sha256(data).hexdigest() != manifest_sha256:
        raise ObjectDamaged("commit", key, f"the manifest on target '{lease.store.name}' is not the one to commit")


def _check_there(catalog: Catalog, backup_id: str) -> None:
    """What expired does not come back: its commit record is there, and the record that it is gone comes after it."""
    entries = catalog.entries()
    state = catalog.state(entries)
    if any(point.backup_id == backup_id and state.gone(point.sequence) for point in backups_of(entries)):
        raise BackupExpired("commit", backup_id, f"it expired and was removed from target '{catalog.target}'")


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
