"""Runs that have to do with each other: one waits for another, is covered by it, or was to be made after it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.airflow_home import run
from tests.support.verbs import run_through
from tests.support.world import World

from rlg_backup.core.model import Kind
from rlg_backup.engine import steps

pytestmark = pytest.mark.airflow
FIRST = "full instead of incremental: target 'local' has no backup of this source yet"


class Ending(logging.Handler):
    """Another run at work on the source, which ends as soon as somebody is heard to wait for it."""

    def __init__(self, end: Callable[[], object]) -> None:
        super().__init__()
        self.said: list[str] = []
        self._end = end

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        if len(self.said) == 1:
            self._end()


@contextmanager
def at_work(world: World, last: str | None = None) -> Iterator[list[str]]:
    """What is said while another run holds the source; that one goes through its steps up to ``last``, and is wiped."""
    reference = steps.stage(world.wiring(), "app", Kind.FULL, run="another")

    def end() -> None:
        steps.wipe(world.wiring(), run_through(world.wiring(), last, reference) if last else reference)

    ending, log = Ending(end), logging.getLogger("rlg_backup.tasks.turn")
    log.addHandler(ending)
    try:
        yield ending.said
    finally:
        log.removeHandler(ending)


@pytest.mark.parametrize("mode", ["shared", "local"])
def test_a_run_waits_while_another_is_at_work_on_its_source_and_says_who(world: World, mode: str) -> None:
    world.settings["staging"]["mode"] = mode
    world.save()
    with at_work(world) as said:
        done = run("rlg_full_backup")
    assert (done.state, done.errors) == ("success", {})
    [text] = said
    assert re.fullmatch(
        r"waiting: unable to lease 'app': '[^/']+/\d+/another' holds it on target 'local' until \S+Z\n"
        "hint: wait until that run ends, or its lease runs out",
        text,
    )
    assert len(world.records()) == 1


def test_a_run_that_waited_too_long_fails(world: World) -> None:
    world.settings["lease_wait_hours"] = 0
    world.save()
    reference = steps.stage(world.wiring(), "app", Kind.FULL, run="another")
    done = run("rlg_full_backup")
    steps.wipe(world.wiring(), reference)
    assert done.error("app.stage")[0] == "AirflowSensorTimeout"
    assert done.error("outcome") == ("AirflowFailException", "app: no backup was committed; failed at: app.stage")
    assert (done.state, world.records()) == ("failed", [])


@pytest.mark.parametrize("mode", ["shared", "local"])
def test_a_scheduled_incremental_is_skipped_in_sight_where_a_full_one_was_just_committed(
    world: World, mode: str
) -> None:
    world.settings["staging"]["mode"] = mode
    world.save()
    run("rlg_full_backup")
    done = run("rlg_incremental_backup", scheduled=True)
    [full] = [point["backup_id"] for point in world.run("list", "--json").json]
    assert {name for name, state in done.states.items() if state != "skipped"} == {"outcome"}
    assert (done.state, done.states["outcome"]) == ("success", "success")
    reason = f"the full backup '{full}' was committed within 12 hours"
    assert done.returned("outcome") == {"app": {"skipped": reason}}
    assert (len(world.records()), world.staged()) == (1, [])


def test_an_incremental_waits_for_the_full_one_at_work_and_is_skipped_then(world: World) -> None:
    """Sunday, 02:00."""
    with at_work(world, last="commit") as said:
        done = run("rlg_incremental_backup", scheduled=True)
    assert len(said) == 1
    assert (done.state, done.states["app.stage"], len(world.records())) == ("success", "skipped", 1)


def test_a_full_one_that_failed_leaves_no_night_without_a_backup(world: World) -> None:
    place = world.root / "app.db"
    kept = place.rename(world.root / "kept.db")
    assert run("rlg_full_backup").state == "failed"
    kept.rename(place)
    done = run("rlg_incremental_backup", scheduled=True)
    result = done.returned("app.commit")
    assert (done.state, result["kind"], result["asked"]) == ("success", "full", "incremental")
    assert FIRST in result["warnings"]
    assert len(world.records()) == 1


def test_who_starts_an_incremental_by_hand_gets_one(world: World) -> None:
    run("rlg_full_backup")
    done = run("rlg_incremental_backup")
    assert (done.state, done.returned("app.commit")["kind"], len(world.records())) == ("success", "incremental", 2)


def test_hours_that_are_none_cover_nothing(world: World) -> None:
    world.settings["schedule"] = {"full_covers_hours": 0}
    world.save()
    run("rlg_full_backup")
    done = run("rlg_incremental_backup", scheduled=True)
    assert (done.state, done.returned("app.commit")["kind"], len(world.records())) == ("success", "incremental", 2)


def test_without_change_state_an_incremental_fails_and_says_what_is_missing(world: World) -> None:
    del world.settings["change_state"]
    world.save()
    done = run("rlg_incremental_backup")
    assert done.error("app.stage") == (
        "AirflowFailException",
        "InvalidSetting: unable to back up 'app': 'change_state' is not set, and kind 'incremental' needs it\n"
        "hint: set it (docs/configuration.md), or make a full backup",
    )
    assert done.state == "failed"
