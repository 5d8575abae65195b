"""Chains of backups, made verb by verb."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.verbs import STEPS, VERBS
from tests.support.world import World

from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference, Workspace

_runs = count(1)


def chained_world(root: Path, kinds: Mapping[str, Kind]) -> tuple[World, dict[str, str]]:
    """A project with two targets and a backup of each kind, one after another: their ids by name. Copies of it go on
    from there: they back up the same database, since another place would be another system."""
    world = World.make(root, targets=("local", "second"))
    world.source["path"] = str(root / "app.db")
    world.save()
    return world, {name: make(world.wiring(), kind) for name, kind in kinds.items()}


def make(wiring: Wiring, kind: Kind, *, noted: bool = True) -> str:
    """A committed backup of the source ``app``: its id. Of another kind than asked for where there is no parent; with a
    change state when ``noted``."""
    reference = steps.stage(wiring, "app", kind, run=f"made-{next(_runs)}")
    reference = steps.snapshot(wiring, reference)
    if not noted:
        workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
        reference = workspace.put_record("snapshot", {**workspace.record("snapshot"), "state_members": []})
    for verb in VERBS[1:]:
        reference = STEPS[verb](wiring, reference)
    steps.wipe(wiring, reference)
    return reference.backup_id


def record(wiring: Wiring, reference: Reference, step: str) -> dict[str, Any]:
    """What a step noted."""
    return Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference).record(step)
