"""What copies go through between targets: a lease, a private folder in staging, objects that were checked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..catalog import Lease
from ..core.errors import BackupError, DamageError, ObjectDamaged, ObjectMissing, ResidencyRefused, StorageError
from ..core.private import create_private
from .archives import MANIFEST, PIECE, STATE
from .heartbeat import heartbeat
from .lease import held
from .residency import archive_name, may_hold, objects_for
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


def objects_of(wiring: Wiring, chosen: Chosen, target: str) -> dict[str, str]:
    """The SHA-256 of each object of a backup that may lie on a ``target``, by its name; the change state only where it
    is still kept. Raises ResidencyRefused for a backup that was made when the zones were others."""
    if chosen.manifest.zones_sha256 != wiring.settings.layout(chosen.source):
        cause = "its rows were put into archives by other zones than those of the configuration"
        raise ResidencyRefused("copy", chosen.folder, cause, "make a new full backup; this one stays where it is")
    found = {archive_name(one.zone): one.sha256 for one in chosen.manifest.archives}
    if (state := chosen.manifest.state) is not None and is_there(wiring, chosen.target, f"{chosen.folder}/{STATE}"):
        found[STATE] = state.sha256
    return {MANIFEST: chosen.manifest_sha256, **objects_for(wiring.settings, chosen.source, target, found)}


def is_there(wiring: Wiring, target: str, key: str) -> bool:
    """Whether a target has an object; raises StorageError."""
    try:
        wiring.storage(target).stat(key)
    except ObjectMissing:
        return False
    return True


def fetch_object(wiring: Wiring, workspace: Workspace, chosen: Chosen, name: str, sha256: str) -> Path:
    """An object of a backup in a file: from the chosen copy, or from the first that may hold it and does where that one
    may not. Raises ObjectDamaged when it has another SHA-256."""
    targets = [chosen.target, *wiring.source_settings(chosen.source).targets]
    holders = [one for one in targets if name == MANIFEST or may_hold(wiring.settings, chosen.source, one, name)]
    if chosen.target in holders:
        return _fetch(wiring, workspace, chosen.target, f"{chosen.folder}/{name}", sha256)
    failures: list[BackupError] = []
    for target in holders:
        try:
            return _fetch(wiring, workspace, target, f"{chosen.folder}/{name}", sha256)
        except (DamageError, StorageError) as error:
            failures.append(error)
    raise failures[0]


def _fetch(wiring: Wiring, workspace: Workspace, target: str, key: str, sha256: str) -> Path:
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
