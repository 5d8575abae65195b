"""The task of ``rlg_replicate``: it signs commit records, so it runs where backups do."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from .guard import guarded
from .wire import wire

Json = dict[str, Any]


@task
@guarded
def replicate(source: str) -> Json:
    """Complete the copies of a source on each of its targets; what is wrong with one does not stop the others.

    A fault that may pass (a target is down, another run holds the source) is raised, for Airflow to try again.
    """
    from ..core.model import Verdict
    from ..engine.replicate import replicate as run

    found = run(wire(), source)
    for one in found:
        if one.error is not None and one.error.transient:
            raise one.error
    wrong = {one.target: one.wrong for one in found if one.wrong}
    left = [(one.target, name, why) for one in found for name, why in one.left.items() if name not in one.failed]
    return {
        "name": source,
        "verdict": (Verdict.FAIL if wrong else Verdict.PASS).value,
        "why": " / ".join(f"{target}: {reason}" for target, reason in wrong.items()),
        "copied": {one.target: one.copied for one in found},
        "warnings": [f"backup {name} stays without a copy on '{target}': {why}" for target, name, why in left],
    }
