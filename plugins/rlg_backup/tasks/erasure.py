"""The task of ``rlg_erasure``: it signs, and needs the erasure key, so it runs on the queue where these are."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context, task

from .guard import guarded
from .wire import wire

Json = dict[str, Any]


@task
@guarded
def record() -> Json:
    """Put the request on every target. Nothing of the subject is returned or logged.

    A target that is down is raised, for Airflow to try again: what is recorded stays recorded.
    """
    from ..engine.erasure import record as run

    params = get_current_context()["params"]
    done = run(wire(), params["kind"], params["subject"], params["reason"])
    return {"name": f"request {done.sequence:08d}", "verdict": "PASS", **done.to_json()}
