"""Tasks of ``rlg_verify``: full verification where identities live."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context, task

from .configuration import settings
from .guard import guarded
from .wire import wire

Json = dict[str, Any]


@task
@guarded
def plan_verification() -> list[Json]:
    """What to verify: each copy whose commit started this run, or what the form names, or the latest of each."""
    context = get_current_context()
    asked = [
        {"source": event.extra["source"], "which": event.extra["backup_id"], "target": target}
        for events in (context.get("triggering_asset_events") or {}).values()
        for event in events
        if "backup_id" in (event.extra or {})
        for target in event.extra.get("targets", [None])  # an event from before this was told
    ]
    if asked:
        return asked
    source, which = context["params"].get("source"), context["params"].get("restore_point") or "latest"
    return [{"source": name, "which": which} for name in ([source] if source else settings().sources)]


@task(map_index_template="{{ name }}")
@guarded
def verify(asked: Json) -> Json:
    """Decrypt and read every member of one backup; the verdict is returned, and judged by the outcome."""
    from ..engine.verify import verify as run

    context: Any = get_current_context()
    target = asked.get("target")
    context["name"] = f"{asked['source']} on {target}" if target else asked["source"]
    found = run(wire(), asked["source"], asked["which"], target=target, full=True)
    wrong = [f"{check.group}/{check.name}: {check.measured}" for check in found.checks if check.verdict != "PASS"]
    name = f"{found.source} {found.backup_id}" + (f" on {target}" if target else "")
    return {"name": name, "why": "; ".join(wrong), **found.to_json()}
