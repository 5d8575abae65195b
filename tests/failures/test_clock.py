"""The worker's clock is set back or ahead, between runs and in the middle of one: the order of commits counts."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.world import World

from rlg_backup.core.errors import BackupNotFound, LeaseHeld
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import choose, list_points
from rlg_backup.engine.verify import verify
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Clock:
    """A worker's clock that somebody sets."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def wired(world: World, ahead: timedelta = timedelta()) -> tuple[Wiring, Clock]:
    clock = Clock(ahead)
    return world.wiring(clock=clock), clock


def mark(world: World, number: int) -> None:
    """Something to tell one backup's content from another's."""
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("UPDATE orders SET cents = ? WHERE id = 1", (number,))
    connection.commit()
    connection.close()


def marked(world: World, which: str) -> int:
    """The mark in a restored point."""
    copy = world.root / "copy.db"
    restore(world.wiring(), "app", which, str(copy))
    connection = sqlite3.connect(copy)
    found = connection.execute("SELECT cents FROM orders WHERE id = 1").fetchone()[0]
    connection.close()
    copy.unlink()
    return int(found)


@pytest.mark.parametrize("jump", [-3 * DAY, -2 * HOUR, -timedelta(seconds=2), 10 * DAY], ids=str)
def test_after_a_jump_between_runs_the_one_committed_last_is_the_latest(world: World, jump: timedelta) -> None:
    for number, ahead in ((1, timedelta()), (2, jump), (3, jump)):
        mark(world, number)
        assert backup(wired(world, ahead)[0], "app", Kind.FULL).complete
    assert marked(world, "latest") == 3
    done = verify(world.wiring(), "app", full=True)
    assert done.verdict.value == "PASS", done.checks
    listed = [point.copies[0].sequence for point in list_points(world.wiring(), "app").points]
    assert sorted(listed) == [1, 2, 3, 4], "whatever their times, all are listed"


def test_a_time_chooses_by_commits_where_the_clock_had_gone_back(world: World) -> None:
    """Points of 12:00 and then, by a clock three days behind, of three days before."""
    mark(world, 1)
    backup(wired(world)[0], "app", Kind.FULL)
    mark(world, 2)
    backup(wired(world, -3 * DAY)[0], "app", Kind.FULL)
    now = datetime.now(UTC)
    assert marked(world, (now + HOUR).isoformat()) == 2, "the one committed last, of those not after that time"
    assert marked(world, (now - 2 * DAY).isoformat()) == 2, "by its own clock it is of before that time"
    with pytest.raises(BackupNotFound):
        choose(world.wiring(), "app", (now - 4 * DAY).isoformat())


def test_a_point_dated_ahead_is_not_chosen_for_a_time_before_it(world: World) -> None:
    mark(world, 1)
    backup(wired(world, 10 * DAY)[0], "app", Kind.FULL)
    mark(world, 2)
    backup(wired(world)[0], "app", Kind.FULL)
    assert marked(world, (datetime.now(UTC) + HOUR).isoformat()) == 2
    assert marked(world, (datetime.now(UTC) + 11 * DAY).isoformat()) == 2, "committed last, though dated before"
    assert marked(world, "latest") == 2


@pytest.mark.parametrize("jump", [-2 * DAY, HOUR, 2 * DAY], ids=str)
@pytest.mark.parametrize("after", ["stage", "upload", "validate"])
def test_a_jump_in_the_middle_of_a_run_breaks_neither_it_nor_the_next(
    world: World, jump: timedelta, after: str
) -> None:
    wiring, clock = wired(world)
    reference = steps.stage(wiring, "app", Kind.FULL, run="night")
    verbs: dict[str, Callable[[], Reference]] = {
        "stage": lambda: reference,
        "snapshot": lambda: steps.snapshot(wiring, reference),
        "anonymize": lambda: steps.anonymize(wiring, reference),
        "encrypt": lambda: steps.encrypt(wiring, reference),
        "checksum": lambda: steps.checksum(wiring, reference),
        "upload": lambda: steps.upload(wiring, reference, "local"),
        "validate": lambda: steps.validate(wiring, reference, "local"),
        "commit": lambda: steps.commit(wiring, reference),
    }
    for verb, step in verbs.items():
        reference = step()
        if verb == after:
            clock.ahead = jump
    steps.wipe(wiring, reference)
    assert [point.backup_id for point in list_points(wiring, "app").points if point.backup_id == reference.backup_id]
    assert backup(wired(world)[0], "app", Kind.FULL).complete, "a run by the right clock finds the lease free"
    assert verify(world.wiring(), "app").verdict.value == "PASS"


def test_a_lease_taken_by_a_clock_ahead_is_not_held_longer_than_twice_its_length(world: World) -> None:
    """Its holder died. What it wrote of its end is ten days away: the target's own time decides."""
    steps.stage(wired(world, 10 * DAY)[0], "app", Kind.FULL, run="dead")
    with pytest.raises(LeaseHeld):
        backup(wired(world)[0], "app", Kind.FULL)
    assert backup(wired(world, timedelta(minutes=7))[0], "app", Kind.FULL).complete


# --- real processes ---------------------------------------------------------------------------------

COMMAND = Path(sys.executable).with_name("rlg-backup")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(
    shutil.which("faketime") is None, reason="REQUIRED-IN-CI: faketime is missing (apt-get install faketime)"
)
def test_processes_by_clocks_days_apart_back_up_and_restore_in_the_order_of_their_commits(world: World) -> None:
    made = []
    for number, clock in ((1, "+2 days"), (2, "-3 days")):
        mark(world, number)
        made.append(json.loads(at(clock, world, "backup", "--source", "app", "--json"))[0]["backup_id"])
    days = [datetime.strptime(one[:8], "%Y%m%d").replace(tzinfo=UTC) for one in made]
    assert days[0] - days[1] in (4 * DAY, 5 * DAY, 6 * DAY), "each process had the clock it was given"
    copy = world.root / "copy.db"
    at("-3 days", world, "restore", "latest", "--source", "app", "--to", str(copy))
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT cents FROM orders WHERE id = 1").fetchone() == (2,)
    connection.close()
    assert world.staged() == []


def at(clock: str, world: World, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run(
        ["faketime", "-f", clock.replace(" days", "d"), str(COMMAND), "--config", str(world.config), *arguments],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
