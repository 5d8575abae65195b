"""What becomes of the versions of a GCS object: kept by a lock, moved to another class, deleted, erased."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import ObjectExists, ObjectLocked, ObjectMissing, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults
from rlg_backup.storage.gcs_bucket import CLASSES, Bucket, kept_until, resource
from rlg_backup.storage.locks import lock_time, still_locked
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from google.cloud.storage import Blob

LOCKED = "Locked"
_RACES = 5  # times that another one may change an object while it is locked here


def retain(blob: Blob, until: datetime, mode: str) -> None:
    """Set an object's retention in what the next request about it says."""
    retention = blob.retention
    retention.mode, retention.retain_until_time = mode, until


def lock(bucket: Bucket, key: str, until: datetime, mode: str) -> None:
    """As the port has it. Unlocked becomes Locked where that is the target's mode, and never the other way."""
    wanted = lock_time("lock", key, until)
    for _ in range(_RACES):
        blob = bucket.look("lock", key)
        held = still_locked(blob.retention.retain_until_time)
        if wanted is None or (held and held >= wanted and blob.retention.mode in (mode, LOCKED)):
            return
        hardens = held is not None and (blob.retention.mode, mode) == ("Unlocked", LOCKED)
        retain(blob, max(held or wanted, wanted), LOCKED if held and blob.retention.mode == LOCKED else mode)
        with contextlib.suppress(ObjectExists), bucket.errors("lock", key, locking=True):
            blob.patch(
                if_generation_match=blob.generation,
                if_metageneration_match=blob.metageneration,
                override_unlocked_retention=hardens,  # "Objects: patch" asks for it there
                **bucket.calls,
            )
            return
    raise faults.replaced("lock", key, bucket.target)


def delete(bucket: Bucket, key: str) -> None:
    """As the port has it. A bucket with versions would set a locked object aside, so the lock is looked at first."""
    blob = bucket.find("delete", key)
    if blob is None:
        return
    if until := kept_until(key, resource(blob)):
        raise faults.locked("delete", key, until)
    _remove(bucket, "delete", bucket.blob(key))


def erase(bucket: Bucket, key: str) -> int:
    """As the port has it; the newest version goes last.

    Raises ObjectLocked as well while the bucket keeps a soft-deleted copy: nobody can remove that before its
    time ("Soft delete").
    """
    versions = _versions(bucket, key, versions=True)
    for blob in versions:
        if until := kept_until(key, resource(blob)):
            raise faults.locked("erase", key, until)
    erased = sum(_remove(bucket, "erase", bucket.blob(key, blob.generation)) for blob in versions)
    if copies := _versions(bucket, key, soft_deleted=True):
        until = max(blob.hard_delete_time for blob in copies)
        cause = f"target '{bucket.target}' keeps a deleted copy of it until {until:%Y-%m-%dT%H:%M:%SZ}"
        raise ObjectLocked("erase", key, cause, "the bucket has soft delete on; a duration of 0 turns it off")
    return erased


def move(bucket: Bucket, key: str, tier: Tier) -> ObjectInfo:
    """As the port has it: a rewrite onto itself, which makes a new version.

    A bucket that keeps versions keeps the old one, in its class, until erase or a rule of its lifecycle. One
    that does not refuses while the object is locked (ObjectLocked).
    """
    blob = bucket.look("move", key)
    seen = bucket.info(key, resource(blob))
    if not tier.colder_than(seen.tier):
        return seen
    moved = bucket.blob(key)
    moved.content_type, moved.metadata, moved.storage_class = blob.content_type, blob.metadata, CLASSES[tier]
    if seen.locked_until and blob.retention.mode:
        retain(moved, blob.retention.retain_until_time, blob.retention.mode)
    try:
        with bucket.errors("move", key):
            _rewrite(blob, moved, bucket.calls)
    except ObjectLocked:
        if seen.locked_until is None:  # a hold, which has no time
            raise
        raise faults.locked("move", key, seen.locked_until) from None
    except (ObjectExists, StorageUnavailable) as error:
        now = bucket.look("move", key)
        if (now.storage_class, now.metadata) == (moved.storage_class, moved.metadata):
            return bucket.info(key, resource(now))  # the answer was lost, not the rewrite
        if isinstance(error, ObjectExists):
            raise faults.replaced("move", key, bucket.target) from None
        raise
    return bucket.info(key, resource(moved))


def _rewrite(blob: Blob, moved: Blob, calls: Mapping[str, Any]) -> None:
    conditions = {
        "if_generation_match": blob.generation,
        "if_source_generation_match": blob.generation,
        "if_source_metageneration_match": blob.metageneration,  # of a lock that became longer meanwhile
    }
    token = None
    while True:
        token, _, _ = moved.rewrite(blob, token=token, **conditions, **calls)
        if token is None:
            return


def _versions(bucket: Bucket, key: str, **which: bool) -> list[Blob]:
    """Oldest first."""
    with bucket.errors("erase", key):
        return [blob for blob in bucket.listed(key, **which) if blob.name == bucket.prefix + key]


def _remove(bucket: Bucket, verb: str, blob: Blob) -> bool:
    """False if it was gone."""
    try:
        with bucket.errors(verb, blob.name.removeprefix(bucket.prefix)):
            blob.delete(**bucket.calls)
    except ObjectMissing:
        return False
    return True
