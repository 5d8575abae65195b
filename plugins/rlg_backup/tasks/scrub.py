"""The task of ``rlg_scrub``: it needs no identity, and the right to replace what is damaged."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from .configuration import settings
from .guard import guarded
from .wire import wire

Json = dict[str, Any]


@task
@guarded
def scrub(source: str) -> Json:
    """Read this run's share of a source's copies, and mend what is damaged; what was mended fails the run, too, since
    somebody should look at that target."""
    from ..core.model import Verdict
    from ..engine.scrub import scrub as run

    found = run(wire(), source, runs=settings().scrub_turns)
    told = [f"{one.target}: {backup_id}: {fault}" for one in found for backup_id, fault in one.faults.items()]
    told += [f"{one.target}: {backup_id} is mended" for one in found for backup_id in one.mended]
    told += [f"{one.target}: {backup_id}: {reason}" for one in found for backup_id, reason in one.unread.items()]
    told += [f"{one.target}: {one.error}" for one in found if one.error]
    verdict = Verdict.FAIL if any(one.faults for one in found) else Verdict.of(one.verdict for one in found)
    return {
        "name": source,
        "verdict": verdict.value,
        "why": "; ".join(told),
        "read": {one.target: len(one.read) for one in found},
        "mended": {one.target: one.mended for one in found},
    }
