"""The DAG files as a dag-processor sees them, with the configuration that is shipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.airflow_home import DAGS, PROJECT, bag, environment
from tests.support.world import World

pytestmark = pytest.mark.airflow
SHIPPED = PROJECT / "include" / "config" / "backup.yaml"
# Nothing of this is a key: parsing must not need one.
VARIABLES = {
    f"RLG_{name}": f"{name} is not read when parsing"
    for name in ("RECIPIENT", "ESCROW_RECIPIENT", "STATE_RECIPIENT", "SIGNER")
}
KINDS = ("full", "incremental", "differential")
BACKUPS = [f"rlg_{kind}_backup" for kind in KINDS]
SCHEDULED = ("rlg_replicate", "rlg_restore_drill", "rlg_retention", "rlg_scrub")  # beside the backups, by a schedule
BY_HAND = ("rlg_erasure", "rlg_restore", "rlg_verify")
FILES = {f"{name}.py" for name in (*BACKUPS, *SCHEDULED, *BY_HAND)}
SOURCES = ("data", "fans", "files")


def parse_apart(home: Path, plugins: Path) -> dict[str, Any]:
    """What parsing in a process of its own meets."""
    given = {**os.environ, **VARIABLES, **environment(home), "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins)}
    given["RLG_BACKUP_CONFIG"] = str(SHIPPED)
    given["PYTHONPATH"] = f"{plugins}{os.pathsep}{PROJECT}"
    script = PROJECT / "tests" / "support" / "parse_dags.py"
    done = subprocess.run([sys.executable, script], env=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parse_apart(tmp_path_factory.mktemp("airflow"), PROJECT / "plugins")


def test_every_file_gives_its_one_dag_without_an_error(parsed: dict[str, Any]) -> None:
    assert {path.name for path in DAGS.glob("*.py")} == FILES
    assert (parsed["errors"], parsed["plugin_errors"]) == ({}, {})
    assert {file: found["dags"] for file, found in parsed["files"].items()} == {name: [name[:-3]] for name in FILES}


def test_each_file_is_parsed_within_a_second_of_processor_time(parsed: dict[str, Any]) -> None:
    assert [file for file, found in parsed["files"].items() if found["processor"] >= 1] == []


def test_parsing_reaches_for_no_network(parsed: dict[str, Any]) -> None:
    assert parsed["attempts"] == []


def test_parsing_imports_nothing_heavy(parsed: dict[str, Any]) -> None:
    assert parsed["heavy"] == []


def test_the_package_is_not_imported_file_by_file(parsed: dict[str, Any]) -> None:
    assert parsed["bare"] == []


def test_without_airflowignore_it_would_be(tmp_path: Path) -> None:
    """The test above can fail: the same folder, one file of the package in it, and nothing ignored."""
    plugins = tmp_path / "plugins"
    shutil.copytree(PROJECT / "plugins", plugins, ignore=shutil.ignore_patterns("__pycache__", ".airflowignore"))
    for file in (plugins / "rlg_backup").rglob("*.py"):
        if file.name != "__init__.py" and file.parent.name not in ("config", "core", "tasks"):
            file.unlink()
    assert {"errors", "settings"} <= set(parse_apart(tmp_path / "home", plugins)["bare"])


# --- how the graphs are built -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        patch.setenv("RLG_BACKUP_CONFIG", str(SHIPPED))
        return dict(bag().dags)


def test_schedules_are_those_of_the_configuration_in_its_time_zone(dags: dict[str, Any]) -> None:
    assert {
        name: (dags[name].timetable.expression, str(dags[name].timetable.timezone))
        for name in (
            "rlg_full_backup",
            "rlg_incremental_backup",
            "rlg_replicate",
            "rlg_restore_drill",
            "rlg_retention",
            "rlg_scrub",
        )
    } == {
        "rlg_full_backup": ("0 2 * * 0", "Africa/Johannesburg"),
        "rlg_incremental_backup": ("0 2 * * *", "Africa/Johannesburg"),
        "rlg_replicate": ("0 1 * * *", "Africa/Johannesburg"),
        "rlg_restore_drill": ("0 4 1 * *", "Africa/Johannesburg"),
        "rlg_retention": ("0 6 * * *", "Africa/Johannesburg"),
        "rlg_scrub": ("0 8 * * 6", "Africa/Johannesburg"),
    }
    assert (dags["rlg_restore"].schedule, dags["rlg_differential_backup"].schedule) == (None, None)


def test_every_commit_starts_a_verification(dags: dict[str, Any]) -> None:
    starting = {asset.name for asset in dags["rlg_verify"].schedule.objects}
    for name in BACKUPS:
        made = {asset.name for task in dags[name].tasks for asset in task.outlets}
        assert starting == made == {f"rlg_backup_{source}" for source in SOURCES}
        assert [task.task_id for task in dags[name].tasks if task.outlets] == [f"{s}.commit" for s in SOURCES]


def test_every_kind_of_backup_has_the_same_graph(dags: dict[str, Any]) -> None:
    graphs = [
        {task.task_id: (sorted(task.upstream_task_ids), task.is_teardown, task.queue, task.pool) for task in dag.tasks}
        for dag in (dags[name] for name in BACKUPS)
    ]
    assert graphs[0] == graphs[1] == graphs[2]
    asked = {name: {dags[name].get_task(f"{source}.stage").op_args[1] for source in SOURCES} for name in BACKUPS}
    assert asked == {name: {kind} for name, kind in zip(BACKUPS, KINDS, strict=True)}


def test_who_waits_for_a_source_holds_no_worker_and_looks_again_for_half_a_day(dags: dict[str, Any]) -> None:
    for name in BACKUPS:
        stage = dags[name].get_task("data.stage")
        assert (stage.mode, stage.poke_interval, stage.timeout) == ("reschedule", 30, 12 * 3600)


def test_scheduled_work_refuses_backfills_and_runs_once_at_a_time(dags: dict[str, Any]) -> None:
    for name in (*BACKUPS, *SCHEDULED):
        assert sorted(str(getattr(kind, "value", kind)) for kind in dags[name].allowed_run_types) == [
            "manual",
            "scheduled",
        ]
        assert (dags[name].max_active_runs, dags[name].catchup) == (1, False)


def test_no_run_has_a_time_limit_that_would_skip_its_teardowns_and_every_task_has_one(dags: dict[str, Any]) -> None:
    assert {name: dag.dagrun_timeout for name, dag in dags.items()} == dict.fromkeys(dags)
    unlimited = [task.task_id for dag in dags.values() for task in dag.tasks if not task.execution_timeout]
    assert unlimited == []


def test_the_verbs_of_a_source_run_on_its_queue_and_in_its_pool(dags: dict[str, Any]) -> None:
    verbs = [
        "stage",
        "snapshot",
        "anonymize",
        "encrypt",
        "checksum",
        "local.upload",
        "local.validate",
        "commit",
        "wipe",
    ]
    dag = dags["rlg_full_backup"]
    assert sorted(dag.task_ids) == sorted(["outcome", *(f"{source}.{verb}" for source in SOURCES for verb in verbs)])
    assert {(task.queue, task.pool) for task in dag.tasks if task.task_id != "outcome"} == {("backup", "rlg_backup")}


def test_what_needs_identities_runs_on_the_restore_queue_alone(dags: dict[str, Any]) -> None:
    for name in ("rlg_restore", "rlg_restore_drill", "rlg_verify"):
        assert {task.queue for task in dags[name].tasks if task.task_id not in ("outcome", "note")} == {"restore"}


def test_what_signs_runs_where_no_identity_is(dags: dict[str, Any]) -> None:
    signing = [
        dags["rlg_restore_drill"].get_task("note"),
        *(dags["rlg_retention"].get_task(f"expire_{s}") for s in SOURCES),
    ]
    assert [(task.queue, task.trigger_rule.value) for task in signing] == [("backup", "all_success")] * 4


def test_steps_are_tried_again_with_growing_pauses_and_outcomes_are_not(dags: dict[str, Any]) -> None:
    tasks = [task for dag in dags.values() for task in dag.tasks]
    once = {task.task_id for task in tasks if task.retries == 0}
    assert once == {"outcome", "clean"}
    for task in (task for task in tasks if task.task_id not in once):
        assert (task.retries, task.retry_delay) == (3, timedelta(seconds=30)), task.task_id
        assert (task.retry_exponential_backoff, task.max_retry_delay) == (2.0, timedelta(minutes=15)), task.task_id


def test_every_run_ends_in_an_outcome_that_runs_whatever_became_of_the_rest(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        outcome = dag.get_task("outcome")
        leaves = [task.task_id for task in dag.tasks if not task.downstream_task_ids and not task.is_teardown]
        assert (leaves, str(outcome.trigger_rule.value), outcome.retries) == (["outcome"], "all_done", 0)
        assert outcome.task_group.is_root


def test_wiping_and_cleaning_are_teardowns_that_fail_the_run_when_they_fail(dags: dict[str, Any]) -> None:
    found = {
        task.task_id: (
            task.on_failure_fail_dagrun,
            sorted(setup for setup in task.upstream_task_ids if _setup(dag, setup)),
        )
        for dag in dags.values()
        for task in dag.tasks
        if task.is_teardown
    }
    assert found == {f"{source}.wipe": (True, [f"{source}.stage"]) for source in SOURCES} | {
        "clean": (True, ["prepare"])
    }


def _setup(dag: Any, task: str) -> bool:
    return bool(dag.get_task(task).is_setup)


def test_a_commit_waits_for_every_copy_and_goes_on_with_the_good_ones(dags: dict[str, Any]) -> None:
    for source in SOURCES:
        commit = dags["rlg_full_backup"].get_task(f"{source}.commit")
        assert str(commit.trigger_rule.value) == "all_done_min_one_success"
        assert f"{source}.local.validate" in commit.upstream_task_ids
        assert f"{source}.wipe" in commit.downstream_task_ids


# --- configurations ---------------------------------------------------------------------------------


def test_a_misspelt_setting_is_an_import_error_of_every_file_that_names_the_key(world: World) -> None:
    world.source["polices"] = world.source.pop("policies")
    world.save()
    errors = bag().import_errors
    assert set(errors) == FILES
    text = (
        f"rlg_backup.core.errors.UnknownSetting: unable to load 'sources.app.polices': "
        f"'{world.config}' has no such setting\nhint: did you mean 'policies'?"
    )
    assert {error.rstrip().endswith(text) for error in errors.values()} == {True}, errors


def test_a_configuration_that_is_not_there_is_an_import_error_that_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(tmp_path / "absent.yaml"))
    text = (
        f"rlg_backup.core.errors.ConfigurationError: unable to load '{tmp_path / 'absent.yaml'}': "
        "No such file or directory\nhint: set RLG_BACKUP_CONFIG, or write include/config/backup.yaml"
    )
    errors = bag().import_errors
    assert {name: error.rstrip()[-len(text) :] for name, error in errors.items()} == dict.fromkeys(FILES, text)


def test_a_schedule_of_none_is_by_hand_only_and_a_mended_file_is_read_again(world: World) -> None:
    world.settings["schedule"] = {"full": "none", "incremental": "none", "drill": "none"}
    world.save()
    found = bag().dags
    assert [found[name].schedule for name in (*BACKUPS, "rlg_restore_drill")] == [None] * 4
    world.settings["schedule"]["full"] = "30 1 * * *"
    world.save()
    assert bag().dags["rlg_full_backup"].timetable.expression == "30 1 * * *"


def test_without_change_state_what_would_need_it_is_by_hand_only(world: World) -> None:
    world.settings["schedule"] = {"differential": "0 2 * * 3"}
    world.save()
    found = bag().dags
    assert found["rlg_differential_backup"].timetable.expression == "0 2 * * 3"
    del world.settings["change_state"]
    world.save()
    found = bag().dags
    assert [found[name].schedule for name in BACKUPS[1:]] == [None, None]
    assert found["rlg_full_backup"].timetable.expression == "0 2 * * 0"


def test_a_source_may_name_its_own_queue_and_pool(world: World) -> None:
    world.source.update(queue="near-the-database", pool="app_pool")
    world.settings["restore_queue"] = "vault"
    world.save()
    found = bag().dags
    assert {task.queue for task in found["rlg_full_backup"].tasks} == {"near-the-database", "default"}
    assert {task.pool for task in found["rlg_full_backup"].tasks} == {"app_pool", "default_pool"}
    assert {task.queue for task in found["rlg_restore"].tasks} == {"vault", "default"}


def test_the_shipped_configuration_names_every_source_these_tests_count_on() -> None:
    assert tuple(yaml.safe_load(SHIPPED.read_text())["sources"]) == SOURCES
