"""What is done to objects: an expired backup's are removed, with a certificate, or moved to a colder tier; a held one's
are locked on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ...config.residency import BASE
from ...core.errors import DamageError, ObjectDamaged, ObjectMissing
from ...core.model import Tier
from ...format.manifest import Manifest
from ...format.retention import Erased, ErasedObject, Removal
from ..archives import MANIFEST, STATE
from ..residency import archive_name
from ..restore_points import MANIFEST_LIMIT
from ..wiring import Wiring
from .shelf import Shelf

log = logging.getLogger(__name__)

WEEK = timedelta(days=7)
HELD = 5 * WEEK  # from each run on; for as long retention may fail before a held backup's lock ends
WEEK_BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


def erase_backup(wiring: Wiring, source: str, target: str, removal: Removal) -> Erased:
    """Removes every object of a backup that a record says to be going, with all versions; the manifest last.

    Idempotent: what an earlier run removed is in the certificate with no version. Raises StorageError, ObjectLocked
    among them, and ObjectDamaged where the target lists objects that it was told to remove.
    """
    storage, folder = wiring.storage(target), f"{source}/{removal.backup_id}/"
    sizes = {one.key: one.size for one in removal.objects} | {info.key: info.size for info in storage.list(folder)}
    versions = {key: storage.erase(key) for key in _last_the_manifest(wiring, target, folder, sizes)}
    if left := next(iter(storage.list(folder)), None):
        raise ObjectDamaged("erase", left.key, f"target '{target}' still lists it")
    keys = [key for key in versions if key in sizes or versions[key]]
    objects = tuple(ErasedObject(key=key, size=sizes.get(key, 0), versions=versions[key]) for key in keys)
    total, count = sum(sizes.values()), sum(versions.values())
    log.info("erased '%s' on '%s': %d objects, %d bytes, %d versions", folder, target, len(keys), total, count)
    return Erased(removal=removal, objects=objects)


def move_archives(wiring: Wiring, shelf: Shelf, backup_id: str, tier: Tier) -> None:
    """Moves what a restore reads much of to a colder tier; records and manifest stay at hand. Idempotent.

    Raises StorageError; InvalidSetting where the target has no such tier.
    """
    for info in shelf.objects[backup_id]:
        if info.key.endswith(".zip.age") and not info.key.endswith(f"/{STATE}"):
            wiring.storage(shelf.target).move_to(info.key, tier)
    log.info("archived '%s/%s' on '%s': tier %s", shelf.source, backup_id, shelf.target, tier)


def held_until(now: datetime) -> datetime:
    """Until when what is held is locked: for weeks and not for ever, since a hold can be released. The same for a week,
    in which nothing is asked for again."""
    return now + HELD - (now - WEEK_BEGAN) % WEEK


def lock_held(wiring: Wiring, shelf: Shelf, backup_id: str, record: str, until: datetime) -> None:
    """Locks a held backup's archives, manifest and ``record``. Idempotent; raises StorageError."""
    keys = [info.key for info in shelf.objects[backup_id] if not info.key.endswith(f"/{STATE}")]
    for key in (*keys, record):
        wiring.storage(shelf.target).lock(key, until)


def remove_abandoned(wiring: Wiring, shelf: Shelf, name: str) -> None:
    """Removes what a run left that committed nothing. Idempotent; raises StorageError."""
    storage, folder = wiring.storage(shelf.target), f"{shelf.source}/{name}/"
    for key in _last_the_manifest(wiring, shelf.target, folder, (info.key for info in shelf.objects[name])):
        storage.erase(key)
    log.info("removed what a run left uncommitted on '%s': %s", shelf.target, folder)


def _last_the_manifest(wiring: Wiring, target: str, folder: str, listed: Iterable[str]) -> list[str]:
    """The keys to erase: those listed, and those that may have been deleted before and left versions behind."""
    zones = {BASE, *wiring.settings.residency.zones, *_signed_zones(wiring, target, folder)}
    keys = {*listed, *(folder + name for name in (*map(archive_name, zones), STATE, MANIFEST))}
    return sorted(keys, key=lambda key: (key == folder + MANIFEST, key))


def _signed_zones(wiring: Wiring, target: str, folder: str) -> list[str]:
    """The zones by which the rows of a backup were parted, also those that have other names now; none where an earlier
    run erased the manifest, which it did last. Raises StorageError."""
    source, backup_id, _ = folder.split("/")
    try:
        data, _ = wiring.storage(target).get_bytes(folder + MANIFEST, limit=MANIFEST_LIMIT)
        manifest = Manifest.load(data, wiring.trusted, source=source, backup_id=backup_id)
    except (DamageError, ObjectMissing):
        return []
    return [entry.zone for entry in manifest.archives]
