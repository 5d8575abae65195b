"""The task of ``rlg_erasure``: it signs, and needs the erasure key, so it runs on the queue where these are. And what
restores and drills are told of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, get_current_context, task

from .guard import guarded
from .wire import wire

if TYPE_CHECKING:
    from ..engine.erasure import SetAside

Json = dict[str, Any]

ASIDE: dict[str, Param] = {
    "without_requests": Param(
        "",
        type="string",
        pattern=r"^[0-9, -]*$",
        title="Requests to erase to set aside",
        description="Numbers and ranges, as 7, 9-12: of those that are nobody's, or whose erasure key is lost "
        "(docs/runbooks/erasure.md). Then the run is never a success: whom they name may be in what is restored.",
    ),
    "without_reason": Param("", type="string", maxLength=200, title="Why they are set aside"),
}
"""Parameters of a DAG that replays requests."""


def set_aside() -> SetAside:
    """What this run was told by ``ASIDE``; raises InvalidSetting."""
    from ..engine.erasure import SetAside

    params = get_current_context()["params"]
    return SetAside.parse([params["without_requests"]], params["without_reason"])


@task
@guarded
def record() -> Json:
    """Put the request on every target. Nothing of the subject is returned or logged.

    A target that is down is raised, for Airflow to try again: what is recorded stays recorded.
    """
    from ..engine.erasure import record as run

    params = get_current_context()["params"]
    [done] = run(wire(), params["kind"], [params["subject"]], params["reason"])
    return {"name": f"request {done.sequence:08d}", "verdict": "PASS", **done.to_json()}
