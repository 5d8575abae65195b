"""commit: makes the backup exist, on each target whose copy was read back. Written last; fenced by the lease."""

from __future__ import annotations

import logging

from ...catalog import commit_backup
from ...core.errors import BackupError, BackupIncomplete
from ...core.model import Kind
from ..heartbeat import heartbeat
from ..wiring import Wiring
from ..workspace import Reference, Workspace

log = logging.getLogger(__name__)


def commit(wiring: Wiring, reference: Reference) -> Reference:
    """Commit where this run holds the lease and the copy was validated; idempotent.

    A target that fails leaves the others committed: the record says which copies exist, and why others do
    not. Raises BackupIncomplete when no copy could be committed.
    """
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    manifest_sha256 = workspace.record("checksum")["manifest_sha256"]
    planned = workspace.record("stage")["targets"]
    committed: dict[str, int] = {}
    missing: dict[str, str] = dict(reference.down)
    catalogs = {target: wiring.catalog(target, reference.source) for target in planned}
    with heartbeat(wiring, reference):
        for target in planned:
            if target in missing:
                continue
            if f"validate-{target}" not in reference.records:
                missing[target] = "its copy was not validated"
                continue
            try:
                point = commit_backup(
                    wiring.lease(target, reference.leases[target]),
                    catalogs[target],
                    key=wiring.signing_key,
                    backup_id=reference.backup_id,
                    kind=Kind(reference.kind),
                    parent=None,
                    manifest_sha256=manifest_sha256,
                    others=[catalog for other, catalog in catalogs.items() if other != target],
                )
                committed[target] = point.sequence
            except BackupError as error:
                log.error("%s", error)
                missing[target] = str(error)
    if not committed:
        reasons = "; ".join(f"{target}: {reason}" for target, reason in sorted(missing.items()))
        raise BackupIncomplete("commit", reference.backup_id, f"no copy could be committed ({reasons})")
    return workspace.put_record("commit", {"committed": committed, "missing": missing})
