"""Locks on what is stored: until a backup expires nobody with a worker's credentials removes or replaces it.

Archives and manifest are locked from the request that makes them, the commit record once it was read back (a
damaged one could not be replaced while it is locked), and with a child all that it needs, for as long as it is kept.
The change state is not: it is replaced with each backup, and no restore needs it. A record of decisions is locked as
long as any backup may be kept that was there when it was made: without it the catalog would have a hole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime

from ..core.errors import DamageError, ObjectMissing
from ..core.model import Kind
from .archives import MANIFEST
from .chains import chain_of
from .residency import archive_name, held
from .restore_points import Chosen, choose
from .wiring import Wiring


def lock_time(wiring: Wiring, source: str, target: str, kind: Kind, made: datetime | None = None) -> datetime | None:
    """Until when a backup that was ``made`` then (else: now) is locked on a target: as long as it is kept at least.
    None where the configuration wants no locks there."""
    if wiring.settings.targets[target].lock == "none":
        return None
    return wiring.settings.retention.rules(source, target).age(kind).after(made or wiring.clock())


def lock_chain(wiring: Wiring, source: str, target: str, backup_id: str) -> None:
    """Locks a committed backup there with its record until it expires, and all before it that it needs as long.
    Idempotent: a lock only ever becomes longer. Nothing where no locks are wanted. Raises as ``choose``, and
    StorageError."""
    if wiring.settings.targets[target].lock != "none":
        _lock(wiring, chain_of(wiring, choose(wiring, source, backup_id, target=target), targets=[target]))


def lock_what_needs(wiring: Wiring, source: str, target: str, backup_ids: Collection[str]) -> None:
    """``lock_chain`` of each backup there that one of these is restored for, themselves among them. What cannot be read
    of others is left to whoever looks at those."""
    if wiring.settings.targets[target].lock == "none":
        return
    for point in wiring.catalog(target, source).points():
        with suppress(DamageError, ObjectMissing):
            chain = chain_of(wiring, choose(wiring, source, point.backup_id, target=target), targets=[target])
            if any(one.point.backup_id in backup_ids for one in chain):
                _lock(wiring, chain)


def lock_what_is_not(wiring: Wiring, source: str, target: str) -> None:
    """``lock_chain`` of each backup there that is not locked as long as it is kept: a run before could not, or the
    rules were others. Its record tells: it is locked last."""
    if wiring.settings.targets[target].lock == "none":
        return
    for point in wiring.catalog(target, source).points():
        until = lock_time(wiring, source, target, point.kind, point.time)
        if until is None or until <= wiring.clock():
            continue
        with suppress(DamageError, ObjectMissing):
            present = wiring.storage(target).stat(point.key).locked_until
            if present is None or present < until:
                lock_chain(wiring, source, target, point.backup_id)


def lock_record(wiring: Wiring, source: str, target: str, key: str) -> None:
    """Locks a record of decisions, by its key. Nothing where no locks are wanted; raises StorageError."""
    ends = [until for kind in Kind if (until := lock_time(wiring, source, target, kind)) is not None]
    if ends:
        wiring.storage(target).lock(key, max(ends))


def _lock(wiring: Wiring, chain: Sequence[Chosen]) -> None:
    """What a backup needs before itself, its archives before its record."""
    times: list[datetime | None] = []
    for one in reversed(chain):
        own = lock_time(wiring, one.source, one.target, one.point.kind, one.manifest.snapshot.taken_at)
        times.append(max(filter(None, (own, *times[-1:])), default=None))
    for one, until in zip(chain, reversed(times), strict=True):
        if until is not None:
            archives = [archive_name(entry.zone) for entry in held(wiring.settings, one.target, one.manifest)]
            for key in (*(f"{one.folder}/{name}" for name in (*archives, MANIFEST)), one.point.key):
                wiring.storage(one.target).lock(key, until)
