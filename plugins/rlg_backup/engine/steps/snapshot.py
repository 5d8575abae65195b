"""snapshot: reads the source at one instant and stages its members, with the policies applied on the way."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, cast

from ...anonymize.originals import Originals
from ...config.residency import BASE
from ...config.settings import FilesSettings, TableSettings
from ...core.errors import BackupError, StagingLost, StorageFull
from ...core.model import Excluded, Kind, SnapshotIdentity
from ...format.change_state import SUBJECT as STATE_JSON
from ...format.change_state import ChangeState
from ...format.digest import WRITTEN
from ...format.profile import SUBJECT as PROFILE
from ...format.profile import Profile
from ...format.zone_profile import SUBJECT as ZONE_PROFILE
from ...format.zone_profile import ZoneProfile
from ...sources.port import AddressedSnapshot, FileSnapshot, TableSnapshot
from ..archives import README
from ..heartbeat import heartbeat
from ..members import StagedMembers
from ..parent_state import ParentState, open_parent
from ..readme import readme
from ..samples import KIND as SAMPLE
from ..samples import Samples
from ..tables import TableSaver
from ..tracking import Tracking
from ..tree_tracking import TreeTracking
from ..trees import TreeSaver
from ..undecided import Undecided
from ..warnings import full_instead
from ..wiring import Wiring
from ..workspace import Reference, Workspace

_PARENT: Final = ("backup_id", "manifest_sha256")
ORIGINALS = "originals"  # the keyed filter that the next step looks for leaks with; never leaves the worker


@dataclass(frozen=True)
class _Taken:
    """What the snapshot of a source gave. ``parent`` is what it is relative to, None for a full one."""

    digest_key: bytes
    identity: SnapshotIdentity
    profile: dict[str, Any]
    parent: ParentState | None = None
    state: ChangeState | None = None
    samples: Sequence[Sequence[str]] = ()
    made_of: Sequence[Mapping[str, Any] | None] = ()
    zones: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)


def snapshot(wiring: Wiring, reference: Reference) -> Reference:
    """Stage every member of the backup. Run again, it replaces what it staged.

    Where nothing can be told of what changed since the parent, it makes a full one, and a warning says why.
    """
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    planned = workspace.record("stage")
    for kind in ("member", "state", SAMPLE):
        for leftover in workspace.folder.glob(f"{kind}-*"):
            workspace.remove_file(leftover.name)
    settings = wiring.source_settings(reference.source)
    members, state = StagedMembers(workspace), StagedMembers(workspace, "state")
    members.add(README, readme().encode())
    with heartbeat(wiring, reference):
        if isinstance(settings, TableSettings):
            taken = _tables(wiring, workspace, settings, members, state)
        else:
            taken = _tree(wiring, workspace, settings, members, state)
    if taken.state is not None:
        state.add(STATE_JSON, taken.state.to_bytes())
    profile = {**taken.profile, "warnings": [*planned["warnings"], *taken.profile["warnings"]]}
    body = {"digest_key": taken.digest_key.hex(), "row_digest": WRITTEN, **profile}
    staged = members.add(PROFILE, Profile.from_dict(body, PROFILE).to_bytes())
    profiles = {BASE: staged.sha256, **_add_zones(members, taken.zones)}
    if taken.parent is None:
        workspace.reference = replace(reference, kind=Kind.FULL.value)
    return workspace.put_record(
        "snapshot",
        {
            "members": [member.to_json() for member in members.members],
            "state_members": [member.to_json() for member in state.members],
            "parent": None if taken.parent is None else {key: planned["parent"][key] for key in _PARENT},
            "profiles": profiles,
            "identity": {
                "system": taken.identity.system,
                "marker": taken.identity.marker,
                "taken_at": f"{taken.identity.taken_at:%Y-%m-%dT%H:%M:%SZ}",
            },
            "profile": body,
            "samples": taken.samples,
            "made_of": taken.made_of,
            "configuration_sha256": _settings_digest(settings),
        },
    )


def _add_zones(members: StagedMembers, zones: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, str]:
    """What each zone's archive says of itself; the SHA-256 of that by zone."""
    found = {}
    for zone, tables in sorted(zones.items()):
        profile = ZoneProfile.from_dict({"zone": zone, "tables": list(tables)}, ZONE_PROFILE)
        members.add(README, readme().encode(), zone)
        found[zone] = members.add(ZONE_PROFILE, profile.to_bytes(), zone).sha256
    return found


def _tables(
    wiring: Wiring, workspace: Workspace, settings: TableSettings, members: StagedMembers, state: StagedMembers
) -> _Taken:
    originals = Originals(workspace.derived_key(ORIGINALS))
    source = workspace.reference.source
    with ExitStack() as stack:
        snapshot = stack.enter_context(wiring.table_source(source).snapshot())
        identity, addressed = _taken(wiring, snapshot.identity), cast(AddressedSnapshot, snapshot)
        tracked = bool(wiring.settings.change_state)
        position = addressed.position() if tracked and any(table.storage for table in snapshot.tables) else {}
        parent, why_full = _parent(wiring, workspace, snapshot)
        if parent is not None:
            stack.callback(parent.close)
        digest_key = bytes.fromhex(parent.state.digest_key) if parent else secrets.token_bytes(32)
        token_key = wiring.tokenization_key.key_id if wiring.tokenization_key else ""
        saver = TableSaver(
            snapshot,
            settings,
            members,
            Samples(workspace),
            digest_key=digest_key,
            tokenization_key=wiring.tokenization_secret,
            originals=originals,
            progress=wiring.progress,
            residency=wiring.settings.residency,
            tracking=Tracking(state, settings, token_key, parent) if tracked else None,
            undecided=Undecided(source, snapshot, settings, parent, keyed=bool(token_key)),
        )
        saver.save_all()
        for name, content in snapshot.schema_files().items():
            members.add(f"schema/{name}", content)
        if position:
            addressed.wait_until_kept(position)
        profile = {
            "tables": saver.profiles,
            "tree": None,
            "excluded": _excluded(list(snapshot.excluded)),
            "warnings": [*why_full, *snapshot.warnings, *saver.warnings],
        }
    workspace.remove_file(ORIGINALS)
    with workspace.create_file(ORIGINALS) as file:
        file.write(originals.to_bytes())
    left = ChangeState(
        source=source,
        backup_id=workspace.reference.backup_id,
        digest_key=digest_key.hex(),
        row_digest=WRITTEN,
        system=identity.system,
        position=position,
        tables=tuple(saver.states),
        tree=None,
    )
    return _Taken(
        digest_key,
        identity,
        profile,
        parent,
        left if tracked else None,
        saver.samples,
        saver.made_of,
        saver.zone_profiles,
    )


def _parent(
    wiring: Wiring, workspace: Workspace, snapshot: TableSnapshot | FileSnapshot
) -> tuple[ParentState | None, tuple[str, ...]]:
    """The parent's state, when changes can be told from it; else why they cannot, where there was to be a parent."""
    planned = workspace.record("stage")["parent"]
    if planned is None:
        return None, ()
    try:
        parent = open_parent(wiring, workspace, planned)
    except (StorageFull, StagingLost):  # of our own disk
        raise
    except BackupError as error:
        return None, (full_instead(workspace.reference.kind, error.text),)
    why = None
    if parent.state.system != snapshot.identity.system:
        why = "the source is another database or folder than that of the backup before"
    elif parent.state.position:
        why = cast(AddressedSnapshot, snapshot).why_unrelated(parent.state.position)
    if why is None:
        return parent, ()
    parent.close()
    return None, (full_instead(workspace.reference.kind, why),)


def _tree(
    wiring: Wiring, workspace: Workspace, settings: FilesSettings, members: StagedMembers, state: StagedMembers
) -> _Taken:
    source, backup_id = workspace.reference.source, workspace.reference.backup_id
    with ExitStack() as stack:
        now = wiring.clock()
        snapshot = stack.enter_context(wiring.file_source(source).snapshot())
        parent, why_full = _parent(wiring, workspace, snapshot)
        if parent is not None:
            stack.callback(parent.close)
        digest_key = bytes.fromhex(parent.state.digest_key) if parent else secrets.token_bytes(32)
        tracking = None
        if wiring.settings.change_state:
            trusted = settings.trust_times
            tracking = TreeTracking(state, parent, backup_id, digest_key, now=now, trust_times=trusted)
        saver = TreeSaver(snapshot, members, digest_key=digest_key, progress=wiring.progress, tracking=tracking)
        tree = saver.save_all()
        identity = _taken(wiring, snapshot.identity)
        profile = {
            "tables": [],
            "tree": tree,
            "excluded": _excluded(list(snapshot.excluded)),
            "warnings": [*why_full, *snapshot.warnings, *saver.warnings],
        }
    if tracking is None:
        return _Taken(digest_key, identity, profile)
    left = ChangeState(
        source=source,
        backup_id=backup_id,
        digest_key=digest_key.hex(),
        row_digest=WRITTEN,
        system=identity.system,
        position={},
        tables=(),
        tree=tracking.state(),
    )
    return _Taken(digest_key, identity, profile, parent, left)


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
