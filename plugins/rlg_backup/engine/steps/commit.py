"""commit: makes the backup exist, on each target whose copy was read back. Written last; fenced by the lease."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ...catalog import commit_backup
from ...core.errors import BackupError, BackupIncomplete, StagingLost, StorageFull
from ...core.model import Kind
from ...format.manifest import Parent
from ..archives import STATE
from ..erasure import at_commit
from ..heartbeat import heartbeat
from ..locking import lock_chain
from ..parents import remove_old_states
from ..residency import uncovered, zone_of
from ..wiring import Wiring
from ..workspace import Reference, Workspace

log = logging.getLogger(__name__)

HINT = "\nhint: "  # what follows a cause in an error's text


def commit(wiring: Wiring, reference: Reference) -> Reference:
    """Commit where this run holds the lease and the copy was validated; idempotent.

    A target that fails leaves the others committed: the record says which copies exist, and why others do
    not. Raises BackupIncomplete when no copy could be committed, and where one is that could not be locked, as it was
    to be, what the lock failed of: after the step's record, since it exists.
    """
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    checked, parent = workspace.record("checksum"), workspace.record("snapshot")["parent"]
    planned = workspace.record("stage")["targets"]
    committed: dict[str, int] = {}
    missing: dict[str, str] = dict(reference.down)
    unlocked: list[BackupError] = []
    warnings: list[str] = []
    catalogs = {target: wiring.catalog(target, reference.source) for target in planned}
    zones = sorted(map(zone_of, checked["objects"]))
    with heartbeat(wiring, reference):
        for target in _sole_holders_first(wiring, reference.source, planned, zones):
            if not committed:
                _require_every_zone(wiring, reference, zones, missing)
            if target in missing:
                continue
            if f"validate-{target}" not in reference.records:
                missing[target] = "its copy was not validated"
                continue
            try:
                erasures, fault = at_commit(wiring, reference.source, target)
                warnings += [fault] if fault else []
                point = commit_backup(
                    wiring.lease(target, reference.leases[target]),
                    catalogs[target],
                    key=wiring.signing_key,
                    backup_id=reference.backup_id,
                    kind=Kind(reference.kind),
                    parent=Parent(**parent) if parent else None,
                    manifest_sha256=checked["manifest_sha256"],
                    others=[catalog for other, catalog in catalogs.items() if other != target],
                    erasures=erasures,
                )
                committed[target] = point.sequence
                if STATE in checked["objects"]:
                    remove_old_states(wiring, reference.source, target)
                unlocked += _lock(wiring, reference, target)
            except BackupError as error:
                if len(planned) > 1:  # the only one's is in the run's error
                    log.error("%s", error)
                missing[target] = str(error)
    if not committed:
        reasons = "; ".join(f"{target}: {reason.partition(HINT)[0]}" for target, reason in sorted(missing.items()))
        raise BackupIncomplete("commit", reference.backup_id, f"no copy could be committed ({reasons})")
    noted = _noted(workspace, committed, missing, warnings)
    if unlocked:
        raise unlocked[0]
    return noted


def _sole_holders_first(wiring: Wiring, source: str, targets: Sequence[str], zones: Sequence[str]) -> list[str]:
    """The targets, but first those without which a zone has no copy: where they fail nothing is committed."""

    def alone(target: str) -> int:
        others = [other for other in targets if other != target]
        return len(uncovered(wiring.settings, source, zones, others))

    return sorted(targets, key=alone, reverse=True)


def _require_every_zone(wiring: Wiring, reference: Reference, zones: Sequence[str], missing: Mapping[str, str]) -> None:
    """Each archive has a copy that was validated and may be committed yet: what lacks a zone cannot be restored. Raises
    BackupIncomplete."""
    validated = [target for target in reference.leases if f"validate-{target}" in reference.records]
    lacking = uncovered(wiring.settings, reference.source, zones, [one for one in validated if one not in missing])
    if validated and lacking and set(validated) - set(missing):  # else each target's reason is told
        down = "; ".join(f"{target}: {reason.partition(HINT)[0]}" for target, reason in sorted(missing.items()))
        cause = f"no target that may hold the zone '{lacking[0]}' has a copy" + (f" ({down})" if down else "")
        raise BackupIncomplete("commit", reference.backup_id, cause)


def _lock(wiring: Wiring, reference: Reference, target: str) -> list[BackupError]:
    """What kept a committed backup from being locked."""
    try:
        lock_chain(wiring, reference.source, target, reference.backup_id)
    except BackupError as error:
        return [error]
    return []


def _noted(
    workspace: Workspace, committed: Mapping[str, int], missing: Mapping[str, str], warnings: Sequence[str]
) -> Reference:
    """The step's record. Where staging takes it no more the run fails, and says that the backup exists all the same."""
    try:
        return workspace.put_record("commit", {"committed": committed, "missing": missing, "warnings": warnings})
    except (StagingLost, StorageFull) as error:
        verb, subject, cause = error.verb, error.subject, error.cause
        hint = f"the backup is committed on {', '.join(committed)} and can be restored: only the run's own note is lost"
        raise type(error)(verb, subject, cause, hint) from None
