"""A worker, its supervisor or the whole of Airflow is killed in the middle of a backup: it commits once, or says so."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from tests.support.gate import Gate
from tests.support.scheduler import Scheduler

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]


def test_what_was_killed_is_tried_again_commits_once_and_fails_the_run_when_every_try_was_killed(
    scheduler: Scheduler,
) -> None:
    """``rows`` is killed while it reads, ``orphan`` loses its supervisor while it sends, ``doomed`` dies always."""
    gate, until = scheduler.gate, scheduler.airflow.until
    make_many(scheduler.world.root / "rows.db")
    scheduler.configure(rows=["local"], orphan=["away"], doomed=["away"])
    gate.holding = True
    run = scheduler.start()

    staged = scheduler.world.root / "staging"
    until("rows are being read", lambda: any(staged.glob("*/rows/1/member-*")))
    kill(scheduler.task(run, "rows.snapshot")["pid"])
    orphan, doomed = "orphan.away.upload", "doomed.away.upload"
    until("both are being sent", lambda: len(gate.held) == 2)
    sender = scheduler.task(run, orphan)["pid"]
    kill(parent(sender))
    for attempt in (1, 2):
        until(f"try {attempt} of doomed is being sent", partial(holds, gate, 1 + attempt))
        kill(scheduler.task(run, doomed)["pid"])
    gate.holding = False
    ended = scheduler.finish(run)

    assert (ended.state, ended.failed) == ("failed", [doomed, "outcome"])
    assert scheduler.alert(run) == [f"doomed: no backup was committed; failed at: {doomed}"]
    tries = [scheduler.task(run, task)["try_number"] for task in ("rows.snapshot", orphan, doomed)]
    assert tries == [2, 2, 2]

    def commits() -> list[int]:
        places = (("rows", "local"), ("orphan", "away"), ("doomed", "away"))
        return [len(scheduler.commits(*place)) for place in places]

    assert commits() == [1, 1, 0]
    assert alive(sender)  # nobody told it to end: it goes on when all is over
    assert scheduler.world.staged() == []
    gate.release()
    until("the orphan ends", lambda: not alive(sender))
    assert commits() == [1, 1, 0]
    assert scheduler.restores("rows")
    assert scheduler.restores("orphan", "away")


def test_after_all_of_airflow_was_killed_a_run_goes_on_and_what_lost_its_staging_fails_it(scheduler: Scheduler) -> None:
    gate, until = scheduler.gate, scheduler.airflow.until
    # Several tries: one that begins before the API server listens again is lost.
    scheduler.configure(retries=5, kept=["away"], lost=["away"])
    gate.holding = True
    run = scheduler.start()
    until("both are being sent", lambda: len(gate.held) == 2)
    scheduler.airflow.kill()
    (folder,) = (scheduler.world.root / "staging").glob("*/lost")
    shutil.rmtree(folder)  # as if it had been on a disk in memory
    gate.release()
    scheduler.airflow.start()
    ended = scheduler.finish(run)
    assert (ended.state, ended.failed) == ("failed", ["lost.away.upload", "outcome"])
    assert scheduler.alert(run) == ["lost: no backup was committed; failed at: lost.away.upload"]
    assert (len(scheduler.commits("kept", "away")), len(scheduler.commits("lost", "away"))) == (1, 0)
    assert scheduler.restores("kept", "away")


def test_all_verbs_in_one_task_killed_in_the_middle_are_done_again_from_the_start(scheduler: Scheduler) -> None:
    gate = scheduler.gate
    scheduler.configure("local", single=["away"])
    gate.holding = True
    run = scheduler.start()
    scheduler.airflow.until("it is being sent", lambda: len(gate.held) == 1)
    kill(scheduler.task(run, "single.backup_in_one")["pid"])
    gate.release()
    assert (scheduler.finish(run).state, scheduler.alerts) == ("success", 0)
    assert scheduler.task(run, "single.backup_in_one")["try_number"] == 2
    assert len(scheduler.commits("single", "away")) == 1
    assert scheduler.restores("single", "away")


def make_many(path: Path) -> None:
    """A table that takes a moment to read."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, phone TEXT)")
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) "
        "INSERT INTO people SELECT i, 'person' || i || '@example.org', NULL FROM n"
    )
    connection.commit()
    connection.close()


def holds(gate: Gate, count: int) -> bool:
    return len(gate.held) >= count


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
