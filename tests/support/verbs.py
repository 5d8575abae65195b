"""The verbs of a backup, one after the other, over a small project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.restore_points import list_points
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference

VERBS = ("snapshot", "anonymize", "encrypt", "checksum", "upload", "validate", "commit")
Step = Callable[[Wiring, Reference], Reference]


def everywhere(step: Callable[[Wiring, Reference, str], Reference]) -> Step:
    """A step of each target as one step of all."""

    def run(wiring: Wiring, reference: Reference) -> Reference:
        targets = wiring.source_settings("app").targets
        return Reference.merge([reference, *(step(wiring, reference, target) for target in targets)])

    return run


STEPS: dict[str, Step] = {
    "snapshot": steps.snapshot,
    "anonymize": steps.anonymize,
    "encrypt": steps.encrypt,
    "checksum": steps.checksum,
    "upload": everywhere(steps.upload),
    "validate": everywhere(steps.validate),
    "commit": steps.commit,
}


def begun(wiring: Wiring) -> Reference:
    return steps.stage(wiring, "app", Kind.FULL, run="run-1")


def run_through(wiring: Wiring, last: str, reference: Reference | None = None) -> Reference:
    """All steps up to and with ``last``."""
    reference = reference or begun(wiring)
    for verb in VERBS[: VERBS.index(last) + 1]:
        reference = STEPS[verb](wiring, reference)
    return reference


def listed(wiring: Wiring) -> list[str]:
    return [point.backup_id for point in list_points(wiring, "app").points]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
