"""wipe: gives the leases back and removes the staging folder, whatever became of the run."""

from __future__ import annotations

import logging

from ...core.errors import BackupError
from ..wiring import Wiring
from ..workspace import Reference, Workspace

log = logging.getLogger(__name__)


def wipe(wiring: Wiring, reference: Reference) -> None:
    """Idempotent. Raises StagingLost when files cannot be removed; a lease that cannot be given back runs out."""
    for target, state in reference.leases.items():
        try:
            wiring.lease(target, state).release()
        except BackupError as error:
            log.warning("the lease of '%s' on '%s' is left to run out: %s", reference.source, target, error)
    Workspace.wipe(wiring.settings.staging.folder, reference)
