"""snapshot: reads the source at one instant and stages its members, with the policies applied on the way."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ...anonymize.originals import Originals
from ...config.settings import FilesSettings, TableSettings
from ...core.model import Excluded, SnapshotIdentity
from ...format.digest import WRITTEN
from ...format.profile import Profile
from ..heartbeat import heartbeat
from ..members import StagedMembers
from ..readme import readme
from ..tables import TableSaver
from ..trees import TreeSaver
from ..wiring import Wiring
from ..workspace import Reference, Workspace

ORIGINALS = "originals"  # the keyed filter that the next step looks for leaks with; never leaves the worker


def snapshot(wiring: Wiring, reference: Reference) -> Reference:
    """Stage every member of the backup. Run again, it replaces what it staged."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    workspace.record("stage")
    for leftover in workspace.folder.glob("member-*"):
        workspace.remove_file(leftover.name)
    settings = wiring.source_settings(reference.source)
    members = StagedMembers(workspace)
    members.add("README.txt", readme().encode())
    with heartbeat(wiring, reference):
        if isinstance(settings, TableSettings):
            found = _tables(wiring, workspace, settings, members)
        else:
            found = _tree(wiring, reference.source, settings, members)
    digest_key, identity, profile = found
    body = {"digest_key": digest_key.hex(), "row_digest": WRITTEN, **profile}
    staged = members.add("profile.json", Profile.from_dict(body, "profile.json").to_bytes())
    return workspace.put_record(
        "snapshot",
        {
            "members": [member.to_json() for member in members.members],
            "profile_sha256": staged.sha256,
            "identity": {
                "system": identity.system,
                "marker": identity.marker,
                "taken_at": f"{identity.taken_at:%Y-%m-%dT%H:%M:%SZ}",
            },
            "profile": body,
            "configuration_sha256": _settings_digest(settings),
        },
    )


def _tables(
    wiring: Wiring, workspace: Workspace, settings: TableSettings, members: StagedMembers
) -> tuple[bytes, SnapshotIdentity, dict[str, Any]]:
    digest_key = secrets.token_bytes(32)
    originals = Originals(workspace.derived_key(ORIGINALS))
    with wiring.table_source(workspace.reference.source).snapshot() as snapshot:
        identity = _taken(wiring, snapshot.identity)
        saver = TableSaver(
            snapshot,
            settings,
            members,
            digest_key=digest_key,
            tokenization_key=wiring.tokenization_secret,
            originals=originals,
            progress=wiring.progress,
        )
        saver.save_all()
        for name, content in snapshot.schema_files().items():
            members.add(f"schema/{name}", content)
        profile = {
            "tables": saver.profiles,
            "tree": None,
            "excluded": _excluded(list(snapshot.excluded)),
            "warnings": [*snapshot.warnings, *saver.warnings],
        }
    workspace.remove_file(ORIGINALS)
    with workspace.create_file(ORIGINALS) as file:
        file.write(originals.to_bytes())
    return digest_key, identity, profile


def _tree(
    wiring: Wiring, source: str, settings: FilesSettings, members: StagedMembers
) -> tuple[bytes, SnapshotIdentity, dict[str, Any]]:
    digest_key = secrets.token_bytes(32)
    with wiring.file_source(source).snapshot() as snapshot:
        saver = TreeSaver(snapshot, members, digest_key=digest_key, progress=wiring.progress)
        tree = saver.save_all()
        profile = {
            "tables": [],
            "tree": tree,
            "excluded": _excluded(list(snapshot.excluded)),
            "warnings": [*snapshot.warnings, *saver.warnings],
        }
        return digest_key, _taken(wiring, snapshot.identity), profile


def _taken(wiring: Wiring, identity: SnapshotIdentity) -> SnapshotIdentity:
    """The identity with the time, in whole seconds and never too early, after which nothing was read that is newer:
    for tables when the snapshot stood, for a tree when its last file was read. A restore as of a time relies on it."""
    return replace(identity, taken_at=wiring.clock() + timedelta(seconds=1, microseconds=-1))


def _excluded(items: list[Excluded]) -> list[dict[str, str]]:
    return sorted(({"name": item.name, "reason": item.reason} for item in items), key=lambda item: item["name"])


def _settings_digest(settings: TableSettings | FilesSettings) -> str:
    """Of the settings that decide what is saved and how; the same for equal settings on every host."""
    decisive = settings.model_dump(
        mode="json", exclude={"path", "connection", "database", "readers", "targets", "queue", "pool"}
    )
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
