"""What copies go through between targets: a lease, a private folder in staging, objects that were checked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..catalog import Lease
from ..core.errors import BackupError, ObjectDamaged
from ..core.private import create_private
from .archives import ARCHIVE, MANIFEST, PIECE, STATE
from .heartbeat import heartbeat
from .lease import held
from .restore_points import Chosen
from .staged_files import staging_disk
from .wiring import Wiring
from .workspace import Reference, Workspace

_OBJECT = "object"


@contextmanager
def copying(wiring: Wiring, source: str, target: str, work: str) -> Iterator[tuple[Lease, Workspace]]:
    """The lease of a source on the target that is written to, kept alive, and a folder that is gone at the end. Raises
    LeaseHeld while another run is at work there, and as Workspace.create."""
    root = wiring.settings.staging.folder
    with held(wiring, source, target, work) as lease:
        leases = {target: lease.state()}
        run = f"{work}-{secrets.token_hex(6)}"
        reference = Reference(run, source, attempt=1, nonce_sha256="", backup_id="", kind="", leases=leases)
        workspace = Workspace.create(root, wiring.staging_key, reference)
        try:
            with heartbeat(wiring, workspace.reference):
                yield lease, workspace
        finally:
            Workspace.wipe(root, reference)


def objects_of(wiring: Wiring, chosen: Chosen) -> dict[str, str]:
    """The SHA-256 of each object of a backup, by its name; the change state only where it is still kept."""
    found = {MANIFEST: chosen.manifest_sha256, ARCHIVE: chosen.manifest.archives[0].sha256}
    if (state := chosen.manifest.state) is not None and _is_there(wiring, chosen.target, f"{chosen.folder}/{STATE}"):
        found[STATE] = state.sha256
    return found


def _is_there(wiring: Wiring, target: str, key: str) -> bool:
    try:
        wiring.storage(target).stat(key)
    except BackupError:
        return False
    return True


def fetch_object(wiring: Wiring, workspace: Workspace, target: str, key: str, sha256: str) -> Path:
    """An object as it lies on a target, in a file. Raises ObjectDamaged when it has another SHA-256."""
    workspace.remove_file(_OBJECT)
    digest, done = hashlib.sha256(), 0
    with (
        staging_disk(key),
        wiring.storage(target).open(key) as stream,
        create_private(workspace.path(_OBJECT)) as file,
    ):
        while piece := stream.read(PIECE):
            digest.update(piece)
            file.write(piece)
            done += len(piece)
            wiring.progress(f"download from {target}", done, 0)
    if digest.hexdigest() != sha256:
        raise ObjectDamaged("fetch", key, f"target '{target}' holds other bytes than were signed")
    return workspace.path(_OBJECT)
