"""wipe: gives the leases back and removes the staging folder, whatever became of the run."""

from __future__ import annotations

from ..heartbeat import give_back
from ..wiring import Wiring
from ..workspace import Reference, Workspace


def wipe(wiring: Wiring, reference: Reference) -> None:
    """Idempotent. Raises StagingLost when files cannot be removed; a lease that cannot be given back runs out."""
    give_back(wiring, reference.leases)
    Workspace.wipe(wiring.settings.staging.folder, reference)
