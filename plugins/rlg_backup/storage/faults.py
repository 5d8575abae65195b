"""The events every driver reports alike, in the same words."""

from __future__ import annotations

from datetime import datetime

from rlg_backup.core.errors import (
    InvalidSetting,
    LockUnavailable,
    ObjectDamaged,
    ObjectExists,
    ObjectFrozen,
    ObjectLocked,
    ObjectMissing,
    StorageFull,
)
from rlg_backup.core.model import Tier


def missing(verb: str, key: str, target: str) -> ObjectMissing:
    return ObjectMissing(verb, key, f"it is not on target '{target}'")


def exists(verb: str, key: str, target: str) -> ObjectExists:
    return ObjectExists(verb, key, f"target '{target}' has it already")


def replaced(verb: str, key: str, target: str) -> ObjectExists:
    return ObjectExists(verb, key, f"another writer replaced or removed it on target '{target}'")


def not_as_promised(verb: str, key: str) -> ObjectDamaged:
    return ObjectDamaged(verb, key, "the file to store does not have the promised SHA-256; nothing was stored")


def unreadable(verb: str, key: str, reason: str) -> ObjectDamaged:
    return ObjectDamaged(verb, key, f"the file to store cannot be read ({reason}); nothing was stored")


def too_large(key: str, size: int, limit: int) -> ObjectDamaged:
    return ObjectDamaged("read", key, f"it has {size} bytes, more than the {limit} allowed")


def too_short(key: str, offset: int, length: int) -> ObjectDamaged:
    return ObjectDamaged("read", key, f"it ends before byte {offset + length}")


def over_quota(key: str, size: int, used: int, quota: int, target: str) -> StorageFull:
    cause = f"it has {size:,} bytes, and target '{target}' holds {used:,} of its quota of {quota:,}"
    return StorageFull("store", key, cause, "keep less ('rlg-backup expire --dry-run' says what is kept), or raise it")


def check_range(key: str, offset: int, length: int) -> None:
    """InvalidSetting for a range no object can have."""
    if offset < 0 or length < 0:
        raise InvalidSetting("read", key, f"{length} bytes from offset {offset} are not a range")


def locked(verb: str, key: str, until: datetime) -> ObjectLocked:
    return ObjectLocked(verb, key, f"it is locked until {until:%Y-%m-%dT%H:%M:%SZ}")


def keeps_no_locks(verb: str, key: str, target: str) -> LockUnavailable:
    return LockUnavailable(verb, key, f"target '{target}' keeps no locks")


def frozen(key: str, target: str) -> ObjectFrozen:
    return ObjectFrozen(
        "read", key, f"it lies frozen on target '{target}'", "ask for it with 'rlg-backup thaw'; it may take hours"
    )


def has_no_tier(key: str, tier: Tier, target: str) -> InvalidSetting:
    return InvalidSetting("move", key, f"target '{target}' has no tier '{tier}'")


def check_days(key: str, days: int) -> None:
    """InvalidSetting for a time no object can be thawed for."""
    if days < 1:
        raise InvalidSetting("thaw", key, f"{days} is not a number of days")
