"""Tasks of ``rlg_restore_drill``: restore the newest backups into scratch, run the suites, write the report."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from .configuration import run_name
from .erasure import set_aside
from .guard import guarded
from .wire import wire

Json = dict[str, Any]
SHOWN = 8  # checks that an alert names


@task
@guarded
def prepare() -> str:
    """A private scratch folder for this drill; returns its path."""
    from ..engine.drill import make_scratch

    context = get_current_context()
    return str(make_scratch(wire(), f"{run_name(context['run_id'])}-{context['ti'].try_number}"))


@task
@guarded
def restore_to_scratch(source: str, scratch: str) -> Json:
    """The newest backup of a source, restored and compared with its profile; what went wrong is in the result."""
    from ..engine.drill import restore_block

    return restore_block(wire(), source, scratch, set_aside())


@task(trigger_rule=TriggerRule.ALL_DONE)
@guarded
def run_drill_suites(sources: list[str], blocks: list[Json | None]) -> list[Json]:
    """Every suite of every restored source, in one process: Great Expectations is slow to import."""
    from ..engine.drill import add_suites, missing_block

    done = {block["source"]: block for block in blocks if block}
    wiring = wire()
    return [add_suites(wiring, done.get(name) or missing_block(name)) for name in sources]


@task
@guarded
def write_report(blocks: list[Json]) -> Json:
    """The drill report, as a page and as JSON; its verdict is judged by the outcome."""
    from ..engine.drill_report import write_report as write

    verdict, files = write(wire(), blocks, get_current_context()["dag_run"].run_after)
    wrong = [
        f"{block['source']}: {check['group']}/{check['name']}: {check['verdict']}"
        for block in blocks
        for check in block["checks"]
        if check["verdict"] != "PASS"
    ]
    return {
        "name": "restore drill",
        "verdict": verdict.value,
        "why": f"{'; '.join(wrong[:SHOWN])} (report: {files.html})",
        "report": str(files.html),
    }


@task
@guarded
def clean(scratch: str) -> None:
    """Remove what was restored: a drill leaves no copy of the data behind."""
    from ..engine.drill import remove_scratch

    remove_scratch(wire(), scratch)
