"""The verbs of a backup as tasks, the task group of one source, and the graph of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, TriggerRule, get_current_context, task, task_group

from .configuration import run_name, settings
from .guard import guarded, step
from .outcome import outcome_of_backups
from .turn import in_turn, waiting
from .wire import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.settings import Settings
    from ..engine.workspace import Reference

Json = dict[str, Any]


def committed(source: str) -> Asset:
    """The asset that a commit of a source updates; it starts ``rlg_verify``."""
    return Asset(f"rlg_backup_{source}")


@task.sensor
@guarded
@in_turn
def stage(source: str, kind: str) -> Json:
    """Take the source's lease on every target; make the private staging folder."""
    from ..engine import steps

    return steps.stage(wire(), source, **_asked(kind)).to_json()


@task
@guarded
def snapshot(reference: Json) -> Json:
    """Read the source at one instant; policies are applied before anything reaches the disk."""
    from ..engine import steps

    return _run(steps.snapshot, reference)


@task
@guarded
def anonymize(reference: Json) -> Json:
    """Prove that no protected value is left in the staged members."""
    from ..engine import steps

    return _run(steps.anonymize, reference)


@task
@guarded
def encrypt(reference: Json) -> Json:
    """Members to ZIP to age, in one pass."""
    from ..engine import steps

    return _run(steps.encrypt, reference)


@task
@guarded
def checksum(reference: Json) -> Json:
    """Read the archive back from disk; build and sign the manifest."""
    from ..engine import steps

    return _run(steps.checksum, reference)


@task
@guarded
def upload(reference: Json, target: str) -> Json:
    """Send archive and manifest to one target; one that was down at ``stage`` is not tried again."""
    from airflow.sdk.exceptions import AirflowFailException

    from ..engine import steps
    from ..engine.workspace import Reference

    if reason := Reference.from_json(reference).down.get(target):
        # The run holds no lease there, so no later try can help: it would only hold the commit up.
        raise AirflowFailException(f"StorageUnavailable: {reason}")
    return _run(lambda wiring, given: steps.upload(wiring, given, target), reference)


@task
@guarded
def validate(reference: Json, target: str) -> Json:
    """Read back every byte the target holds."""
    from ..engine import steps

    return _run(lambda wiring, given: steps.validate(wiring, given, target), reference)


@task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
@guarded
def commit(copies: list[Json | None]) -> Json:
    """Make the backup exist on each target whose copy was read back; says which copies there are."""
    from ..engine import steps
    from ..engine.backup import result
    from ..engine.workspace import Reference

    wiring = wire()
    reference = Reference.merge([Reference.from_json(copy) for copy in copies if copy])
    done = result(wiring, steps.commit(wiring, reference)).to_json()
    context = get_current_context()
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = _committed_copies(done)
    return done


@task
@guarded
def wipe(reference: Json) -> None:
    """Give the leases back and remove the staging folder."""
    from ..engine import steps
    from ..engine.workspace import Reference

    steps.wipe(wire(), Reference.from_json(reference))


@task.sensor
@guarded
@in_turn
def backup_in_one(source: str, kind: str) -> Json:
    """Every verb in one process, for workers that share no disk; each is logged with its time."""
    from ..engine.backup import backup

    context = get_current_context()
    done = backup(wire(), source, **_asked(kind)).to_json()
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = _committed_copies(done)
    return done


def _asked(kind: str) -> Json:
    """What a run is begun with. A full backup covers a scheduled incremental one; who starts one by hand wants it."""
    from datetime import timedelta

    from ..core.model import Kind

    context = get_current_context()
    covered = kind == Kind.INCREMENTAL and context["dag_run"].run_type == "scheduled"
    return {
        "kind": Kind(kind),
        "run": run_name(f"{context['dag'].dag_id}-{context['run_id']}"),  # two DAGs may have a run of one name
        "attempt": context["ti"].try_number,
        "unless_full_within": timedelta(hours=settings().schedule.full_covers_hours) if covered else None,
    }


def _committed_copies(done: Json) -> Json:
    """What ``rlg_verify`` needs to look at every copy."""
    return {"source": done["source"], "backup_id": done["backup_id"], "targets": sorted(done["committed"])}


def _run(verb: Callable[[Any, Reference], Reference], reference: Json) -> Json:
    from ..engine.workspace import Reference

    return verb(wire(), Reference.from_json(reference)).to_json()


def backup_graph(settings: Settings, kind: str) -> None:
    """The whole graph of a kind: a group for each source, and what became of all."""
    groups = [backup_group(settings, name, kind) for name in settings.sources]
    outcome = outcome_of_backups.override(task_id="outcome")(list(settings.sources), [done for done, _ in groups])
    for _, last in groups:
        last >> outcome


def backup_group(settings: Settings, name: str, kind: str) -> tuple[Any, Any]:
    """The task group of one source; returns what its commit returns, and its last task."""
    source = settings.sources[name]
    place: dict[str, Any] = {**step(settings.retries), "queue": source.queue, "pool": source.pool}

    @task_group(group_id=name)
    def group() -> Any:
        if settings.staging.mode == "local":
            one = backup_in_one.override(**place, **waiting(settings), outlets=[committed(name)])(name, kind)
            return one, one
        staged: Any = stage.override(**place, **waiting(settings))(name, kind)
        checked: Any = snapshot.override(**place)(staged)
        for verb in (anonymize, encrypt, checksum):
            checked = verb.override(**place)(checked)
        copies: Any = [_copy(target, checked, place) for target in source.targets]
        done: Any = commit.override(**place, outlets=[committed(name)])(copies)
        wiped = wipe.override(**place)(staged).as_teardown(setups=staged, on_failure_fail_dagrun=True)
        done >> wiped
        return done, wiped

    found: Any = group()
    return found[0], found[1]


def _copy(target: str, checked: Any, place: dict[str, Any]) -> Any:
    @task_group(group_id=target)
    def copy() -> Any:
        sent: Any = upload.override(**place)(checked, target)
        return validate.override(**place)(sent, target)

    return copy()
