"""rlg_retention: the policy is carried out every day, and what cannot be decided fails the run and removes nothing."""

from __future__ import annotations

import pytest
from tests.support.airflow_home import run
from tests.support.world import World

pytestmark = pytest.mark.airflow


@pytest.fixture
def aged(world: World) -> list[str]:
    """A full backup each month; what is marked may go at once."""
    world.settings["retention"] = {"grace": "0 days"}
    world.save()
    return [world.back_up_ago(days) for days in (130, 100, 70, 40, 10)]


def test_a_run_marks_and_a_later_one_removes(world: World, aged: list[str]) -> None:
    first = run("rlg_retention")
    assert (first.state, first.returned("expire_app")["removed"]) == ("success", {"local": []})
    marked = [point["backup_id"] for point in world.run("list", "--json").json if point["expires"]]
    assert marked == aged[:2]
    second = run("rlg_retention")
    assert (second.state, second.returned("expire_app")["removed"]) == ("success", {"local": aged[1::-1]})
    assert [point["backup_id"] for point in world.run("list", "--json").json] == aged[2:]


def test_a_target_on_which_something_is_hidden_fails_the_run_and_keeps_everything(
    world: World, aged: list[str]
) -> None:
    world.records()[1].unlink()
    before = world.objects()
    done = run("rlg_retention")
    assert done.state == "failed"
    assert "record 00000002 is missing on target 'local': a backup is hidden, or was removed" in done.log
    assert world.objects() == before


def test_a_drill_that_passed_is_put_on_record(world: World) -> None:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    backup_id = world.back_up()
    done = run("rlg_restore_drill")
    assert done.state == "success", done.log
    drilled = world.wiring().catalog("local", "app").state().drilled
    assert drilled is not None
    assert drilled.backup_id == backup_id
