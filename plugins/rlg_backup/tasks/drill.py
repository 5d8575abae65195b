"""Tasks of ``rlg_restore_drill``: restore the newest backups into scratch, run the suites, write the report."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from .configuration import run_name
from .guard import ONCE, STEP, guarded
from .wire import wire

Json = dict[str, Any]


@task
@guarded
def prepare() -> str:
    """A private scratch folder for this drill; returns its path."""
    from ..engine.drill import make_scratch

    context = get_current_context()
    return str(make_scratch(wire(), f"{run_name(context['run_id'])}-{context['ti'].try_number}"))


@task(**STEP)
@guarded
def restore_to_scratch(source: str, scratch: str) -> Json:
    """The newest backup of a source, restored and compared with its profile; what went wrong is in the result."""
    from ..engine.drill import restore_block

    return restore_block(wire(), source, scratch)


@task(trigger_rule=TriggerRule.ALL_DONE)
@guarded
def run_drill_suites(sources: list[str], blocks: list[Json | None], scratch: str) -> list[Json]:
    """Every suite of every restored source, in one process: Great Expectations is slow to import."""
    from ..engine.drill import add_suites, missing_block

    done = {block["source"]: block for block in blocks if block}
    wiring = wire()
    return [add_suites(wiring, done.get(name) or missing_block(name), scratch) for name in sources]


@task
@guarded
def write_report(blocks: list[Json]) -> Json:
    """The drill report, as a page and as JSON; its verdict is judged by the outcome."""
    from ..engine.drill import write_report as write

    report, files = write(wire(), blocks)
    wrong = [
        f"{block.source}: {check.group}/{check.name}: {check.verdict.value}"
        for block in report.sources
        for check in block.checks
        if check.verdict != "PASS"
    ]
    return {
        "name": "restore drill",
        "verdict": report.verdict.value,
        "why": f"{'; '.join(wrong[:8])} (report: {files.html})",
        "report": str(files.html),
    }


@task(**ONCE)
@guarded
def clean(scratch: str) -> None:
    """Remove what was restored: a drill leaves no copy of the data behind."""
    from ..engine.drill import remove_scratch

    remove_scratch(wire(), scratch)
