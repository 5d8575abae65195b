"""validate: reads back what the target holds, every byte, against what the manifest says."""

from __future__ import annotations

from ...core.errors import ObjectDamaged
from ..archives import MANIFEST, digest_of
from ..heartbeat import heartbeat
from ..residency import objects_for
from ..wiring import Wiring
from ..workspace import Reference, Workspace


def validate(wiring: Wiring, reference: Reference, target: str) -> Reference:
    """Raises ObjectDamaged when a byte differs, ObjectMissing when an object is gone."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    folder = workspace.record(f"upload-{target}")["folder"]
    checked = workspace.record("checksum")
    storage = wiring.storage(target)
    with heartbeat(wiring, reference):
        objects = objects_for(wiring.settings, reference.source, target, checked["objects"])
        sent = {name: entry["sha256"] for name, entry in objects.items()}
        for name, expected in {**sent, MANIFEST: checked["manifest_sha256"]}.items():
            with storage.open(f"{folder}/{name}") as stream:
                found = digest_of(stream)[1]
            if found != expected:
                cause = f"the target '{target}' gives back other bytes than were sent"
                raise ObjectDamaged("validate", f"{folder}/{name}", cause)
    return workspace.put_record(f"validate-{target}", {"manifest_sha256": checked["manifest_sha256"]})
