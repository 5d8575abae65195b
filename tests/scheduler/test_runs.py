"""Under a real scheduler a run with anything wrong ends failed and says what; clearing it from ``stage`` mends it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.scheduler import Scheduler

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]


def test_a_step_that_failed_and_targets_that_are_down_fail_the_run_and_the_rest_is_committed(
    scheduler: Scheduler,
) -> None:
    world = scheduler.world
    (world.root / "broken.db").write_text("no database at all " * 100)
    world.target("blocked").write_text("a file where a folder should be")
    scheduler.configure(broken=["local"], half=["local", "away", "blocked"])
    scheduler.gate.shut()
    run = scheduler.start()
    ended = scheduler.finish(run)
    scheduler.gate.open()

    assert (ended.state, ended.failed) == (
        "failed",
        ["broken.snapshot", "half.away.upload", "half.blocked.upload", "outcome"],
    )
    tries = {scheduler.task(run, task)["try_number"] for task in ended.failed}
    assert tries == {1}  # damage is never tried again, nor a target without a lease
    backup_id = scheduler.backup_id(run, "half")
    missing = "half: backup {} has no copy on '{}': unable to read 'catalog/half/lease.json': {}"
    assert scheduler.alert(run) == [
        "broken: no backup was committed; failed at: broken.snapshot",
        missing.format(backup_id, "away", "target 'away' cannot be reached (EndpointConnectionError)"),
        missing.format(backup_id, "blocked", "the folder of target 'blocked' is a file"),
    ]
    assert [len(scheduler.commits(*place)) for place in (("broken",), ("half",), ("half", "away"))] == [0, 1, 0]
    assert scheduler.restores("half")


def test_staging_that_cannot_be_wiped_fails_a_committed_run_and_clearing_ends_right_from_every_step(
    scheduler: Scheduler,
) -> None:
    """Cleared from ``wipe``: green. From the middle: staging is gone, nothing is lost. From ``stage``: a new backup."""
    scheduler.configure(stuck=["local"])
    run = scheduler.start()
    staging = scheduler.world.root / "staging"
    scheduler.airflow.until("stage is done", lambda: any(staging.glob("*/stuck/1/stage.record")))
    (folder,) = staging.glob("*/stuck/1")
    with undeletable(folder / "left"):
        ended = scheduler.finish(run)
        assert (ended.state, ended.failed) == ("failed", ["outcome", "stuck.wipe"])
        first = scheduler.backup_id(run, "stuck")
        assert scheduler.alert(run) == [f"stuck: backup {first} is committed, yet failed at: stuck.wipe"]
        lost = f"StagingLost: unable to wipe '{folder}': files are left in it\nhint: remove the folder by hand"
        assert scheduler.error(run, "stuck.wipe") == lost

    scheduler.clear(run, "stuck.wipe")
    assert (scheduler.finish(run).state, scheduler.alerts) == ("success", 0)
    assert scheduler.world.staged() == []

    scheduler.clear(run, "stuck.encrypt")
    ended = scheduler.finish(run)
    assert (ended.state, ended.failed) == ("failed", ["outcome", "stuck.encrypt"])
    assert scheduler.alert(run) == [f"stuck: backup {first} is committed, yet failed at: stuck.encrypt"]
    lost = "its staging folder was wiped, belongs to another try, or is on another worker\nhint: clear the run from "
    assert f"{lost}'stage'" in scheduler.error(run, "stuck.encrypt")
    assert len(scheduler.commits("stuck")) == 1
    assert scheduler.restores("stuck")

    scheduler.clear(run, "stuck.stage")
    assert (scheduler.finish(run).state, scheduler.alerts) == ("success", 0)
    second = scheduler.backup_id(run, "stuck")
    names = [f"0000000{place}-{backup}-full.json" for place, backup in ((1, first), (2, second))]
    assert scheduler.commits("stuck") == names
    assert scheduler.restores("stuck")


@contextmanager
def undeletable(folder: Path) -> Iterator[None]:
    """A folder with a file in it that nobody can remove, root neither."""
    folder.mkdir()
    (folder / "file").touch()
    folder.chmod(0o500)
    if os.geteuid() == 0:
        done = subprocess.run(["chattr", "+i", folder / "file"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"REQUIRED-IN-CI: root can remove everything here ({done.stderr.strip()})")
    try:
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", folder / "file"], check=True)
        folder.chmod(0o700)
