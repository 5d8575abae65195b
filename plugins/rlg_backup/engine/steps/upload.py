"""upload: puts the manifest on one target, and what may lie there of archives and change state.

Nothing lists them until the commit.
"""

from __future__ import annotations

from ...core.errors import ObjectExists, StorageUnavailable
from ...core.model import Kind
from ..archives import MANIFEST, STATE, require_object
from ..heartbeat import heartbeat
from ..locking import lock_time
from ..residency import objects_for
from ..wiring import Wiring
from ..workspace import Reference, Workspace


def upload(wiring: Wiring, reference: Reference, target: str) -> Reference:
    """Run again, it finds its own objects and is content with them; other bytes there are ObjectDamaged."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    checked = workspace.record("checksum")
    if target in reference.down:
        raise StorageUnavailable("reach", target, "it did not answer when the run began")
    storage = wiring.storage(target)
    folder = f"{reference.source}/{reference.backup_id}"
    until = lock_time(wiring, reference.source, target, Kind(reference.kind))
    objects = objects_for(wiring.settings, reference.source, target, checked["objects"])
    done, total = 0, sum(entry["size"] for entry in objects.values())

    def progress(count: int) -> None:
        nonlocal done
        done += count
        wiring.progress(f"upload to {target}", done, total)

    with heartbeat(wiring, reference):
        with workspace.open_file(MANIFEST) as file:
            data = file.read()
        try:  # before the rest: where that finds no room, this is all that stays
            storage.put_bytes(f"{folder}/{MANIFEST}", data, locked_until=until)
        except ObjectExists:
            require_object(storage, f"{folder}/{MANIFEST}", checked["manifest_sha256"])
        for name, entry in objects.items():
            key, path, sha256 = f"{folder}/{name}", workspace.path(name), entry["sha256"]
            try:
                locked = None if name == STATE else until
                storage.put_file(key, path, sha256=sha256, progress=progress, locked_until=locked)
            except ObjectExists:
                require_object(storage, key, sha256)
    return workspace.put_record(f"upload-{target}", {"folder": folder})
