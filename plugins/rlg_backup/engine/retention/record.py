"""Puts on record what is decided about the backups of a source on a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...catalog import Lease, commit_retention
from ...format.retention import Event, State
from ..lease import whoever
from ..locking import lock_record
from ..wiring import Wiring

Decide = Callable[[State], Sequence[Event]]
"""What follows from how backups stand; nothing where that is so already."""


def put_on_record(wiring: Wiring, lease: Lease, decide: Decide) -> None:
    """Signs and commits it where the lease is held, and locks the record where the target is to lock. Idempotent as far
    as ``decide`` is. Raises as commit_retention and ``lock_record``."""
    source, target = lease.source, lease.store.name
    catalogs = {name: wiring.catalog(name, source) for name in wiring.source_settings(source).targets}
    others = [catalog for name, catalog in catalogs.items() if name != target]
    entry = commit_retention(
        lease, catalogs[target], key=wiring.signing_key, by=whoever(), decide=decide, others=others
    )
    if entry is not None:
        lock_record(wiring, source, target, entry.key)
