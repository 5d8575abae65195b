"""What becomes of an Azure blob once it is there: its locks, its tiers, and its end with all its versions.

Locks are version-level immutability policies, which a container has where "version-level immutability support" is
enabled, and with it versioning. A Locked policy can be lengthened only, by whomever. An Unlocked one can be shortened
and removed by those who may set it: for trials.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import (
    ObjectExists,
    ObjectLocked,
    ObjectMissing,
    StorageDenied,
    StorageError,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults
from rlg_backup.storage.azure_container import (
    TIERS,
    Container,
    but_gone,
    code_of,
    if_still,
    kept_until,
    tier_named,
    whole,
)
from rlg_backup.storage.azure_list import Entry, entries
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from azure.storage.blob import BlobLeaseClient, BlobProperties, ImmutabilityPolicy

_LEASE = 15  # seconds: the shortest there is
_NO_TIER = {"InvalidBlobTier", "BlobAccessTierNotSupportedForAccountType", "AccessTierNotSupportedForBlobType"}
_log = logging.getLogger(__name__)


def keeps_locks(container: Container) -> bool | None:
    """Whether version-level immutability is enabled; None where these credentials may not ask."""
    try:
        with container.errors("ask", container.client.container_name):
            found = container.client.get_container_properties(**whole())
    except StorageDenied:
        return None
    return bool(found.immutable_storage_with_versioning_enabled)


def lock_options(container: Container, key: str, until: datetime | None) -> dict[str, Any]:
    """What a call of the SDK that makes an object is to say of its lock. LockUnavailable."""
    if until is None:
        return {}
    if keeps_locks(container) is False:
        raise faults.keeps_no_locks("store", key, container.target)
    return {"immutability_policy": _policy(until, container.lock_mode)}


def lock(container: Container, key: str, until: datetime | None) -> None:
    """Lock the newest version; never for a shorter time. ObjectMissing, LockUnavailable."""
    found = container.look("lock", key)
    if until is None or _kept_as_long(found, until):
        return
    if keeps_locks(container) is False:
        raise faults.keeps_no_locks("lock", key, container.target)
    present = str(found.immutability_policy.policy_mode) if found.immutability_policy else ""
    policy = _policy(until, "Locked" if present.lower() == "locked" else container.lock_mode)
    version: dict[str, Any] = {"version_id": found.version_id} if found.version_id else {}
    try:
        with container.errors("lock", key):
            container.blob(key).set_immutability_policy(policy, **version, **whole())
    except (StorageDenied, ObjectLocked, ObjectExists):
        if not _kept_as_long(container.look("lock", key), until):  # else another was faster
            raise


def refuse_locked(container: Container, verb: str, key: str) -> None:
    """ObjectLocked while the newest version is. What cannot be looked at is left to the request itself."""
    try:
        until = kept_until(container.look(verb, key))
    except (ObjectMissing, StorageDenied):
        return
    if until:
        raise faults.locked(verb, key, until)


def delete(container: Container, key: str) -> None:
    """Delete the blob and its snapshots; a container that keeps versions makes of it one of the older."""
    refuse_locked(container, "delete", key)
    _remove(container, "delete", key, delete_snapshots="include")


def erase(container: Container, key: str) -> int:
    """Delete the blob, then its snapshots, versions, and what of them soft delete keeps; how many of them went.

    Nothing goes while one of them is locked. Where soft delete is on, this takes an account that allows permanent
    deletes ("Soft delete for blobs"), and credentials that may: StorageDenied otherwise, once all else went.
    """
    found = _versions(container, key)
    if times := [entry.until for entry in found if entry.until]:
        raise faults.locked("erase", key, max(times))
    live = [entry for entry in found if not entry.deleted]
    if any(entry.current or not (entry.version or entry.snapshot) for entry in live):
        _remove(container, "erase", key, delete_snapshots="include")
    for entry in live:
        if entry.version:
            _remove(container, "erase", key, version_id=entry.version)
    for entry in _versions(container, key):
        if entry.deleted:
            _remove_for_good(container, key, entry)
    return len(found)


def move(container: Container, key: str, tier: Tier) -> ObjectInfo:
    """Set a colder tier. A lease taken on the version seen keeps others away meanwhile: Set Blob Tier itself knows no
    If-Match, and its other condition, tags, is not to be had in every account."""
    found = container.look("move", key)
    if not tier.colder_than(tier_named(found.blob_tier)):
        return container.info(key, found)
    try:
        with container.errors("move", key), _leased(container, key, found.etag.strip('"')) as lease:
            _set_tier(container, key, tier, lease=lease)
    except ObjectExists:
        raise faults.replaced("move", key, container.target) from None
    return container.info(key, container.look("move", key))


def thaw(container: Container, key: str) -> bool:
    """Begin to move a blob out of the archive, which takes hours; whether it can be read already."""
    found = container.look("thaw", key)
    if tier_named(found.blob_tier) is not Tier.ARCHIVE:
        return True
    if not found.archive_status:  # else it is on its way
        with container.errors("thaw", key):
            _set_tier(container, key, Tier.HOT, rehydrate_priority="Standard")
    return container.info(key, container.look("thaw", key)).readable


def _policy(until: datetime, mode: str) -> ImmutabilityPolicy:
    from azure.storage.blob import ImmutabilityPolicy

    return ImmutabilityPolicy(expiry_time=until, policy_mode=mode)


def _kept_as_long(found: BlobProperties, until: datetime) -> bool:
    present = kept_until(found)
    return present is not None and present >= until


def _set_tier(container: Container, key: str, tier: Tier, **options: Any) -> None:
    from azure.core.exceptions import HttpResponseError

    try:
        container.blob(key).set_standard_blob_tier(TIERS[tier], **options, **whole())
    except HttpResponseError as error:
        if error.response is not None and code_of(error.response) in _NO_TIER:
            raise faults.has_no_tier(key, tier, container.target) from None
        raise


@contextlib.contextmanager
def _leased(container: Container, key: str, tag: str) -> Iterator[BlobLeaseClient]:
    lease = container.blob(key).acquire_lease(_LEASE, **if_still(tag), **whole())
    try:
        yield lease
    finally:
        try:
            with container.errors("move", key):
                lease.release(**whole())
        except StorageError as error:
            _log.info("%s; the lease ends by itself", error)


def _versions(container: Container, key: str) -> list[Entry]:
    kinds = ["snapshots", "versions", "deleted", "immutabilitypolicy", "legalhold"]
    found = entries(container, "erase", key, kinds)
    return list(takewhile(lambda entry: entry.name == container.prefix + key, found))  # it is the first of those


def _remove(container: Container, verb: str, key: str, **which: Any) -> None:
    """Delete what may be gone already."""
    with container.errors(verb, key), but_gone():
        container.blob(key).delete_blob(**which, **whole())


def _remove_for_good(container: Container, key: str, entry: Entry) -> None:
    which: Mapping[str, Any] = {"version_id": entry.version} if entry.version else {}
    blob = container.client.get_blob_client(entry.name, snapshot=entry.snapshot)
    try:
        with container.errors("erase", key), but_gone():
            blob.delete_blob(blob_delete_type="permanent", **which, **whole())
    except StorageDenied:
        hint = "it goes by itself when its time is over; an account can allow permanent deletes"
        cause = f"target '{container.target}' keeps what was deleted"
        raise StorageDenied("erase", key, cause, hint) from None
