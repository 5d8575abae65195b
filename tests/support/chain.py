"""Chains of backups whose change state is a stand-in: for what goes by records, manifests and objects alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from tests.support.verbs import STEPS, VERBS

from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference, Workspace

_runs = count(1)


def make(wiring: Wiring, kind: Kind, *, noted: bool = True) -> str:
    """A committed backup of the source ``app``: its id. Of another kind than asked for where there is no parent; with a
    change state when ``noted``."""
    reference = steps.stage(wiring, "app", kind, run=f"made-{next(_runs)}")
    planned = record(wiring, reference, "stage")["parent"]
    reference = steps.snapshot(wiring, reference)
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged = workspace.record("snapshot")
    parent = {name: planned[name] for name in ("backup_id", "manifest_sha256")} if planned else None
    state = staged["members"][:1] if noted else []
    reference = workspace.put_record("snapshot", {**staged, "state_members": state, "parent": parent})
    reference = replace(reference, kind=kind.value if planned else Kind.FULL.value)
    for verb in VERBS[1:]:
        reference = STEPS[verb](wiring, reference)
    steps.wipe(wiring, reference)
    return reference.backup_id


def record(wiring: Wiring, reference: Reference, step: str) -> dict[str, Any]:
    """What a step noted."""
    return Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference).record(step)
