"""What an S3 bucket keeps beside the newest version of an object, and for how long it must.

Object Lock protects versions, not keys (Amazon S3 User Guide, "How S3 Object Lock works"): a locked version
cannot be deleted, though others may be put above it, and a delete marker hide it. The driver refuses both; against
who goes round it, the locked version stays, and is the object again once what lies above it is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from rlg_backup.core.errors import ObjectExists, ObjectMissing, StorageDenied, StorageError
from rlg_backup.storage import faults
from rlg_backup.storage.locks import still_locked
from rlg_backup.storage.s3_bucket import Bucket, answer, locked_until, version_of


def lock(bucket: Bucket, key: str, until: datetime | None) -> None:
    """Lock the newest version; never for a shorter time. ObjectMissing, LockUnavailable."""
    head = bucket.head("lock", key)
    if until is None or _locked_as_long(head, until):
        return
    stricter = still_locked(head.get("ObjectLockRetainUntilDate")) and head.get("ObjectLockMode") == "COMPLIANCE"
    options = bucket.lock_options(until)
    retention: Any = {"Mode": "COMPLIANCE" if stricter else bucket.lock_mode, "RetainUntilDate": until}
    version = version_of(head)
    try:
        with bucket.errors("lock", key):
            bucket.client.put_object_retention(
                **bucket.address(key, version), Retention=retention, ChecksumAlgorithm="SHA256"
            )
    except StorageDenied as error:
        if not _locked_as_long(bucket.head("lock", key, version), until):  # else another was faster
            raise refused(bucket, options, error) from None


def refused(bucket: Bucket, options: Mapping[str, Any], error: StorageDenied) -> StorageError:
    """What a refused request means: LockUnavailable if it was to lock and the bucket keeps no locks, else itself."""
    if "ObjectLockRetainUntilDate" in options and keeps_locks(bucket) is False:
        return faults.keeps_no_locks(error.verb, error.subject, bucket.target)
    return error


def keeps_locks(bucket: Bucket) -> bool | None:
    """Whether Object Lock is enabled; None where the target does not say."""
    client = bucket.client
    try:
        with bucket.errors("ask", bucket.name):
            try:
                question = partial(client.get_object_lock_configuration, Bucket=bucket.name)
                found = bucket.ask("ask", bucket.name, question, "ObjectLockConfiguration")
            except client.exceptions.ClientError as error:
                if answer(error)[1] == "ObjectLockConfigurationNotFoundError":
                    return False
                raise
    except StorageDenied:
        return None
    return bool(found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")


def refuse_locked(bucket: Bucket, verb: str, key: str) -> None:
    """ObjectLocked while the newest version is. What cannot be looked at is left to the request itself."""
    try:
        head = bucket.head(verb, key)
    except (ObjectMissing, ObjectExists, StorageDenied):
        return
    if until := locked_until(head):
        raise faults.locked(verb, key, until)


def restore(bucket: Bucket, key: str, days: int) -> bool:
    """Ask for a readable copy of a frozen object, for so many days; whether there is one already, which is then kept
    for as many days from now (Amazon S3 API Reference, "RestoreObject")."""
    client = bucket.client
    request: Any = {"Days": days, "GlacierJobParameters": {"Tier": "Standard"}}
    with bucket.errors("thaw", key):
        try:
            answered = client.restore_object(**bucket.address(key), RestoreRequest=request)
        except client.exceptions.ClientError as error:
            if answer(error)[1] != "RestoreAlreadyInProgress":
                raise
            return False
    return answered["ResponseMetadata"]["HTTPStatusCode"] == 200


def erase(bucket: Bucket, key: str) -> int:
    """Delete every version and delete marker, the newest last, so that none of the older comes to light."""
    refuse_locked(bucket, "erase", key)
    found = sorted(_versions(bucket, key), key=lambda version: bool(version["IsLatest"]))
    for version in found:
        remove_version(bucket, "erase", key, version["VersionId"])
    return len(found)


def remove_version(bucket: Bucket, verb: str, key: str, version: str) -> None:
    """Delete one version; ObjectLocked while it is locked."""
    try:
        with bucket.errors(verb, key):
            bucket.client.delete_object(**bucket.address(key, version))
    except StorageDenied:
        head = bucket.head(verb, key, version)
        if until := locked_until(head):
            raise faults.locked(verb, key, until) from None
        raise


def _locked_as_long(head: Any, until: datetime) -> bool:
    present = still_locked(head.get("ObjectLockRetainUntilDate"))
    return present is not None and present >= until


def _versions(bucket: Bucket, key: str) -> list[Any]:
    found: list[Any] = []
    wanted = bucket.address(key)["Key"]
    markers = {"NextKeyMarker": "KeyMarker", "NextVersionIdMarker": "VersionIdMarker"}
    for page in bucket.pages("erase", key, "list_object_versions", markers, Prefix=wanted):
        entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        found += [entry for entry in entries if entry["Key"] == wanted]
        if any(entry["Key"] != wanted for entry in entries):
            break  # the key itself is the first in order of those it begins
    return found
