"""Tasks of ``rlg_retention``, and what a drill puts on record: both sign, so they run where a signing key is."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from .guard import guarded
from .wire import wire

Json = dict[str, Any]


@task
@guarded
def expire(source: str) -> Json:
    """Carry out the policy for a source on each of its targets; what is wrong with one does not stop the others.

    A fault that may pass (another run holds the source) is raised, for Airflow to try again: what was done stays done.
    """
    from ..core.model import Verdict
    from ..engine import retention

    wiring = wire()
    outcomes = [retention.expire(wiring, source, target) for target in wiring.source_settings(source).targets]
    for outcome in outcomes:
        if outcome.error is not None and outcome.error.transient:
            raise outcome.error
    found = [outcome.to_json() for outcome in outcomes]
    wrong = [f"{one['target']}: {'; '.join(one['failures'])}" for one in found if one["failures"]]
    return {
        "name": source,
        "verdict": Verdict.of(outcome.verdict for outcome in outcomes).value,
        "why": " / ".join(wrong),
        "warnings": [warning for outcome in outcomes for warning in outcome.warnings],
        "removed": {one["target"]: [done["removal"]["backup_id"] for done in one["certificates"]] for one in found},
    }


@task
@guarded
def note_drills(blocks: list[Json]) -> None:
    """Put each drill that passed on record on the target it read: that backup stays until another one was drilled."""
    from ..engine import retention

    for error in retention.note_drills(wire(), blocks).values():
        raise error
