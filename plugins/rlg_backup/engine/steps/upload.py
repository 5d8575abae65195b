"""upload: puts the manifest and its archive on one target. Nothing lists them until the commit."""

from __future__ import annotations

from ...core.errors import ObjectDamaged, ObjectExists, StorageUnavailable
from ...storage.port import Storage
from ..archives import ARCHIVE, digest_of
from ..heartbeat import heartbeat
from ..wiring import Wiring
from ..workspace import Reference, Workspace
from .checksum import MANIFEST


def upload(wiring: Wiring, reference: Reference, target: str) -> Reference:
    """Run again, it finds its own objects and is content with them; other bytes there are ObjectDamaged."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    checked = workspace.record("checksum")
    if target in reference.down:
        raise StorageUnavailable("reach", target, "it did not answer when the run began")
    storage = wiring.storage(target)
    folder = f"{reference.source}/{reference.backup_id}"
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        wiring.progress(f"upload to {target}", done, checked["size"])

    with heartbeat(wiring, reference):
        with workspace.open_file(MANIFEST) as file:
            data = file.read()
        try:  # before the archive: where that finds no room, this is all that stays
            storage.put_bytes(f"{folder}/{MANIFEST}", data)
        except ObjectExists:
            _expect(storage, f"{folder}/{MANIFEST}", checked["manifest_sha256"])
        archive = workspace.path(ARCHIVE)
        try:
            storage.put_file(f"{folder}/{ARCHIVE}", archive, sha256=checked["sha256"], progress=progress)
        except ObjectExists:
            _expect(storage, f"{folder}/{ARCHIVE}", checked["sha256"])
    return workspace.put_record(f"upload-{target}", {"folder": folder})


def _expect(storage: Storage, key: str, sha256: str) -> None:
    with storage.open(key) as stream:
        if digest_of(stream)[1] != sha256:
            raise ObjectDamaged("upload", key, f"the target '{storage.name}' holds other bytes under that name")
