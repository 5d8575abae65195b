"""rlg_replicate: what a target missed is copied before the night's backups, and what cannot be fails the run."""

from __future__ import annotations

import time

import pytest
from tests.support.airflow_home import run
from tests.support.verbs import flip
from tests.support.world import World

pytestmark = pytest.mark.airflow


@pytest.fixture
def missed(world: World) -> str:
    """A full backup that a second target, which is new, does not have."""
    backup_id = world.back_up()
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second"}
    world.source["targets"] = ["local", "second"]
    world.save()
    return backup_id


def test_what_a_target_missed_is_copied_and_an_incremental_backup_goes_on_from_it(world: World, missed: str) -> None:
    done = run("rlg_replicate")
    assert (done.state, done.returned("replicate_app")["copied"]) == ("success", {"local": [], "second": [missed]})
    made = run("rlg_incremental_backup").returned("app.commit")
    assert (made["kind"], made["committed"]) == ("incremental", {"local": 2, "second": 2})


def test_what_cannot_be_copied_fails_the_run_with_the_reason(world: World, missed: str) -> None:
    flip(world.target() / "app" / missed / "default.zip.age", 1000)
    done = run("rlg_replicate")
    assert done.state == "failed"
    assert done.error("outcome") == (
        "AirflowFailException",
        f"app: FAIL: second: unable to fetch 'app/{missed}/default.zip.age': "
        "target 'local' holds other bytes than were signed",
    )


def test_what_a_target_will_never_get_is_an_alert_and_no_failure(
    world: World, missed: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.source["targets"] = ["second"]
    world.save()
    time.sleep(1.1)  # ids tell the second
    world.back_up()
    world.source["targets"] = ["local", "second"]
    world.save()
    done = run("rlg_replicate")
    told = f"backup {missed} stays without a copy on 'second': target 'second' has a newer backup already"
    assert (done.state, done.returned("replicate_app")["warnings"]) == ("success", [told])
    assert "ALERT rlg_replicate has warnings" in caplog.text
    assert f"- app: {told}" in caplog.text
