"""outcome: what was not done, not looked at or not PASS ends a run failed, and is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.dags.conftest import MakeWorld
from tests.support.airflow_home import Ran, run, run_made
from tests.support.world import World, dump

from rlg_backup.engine.archives import ARCHIVE

pytestmark = pytest.mark.airflow
Json = dict[str, Any]


def checks(*results: Json | str) -> Ran:
    """A run whose steps return these; a step given as text raises it, or is skipped for 'skip'."""
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowSkipException

    from rlg_backup.tasks.outcome import outcome_of_checks

    @task
    def step(result: Json | str) -> Json:
        if result == "skip":
            raise AirflowSkipException
        if isinstance(result, str):
            raise ValueError(result)
        return result

    @dag(schedule=None)
    def made() -> None:
        found: Any = [step.override(task_id=f"step_{place}")(result) for place, result in enumerate(results)]
        outcome_of_checks.override(task_id="outcome")(found, "test")

    return run_made(made())


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        ([{"name": "a", "verdict": "FAIL", "why": "rows: 3"}], "a: FAIL: rows: 3"),
        ([{"name": "a", "verdict": "COULD-NOT-VERIFY", "why": "no key"}], "a: COULD-NOT-VERIFY: no key"),
        ([{"name": "a", "verdict": "FAIL"}], "a: FAIL: see the report"),
        ([{"name": "a", "verdict": "pass"}], "a: pass: see the report"),
        ([], "nothing was checked; no step failed: look for one that was skipped or did not start"),
        (["broken"], "a step ended without a verdict; failed at: step_0"),
        (
            ["skip"],
            "a step ended without a verdict; no step failed: look for one that was skipped or did not start",
        ),
        (
            [{"name": "a", "verdict": "PASS"}, "broken"],
            "a step ended without a verdict; failed at: step_1",
        ),
    ],
    ids=["fail", "could-not-verify", "no-reason", "unknown-verdict", "nothing", "raised", "skipped", "one-raised"],
)
def test_what_is_not_pass_fails_the_run_with_its_reason(results: list[Json | str], problem: str, world: World) -> None:
    done = checks(*results)
    assert (done.state, done.error("outcome")) == ("failed", ("AirflowFailException", problem))


def test_every_check_pass_is_a_success(world: World) -> None:
    done = checks({"name": "a", "verdict": "PASS"}, {"name": "b", "verdict": "PASS"})
    assert (done.state, done.states["outcome"]) == ("success", "success")


def test_a_configuration_without_a_source_is_not_a_success(world: World) -> None:
    from airflow.sdk import dag

    from rlg_backup.tasks.outcome import outcome_of_backups

    @dag(schedule=None)
    def made() -> None:
        outcome_of_backups.override(task_id="outcome")([], [])

    problem = "nothing was planned: the configuration has no source"
    assert run_made(made()).error("outcome") == ("AirflowFailException", problem)


def test_a_verified_backup_is_a_success_and_a_damaged_one_names_what_differs(world: World) -> None:
    backup_id = world.back_up()
    good = run("rlg_verify")
    assert (good.state, good.returned("outcome")["results"][0]["verdict"]) == ("success", "PASS")
    archive = world.target() / "app" / backup_id / ARCHIVE
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    bad = run("rlg_verify", {"source": "app", "restore_point": backup_id})
    kind, text = bad.error("outcome")
    assert (bad.state, kind) == ("failed", "AirflowFailException")
    assert text.startswith(f"app {backup_id}: FAIL: ")


def test_a_source_that_cannot_be_verified_fails_the_verification_of_all(world: World) -> None:
    """A mapped step that failed has no result: its absence must not read as success."""
    world.settings["sources"]["later"] = {**world.source, "path": "later.db"}
    world.save()
    world.back_up("app")
    done = run("rlg_verify")
    assert done.error("verify[1]")[0] == "AirflowFailException"
    assert (done.state, done.error("outcome")) == ("failed", ("AirflowFailException", "failed at: verify_1"))


def test_a_restore_gives_the_same_database_in_a_new_place_and_refuses_one_that_is_there(world: World) -> None:
    world.settings["restore_folders"] = ["."]
    world.save()
    world.back_up()
    place = world.root / "again.db"
    done = run("rlg_restore", {"source": "app", "to": str(place)})
    assert (done.state, done.errors) == ("success", {})
    assert dump(place) == dump(world.root / "app.db")
    again = run("rlg_restore", {"source": "app", "to": str(place)})
    kind, text = again.error("choose")
    assert kind == "AirflowFailException"
    assert text.startswith(f"DestinationUnsuitable: unable to restore to '{place}': ")
    assert again.error("outcome")[1] == "nothing was checked; failed at: choose"
    outside = run("rlg_restore", {"source": "app", "to": "/somewhere/else.db"})
    assert outside.error("choose") == (
        "AirflowFailException",
        "DestinationUnsuitable: unable to restore to '/somewhere/else.db': it is in none of the folders "
        f"that are open to this\nhint: name a path below {world.root}",
    )


def test_a_drill_leaves_a_report_and_no_copy_of_the_data(world: World) -> None:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    world.back_up()
    done = run("rlg_restore_drill")
    assert (done.state, done.errors) == ("success", {})
    assert done.returned("report")["verdict"] == "PASS"
    assert Path(done.returned("report")["report"]).is_file()
    assert list((world.root / "scratch").iterdir()) == []


def test_a_drill_of_a_damaged_backup_fails_and_cleans_up(world: World) -> None:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    world.back_up()
    archive = next(world.target().rglob(ARCHIVE))
    archive.write_bytes(archive.read_bytes()[:-1])
    done = run("rlg_restore_drill")
    kind, text = done.error("outcome")
    assert (done.state, kind) == ("failed", "AirflowFailException")
    assert text.startswith("restore drill: FAIL: app: ")
    assert list((world.root / "scratch").iterdir()) == []


def test_staging_that_cannot_be_wiped_fails_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import task
    from airflow.sdk.exceptions import AirflowFailException

    @task(task_id="wipe")
    def wipe(reference: Json) -> None:
        raise AirflowFailException("files are left")

    monkeypatch.setattr("rlg_backup.tasks.backup.wipe", wipe)
    done = run("rlg_full_backup")
    assert (done.state, done.states["outcome"], done.states["app.wipe"]) == ("failed", "failed", "failed")
    backup_id = done.returned("app.commit")["backup_id"]
    assert done.error("outcome") == (
        "AirflowFailException",
        f"app: backup {backup_id} is committed, yet failed at: app.wipe",
    )


def test_a_restore_takes_the_copy_of_another_target_when_the_first_is_damaged(make_world: MakeWorld) -> None:
    world = make_world("local", "second")
    world.settings["restore_folders"] = ["."]
    world.save()
    world.back_up()
    spoilt = [next(world.target(name).rglob(ARCHIVE)) for name in ("local", "second")]
    spoilt[0].write_bytes(spoilt[0].read_bytes()[:-1])
    done = run("rlg_restore", {"source": "app", "to": str(world.root / "again.db")})
    assert (done.state, done.errors, done.returned("verify")["target"]) == ("success", {}, "second")
    size = spoilt[0].stat().st_size
    told = f"the copy on target 'local' was not used: FAIL: size and digest: {size:,} bytes, SHA-256 different"
    assert told in done.returned("outcome")["results"][0]["warnings"]
    assert told in done.log
    assert dump(world.root / "again.db") == dump(world.root / "app.db")
    spoilt[1].write_bytes(spoilt[1].read_bytes()[:-1])
    bad = run("rlg_restore", {"source": "app", "to": str(world.root / "third.db")})
    backup_id = bad.returned("choose")["backup_id"]
    assert bad.error("verify") == (
        "AirflowFailException",
        f"ObjectDamaged: unable to restore '{backup_id}': FAIL: size and digest: "
        f"{size:,} bytes, SHA-256 different\nhint: name another restore point, or repair the copy",
    )
    assert (bad.state, (world.root / "third.db").exists()) == ("failed", False)


def test_a_target_near_its_quota_is_an_alert_and_no_failure(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.settings["targets"]["local"] |= {"quota": "1 MB", "quota_warning": 1}
    world.save()
    assert run("rlg_full_backup").state == "success"
    assert "ALERT rlg_full_backup has warnings" in caplog.text
    assert "\n- near its quota: target 'local' holds " in caplog.text
