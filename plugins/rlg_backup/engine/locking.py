"""Locks on what is stored: until a backup expires nobody with a worker's credentials removes or replaces it.

Archives and manifest are locked from the request that makes them, the commit record once it was read back (a
damaged one could not be replaced while it is locked), and with a child all that it needs, for as long as it is kept.
The change state is not: it is replaced with each backup, and no restore needs it.
"""

from __future__ import annotations

from datetime import datetime

from ..core.model import Kind
from .archives import MANIFEST
from .chains import chain_of
from .residency import archive_name, held
from .restore_points import choose
from .wiring import Wiring


def lock_time(wiring: Wiring, source: str, target: str, kind: Kind, made: datetime | None = None) -> datetime | None:
    """Until when a backup that was ``made`` then (else: now) is locked on a target: as long as it is kept at least.
    None where the configuration wants no locks there."""
    if wiring.settings.targets[target].lock == "none":
        return None
    return wiring.settings.retention.rules(source).age(kind).after(made or wiring.clock())


def lock_chain(wiring: Wiring, source: str, target: str, backup_id: str, until: datetime) -> None:
    """Locks a committed backup there with its record, and all before it that it needs. Idempotent: a lock only ever
    becomes longer. Raises as ``choose``, LockUnavailable."""
    storage = wiring.storage(target)
    for one in chain_of(wiring, choose(wiring, source, backup_id, target=target), targets=[target]):
        archives = [archive_name(entry.zone) for entry in held(wiring.settings, target, one.manifest)]
        for key in (*(f"{one.folder}/{name}" for name in (*archives, MANIFEST)), one.point.key):
            storage.lock(key, until)
