"""checksum: reads the archive back from disk against the digest taken while it was written; signs the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ...anonymize.resolution import IRREVERSIBLE, KEYED
from ...config.settings import Settings
from ...core.errors import ObjectDamaged, StagingLost
from ...core.model import Fidelity
from ...format.manifest import Manifest
from ...sources.port import table_title
from ..archives import MANIFEST, STATE, digest_of
from ..heartbeat import heartbeat
from ..members import StagedMember
from ..proven import proven
from ..residency import archive_name
from ..wiring import Wiring
from ..workspace import Reference, Workspace


def checksum(wiring: Wiring, reference: Reference) -> Reference:
    """Raises ObjectDamaged when the disk does not give back what was written."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged, finding = proven(workspace), workspace.record("anonymize")
    written = workspace.record("encrypt")
    objects = {archive_name(entry["zone"]): entry for entry in written["archives"]}
    objects |= {STATE: written["state"]} if written["state"] else {}
    with heartbeat(wiring, reference):
        for name, entry in objects.items():
            _read_back(workspace, name, entry)
    manifest = _manifest(wiring, reference, staged, finding, written)
    data = manifest.sign(wiring.signing_key)
    workspace.remove_file(MANIFEST)
    with workspace.create_file(MANIFEST) as sink:
        sink.write(data)
    return workspace.put_record(
        "checksum",
        {
            "manifest_sha256": hashlib.sha256(data).hexdigest(),
            "objects": {name: {"size": entry["size"], "sha256": entry["sha256"]} for name, entry in objects.items()},
        },
    )


def _read_back(workspace: Workspace, name: str, written: Mapping[str, Any]) -> None:
    try:
        with workspace.path(name).open("rb") as file:
            found = digest_of(file)
    except OSError as error:
        raise StagingLost("read", name, error.strerror or "the staging disk failed") from None
    if found != (written["size"], written["sha256"]):
        raise ObjectDamaged("check", name, "the disk gives back other bytes than were written")


def _manifest(
    wiring: Wiring,
    reference: Reference,
    staged: Mapping[str, Any],
    finding: Mapping[str, Any],
    written: Mapping[str, Any],
) -> Manifest:
    profile = staged["profile"]
    policies = {
        f"{_title(table)}.{column['name']}": column["policy"]
        for table in profile["tables"]
        for column in table["columns"]
    }
    masked = sorted(name for name, policy in policies.items() if policy in IRREVERSIBLE)
    key = wiring.tokenization_key if KEYED & set(policies.values()) else None
    members = [StagedMember(**member) for member in staged["members"]]
    tree = profile["tree"] or {"entries": 0}
    body = {
        "engine": reference.engine,
        "source": reference.source,
        "backup_id": reference.backup_id,
        "kind": reference.kind,
        "parent": staged["parent"],
        "created_at": f"{wiring.clock():%Y-%m-%dT%H:%M:%SZ}",
        "snapshot": staged["identity"],
        "fidelity": (Fidelity.MASKED if masked else Fidelity.RECOVERABLE).value,
        "masked_columns": masked,
        "tokenization_key": key.key_id if key else None,
        "recipients": sorted(recipient.id for recipient in wiring.recipients),
        "configuration_sha256": staged["configuration_sha256"],
        "contents": {
            "tables": len(profile["tables"]),
            "rows": sum(table["rows"] for table in profile["tables"]),
            "entries": tree["entries"],
            "bytes": sum(member.size for member in members),
            "excluded": len(profile["excluded"]),
            "warnings": len(profile["warnings"]),
            "names": _names(wiring.settings, reference.source, profile),
        },
        "finding": {name: finding[name] for name in ("checked_members", "hits", "undeclared")},
        "archives": written["archives"],
        "state": written["state"],
        "zones_sha256": wiring.settings.layout(reference.source),
    }
    return Manifest.from_dict(body, MANIFEST)


def _title(table: Mapping[str, Any]) -> str:
    return table_title(table["schema"], table["name"], table["options"])


def _names(settings: Settings, source: str, profile: Mapping[str, Any]) -> dict[str, list[str]] | None:
    if not settings.sources[source].names_in_clear:
        return None
    return {
        "tables": sorted(_title(table) for table in profile["tables"]),
        "excluded": sorted(item["name"] for item in profile["excluded"]),
    }
