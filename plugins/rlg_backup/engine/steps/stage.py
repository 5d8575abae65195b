"""stage: takes the source's lease on every target that can be used, and makes the private staging folder."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ...catalog import Lease
from ...catalog.lease_file import HOLDER_LIMIT
from ...core.errors import (
    BackupError,
    BackupNotNeeded,
    InvalidSetting,
    KeyUnavailable,
    LeaseHeld,
    RecipientMissing,
    SignerUnknown,
)
from ...core.model import Kind, new_backup_id
from ...storage.port import Storage
from ..heartbeat import give_back
from ..leftovers import remove_superseded, sweep_leftovers
from ..parents import PlannedParent, find_parent, full_since
from ..residency import require_region
from ..warnings import full_instead
from ..wiring import Wiring
from ..workspace import Reference, Workspace

log = logging.getLogger(__name__)

A_MOMENT = 1.0  # seconds; leases are taken and given back in milliseconds each
ABANDONED = timedelta(days=2)  # no upload goes on for that long


def stage(
    wiring: Wiring,
    source: str,
    kind: Kind,
    *,
    run: str,
    attempt: int = 1,
    unless_full_within: timedelta | None = None,
) -> Reference:
    """Start a run. What dead runs left in the staging folder is removed first.

    An incremental or differential backup becomes a full one, with a warning, where there is nothing sound to make it
    after. ``unless_full_within``: raises BackupNotNeeded where every target got a full one in that time.

    Checks before anything is read that the run can end well: recipients, signing key, staging key, seen heads.
    Raises DocumentDamaged when what is in the place of the seen heads are none; when no target can be used LeaseHeld
    where another run is at work on the source, else the last target's error. A target whose lease alone is held goes
    without a copy, as one that is down: its owner could write a lease that never ends.
    """
    settings = wiring.source_settings(source)
    _require_keys(wiring, source, kind)
    for target in settings.targets:
        wiring.seen.get(target, source)  # the commit needs it: damage is told before anything is read
    sweep_leftovers(wiring.settings.staging.folder, wiring.settings.lease_minutes)
    leases: dict[str, Lease] = {}
    failures: dict[str, BackupError] = {}
    holder = _holder(run)
    try:
        for target in settings.targets:
            try:
                require_region(wiring.settings, wiring.storage(target))
                leases[target] = _acquire_patiently(wiring, target, source, holder, waited=bool(failures))
            except BackupError as error:  # whatever is wrong with one target, the others still get their copy
                failures[target] = error
        if not leases:
            held = [error for error in failures.values() if isinstance(error, LeaseHeld)]
            raise [*held, *reversed(failures.values())][0]
        if unless_full_within is not None:
            _require_needed(wiring, source, list(leases), unless_full_within)
        for target in leases:
            _sweep(wiring.storage(target))
        plan = _plan(wiring, source, kind, list(leases))
        reference = Reference(
            run=run,
            source=source,
            attempt=attempt,
            nonce_sha256="",
            backup_id=new_backup_id(wiring.clock()),
            kind=(kind if plan["parent"] else Kind.FULL).value,
            leases={target: lease.state() for target, lease in leases.items()},
            down={target: str(error) for target, error in failures.items()},
        )
        return _begin(wiring, reference, plan)
    except BaseException:
        give_back(wiring, {target: lease.state() for target, lease in leases.items()})
        raise


def _acquire_patiently(wiring: Wiring, target: str, source: str, holder: str, *, waited: bool) -> Lease:
    """The lease, asked for once more after a moment where it is held: a run that takes its leases, or gives them back,
    is done with the other targets by then, so that two runs do not share the targets between them."""
    try:
        return _acquire(wiring, target, source, holder)
    except LeaseHeld:
        if waited:
            raise
        time.sleep(A_MOMENT)
        return _acquire(wiring, target, source, holder)


def _require_needed(wiring: Wiring, source: str, targets: Sequence[str], within: timedelta) -> None:
    done = full_since(wiring, source, targets, wiring.clock() - within)
    if done is not None:
        hours = within / timedelta(hours=1)
        raise BackupNotNeeded("back up", source, f"the full backup '{done}' was committed within {hours:g} hours")


def _plan(wiring: Wiring, source: str, kind: Kind, targets: Sequence[str]) -> dict[str, Any]:
    """What was asked for, the parent it is made after, and why there is none where there was to be one."""
    found = find_parent(wiring, source, kind, targets) if kind is not Kind.FULL else None
    why = [full_instead(kind.value, found)] if isinstance(found, str) else []
    parent = found.to_json() if isinstance(found, PlannedParent) else None
    return {"asked": kind.value, "parent": parent, "warnings": why}


def _begin(wiring: Wiring, reference: Reference, plan: dict[str, Any]) -> Reference:
    """The staging folder with its first record. Where that fails nobody will wipe it, so nothing of it is left."""
    folder, key = wiring.settings.staging.folder, wiring.staging_key
    targets = wiring.source_settings(reference.source).targets
    held = {target: {**state, "place": wiring.place(target)} for target, state in reference.leases.items()}
    remove_superseded(folder, key, reference.source, held)
    try:
        workspace = Workspace.create(folder, key, reference)
        return workspace.put_record("stage", {"targets": list(targets), "leases": held, **plan})
    except BaseException:
        try:
            Workspace.wipe(folder, reference)
        except (BackupError, OSError) as error:  # what went wrong before is what is to be told
            log.warning("what the run left in the staging folder stays there: %s", error)
        raise


def _require_keys(wiring: Wiring, source: str, kind: Kind) -> None:
    """Raises RecipientMissing, RecipientsMixed, KeyUnavailable, KeyMalformed; SignerUnknown for a key nobody trusts;
    InvalidSetting where keys of the change state open archives, or are missing for the kind."""
    if not wiring.recipients:  # reading them raises too
        raise RecipientMissing("back up", "encryption.recipients", "there is nobody to encrypt to")
    mine = wiring.signing_key.key_id
    if all(signer.key_id != mine for signer in wiring.trusted):
        cause = "'signing.trusted' does not name it, so nobody would believe the backup"
        raise SignerUnknown("sign with", mine, cause, "add the public half of signing.key to signing.trusted")
    if kind is not Kind.FULL and not wiring.state_recipients:
        hint = "set it (docs/configuration.md), or make a full backup"
        raise InvalidSetting("back up", source, f"'change_state' is not set, and kind '{kind.value}' needs it", hint)
    with suppress(KeyUnavailable):  # lost, or none here: a full backup is made, which says so
        wiring.state_identities  # noqa: B018  # one that opens archives is refused


def _acquire(wiring: Wiring, target: str, source: str, holder: str) -> Lease:
    """The lease, also when an earlier try of this very run holds it: that try was killed, or may not commit any more.

    Giving its lease back finishes a commit that it had decided. Raises LeaseHeld for any other run.
    """
    storage, ttl = wiring.storage(target), timedelta(minutes=wiring.settings.lease_minutes)

    def acquire() -> Lease:
        return Lease.acquire(storage, source, holder, ttl, trusted=wiring.trusted, clock=wiring.clock)

    try:
        return acquire()
    except LeaseHeld:
        file = Lease(storage, source, 0, "", holder, trusted=wiring.trusted, clock=wiring.clock).look().file
        if file is None or not file.holder or not _same_run(file.holder, holder):
            raise
        log.warning("the lease of '%s' on '%s' is taken from an earlier try of this run", source, target)
        state = {"target": target, "source": source, "token": file.token, "nonce": file.nonce, "holder": file.holder}
        wiring.lease(target, state).release()
        return acquire()


def _same_run(holder: str, mine: str) -> bool:
    """Whether two holders differ in host and process alone; never of names that were cut."""
    return len(mine) < HOLDER_LIMIT and holder.split("/", 2)[2:] == mine.split("/", 2)[2:]


def _holder(run: str) -> str:
    """Who holds a lease, for people: host, process, run. A run may be called anything, a holder is short ASCII."""
    text = f"{socket.gethostname()}/{os.getpid()}/{run}"
    return "".join(character if " " <= character <= "~" else "?" for character in text)[:HOLDER_LIMIT]


def _sweep(storage: Storage) -> None:
    """What killed uploads left on the target; the run does not depend on it."""
    try:
        storage.sweep(ABANDONED)
    except BackupError as error:
        log.warning("what broken uploads left on '%s' stays there for now: %s", storage.name, error)
