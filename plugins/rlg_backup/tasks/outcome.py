"""outcome: compares what a run did with what it was to do, sends the alert, and fails the run where they differ.

It runs last whatever became of the rest (``all_done``), so a skipped or failed step never ends green.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from .alerts import send
from .guard import ONCE
from .turn import NOT_NEEDED

Json = dict[str, Any]


@task(trigger_rule=TriggerRule.ALL_DONE, **ONCE)
def outcome_of_backups(plan: list[str], results: list[Json | None]) -> Json:
    """Every planned source committed on every target, or skipped since a full backup covers it; otherwise an alert and
    a failed run. A full backup in the place of another kind, and a column that was tokenized without a policy, is an
    alert and no failure."""
    done = {result["source"]: result for result in results if result}
    covered = {source: reason for source in plan if source not in done and (reason := not_needed(source))}
    problems = [] if plan else ["nothing was planned: the configuration has no source"]
    problems += [problem for source in plan if source not in covered for problem in wrong_with(source, done)]
    summary = {name: {key: result[key] for key in ("backup_id", "committed")} for name, result in done.items()}
    summary |= {source: {"skipped": reason} for source, reason in covered.items()}
    tell_warnings(done.values(), summary)
    finish(problems, summary, "Open the failed step's log, mend the cause, clear the run from 'stage'.")
    return summary


def wrong_with(source: str, done: Mapping[str, Json]) -> list[str]:
    """What became of a planned source otherwise than planned, by the results of those that were backed up."""
    if source not in done:
        return [f"{source}: no backup was committed; {where(source)}"]
    backup = f"{source}: backup {done[source]['backup_id']}"
    missing = done[source]["missing"].items()
    if not missing and (failed := failed_steps(source)):
        return [f"{backup} is committed, yet failed at: {failed}"]
    return [f"{backup} has no copy on '{target}': {reason}" for target, reason in missing]


DISTRUST = "Do not rely on this backup before it is explained; docs/runbooks.md says how."


@task(trigger_rule=TriggerRule.ALL_DONE, **ONCE)
def outcome_of_checks(results: list[Json | None] | Json | None, what: str, what_to_do: str = DISTRUST) -> Json:
    """Every planned check PASS, or an alert and a failed run. Each result has ``name`` and ``verdict``, and maybe
    ``warnings``, which are an alert and no failure."""
    given = [results] if isinstance(results, dict) else list(results or [])
    problems = [] if given else [f"nothing was checked; {where()}"]
    for result in given:
        if result is None:
            problems.append(f"a step ended without a verdict; {where()}")
        elif result["verdict"] != "PASS":
            problems.append(f"{result['name']}: {result['verdict']}: {result.get('why', 'see the report')}")
    if not problems and (failed := failed_steps()):
        problems.append(f"failed at: {failed}")
    summary = {"what": what, "results": [result for result in given if result]}
    lines = [f"{one['name']}: {warning}" for one in given if one for warning in one.get("warnings", ())]
    finish(problems and [*problems, *lines], summary, what_to_do)
    warn("has warnings", lines, what_to_do, summary)
    return summary


def tell_warnings(results: Iterable[Json], summary: Json) -> None:
    """The alerts of full backups that were made in the place of another kind, since the chain before them is of no use,
    of columns that were tokenized without a policy, of an erasure ledger that is not whole, and of targets that will be
    full before long."""
    from ..engine.warnings import LEDGER, NEAR_QUOTA, TOKENIZED, full_instead

    said = [(result, warning) for result in results for warning in result["warnings"]]
    lines = [
        f"{result['source']}: {warning}"
        for result, warning in said
        if result["kind"] != result["asked"] and warning.startswith(full_instead(result["asked"], ""))
    ]
    warn("made full backups", lines, "Nothing is lost; the next ones are made after these.", summary)
    hidden = [f"{result['source']}: {warning}" for result, warning in said if warning.startswith(TOKENIZED)]
    warn("tokenized columns", hidden, "Nothing is lost: with the tokenization key a restore gives them back.", summary)
    torn = sorted({warning for _, warning in said if warning.startswith(LEDGER)})
    warn("has warnings", torn, "Mend it now: a restore may be refused until then; docs/runbooks.md says how.", summary)
    near = sorted({warning for _, warning in said if warning.startswith(NEAR_QUOTA)})
    warn("has warnings", near, "Retention will make room as far as it may; docs/runbooks.md says how.", summary)


def warn(what: str, lines: list[str], so: str, summary: Json) -> None:
    """Nothing without lines; otherwise an alert of what may be as it is, and is to be known."""
    if not lines:
        return
    context = get_current_context()
    title = f"{context['dag'].dag_id} {what} ({context['run_id']})"
    text = "\n".join([*(f"- {line}" for line in lines), "", so])
    send(title, text, {"dag": context["dag"].dag_id, "run": context["run_id"], "warnings": lines, **summary})


def not_needed(source: str) -> str | None:
    """Why this run had nothing to back up of a source, where its first step said so itself."""
    instance = get_current_context()["ti"]
    told = (instance.xcom_pull(task_ids=f"{source}.{first}", key=NOT_NEEDED) for first in ("stage", "backup_in_one"))
    return next((reason for reason in told if reason), None)


def finish(problems: list[str], summary: Json, what_to_do: str) -> None:
    """Nothing without problems; otherwise the alert, then AirflowFailException."""
    from airflow.sdk.exceptions import AirflowFailException

    if not problems:
        return
    context = get_current_context()
    title = f"{context['dag'].dag_id} failed ({context['run_id']})"
    text = "\n".join([*(f"- {problem}" for problem in problems), "", what_to_do])
    send(title, text, {"dag": context["dag"].dag_id, "run": context["run_id"], "problems": problems, **summary})
    raise AirflowFailException("; ".join(problems))


def where(group: str | None = None) -> str:
    """Which steps failed, in words; a step that was skipped or never started is not one of them."""
    failed = failed_steps(group)
    return f"failed at: {failed}" if failed else "no step failed: look for one that was skipped or did not start"


def failed_steps(group: str | None = None) -> str:
    """The steps of this run (of one group) that failed, as Airflow tells them."""
    context = get_current_context()
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    states = context["ti"].get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    prefix = f"{group}." if group else ""
    failed = sorted(name for name, state in states.items() if state == "failed" and name.startswith(prefix))
    return ", ".join(failed)
