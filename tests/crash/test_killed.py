"""A backup killed anywhere: what is listed restores, the next run succeeds, and the dead run left nothing to read."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from tests.crash.aftermath import (
    Project,
    copies,
    everything_listed_restores,
    nothing_is_to_be_read,
    staging_is_clean,
    the_next_run_succeeds,
)
from tests.crash.conftest import MakeProject, Places, add_tree
from tests.support import victim
from tests.support.victim import VERBS, Doom
from tests.support.world import World

BOUNDARIES = [Doom(verb, after) for verb in VERBS for after in (False, True)]
SOURCES = ("app", "tree", "cloud")
SEED = int(os.environ.get("RLG_SEED", "20261125"))
SHARDS = 12


def spread(source: str, count: int) -> list[float]:
    """Some parts of a run, spread over it, others with every seed."""
    chance = random.Random(f"{SEED}/{source}")
    return [round((number + chance.random()) / count, 4) for number in range(count)]


def survive(project: Project, doom: Doom, *, retry: bool) -> bool:
    """All that must hold of a backup killed at that place; False when it ended before it."""
    before = copies(project)
    started = victim.start(project.world.config, project.source, run="dead", doom=doom)
    if victim.finish(started) is not None:
        return False
    assert started[0].exitcode == -signal.SIGKILL
    nothing_is_to_be_read(project)
    listed = everything_listed_restores(project)
    assert before <= listed
    the_next_run_succeeds(project, listed, retry="dead" if retry else "")
    return True


@pytest.mark.parametrize("doom", BOUNDARIES, ids=str)
def test_a_backup_killed_between_two_steps(make: MakeProject, doom: Doom) -> None:
    place = BOUNDARIES.index(doom)
    assert survive(make(("app", "tree")[place // 2 % 2]), doom, retry=place % 2 == 0)


@pytest.mark.parametrize(
    ("source", "part"),
    [(source, part) for source, count in (("app", 20), ("tree", 8), ("cloud", 5)) for part in spread(source, count)],
)
def test_a_backup_killed_within_a_step(make: MakeProject, places: Places, source: str, part: float) -> None:
    """Ahead of one of the operations that change a file or send a request."""
    event = 1 + int(part * places(source))
    assert survive(make(source), Doom(event=event), retry=event % 2 == 0)


@pytest.mark.soak
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("source", SOURCES)
def test_a_backup_killed_at_every_place(make: MakeProject, places: Places, source: str, shard: int) -> None:
    events = range(1 + shard, places(source) + 1, SHARDS)
    assert len(events) > 10, "the places are no places"
    killed = [survive(make(source), Doom(event=event), retry=event % 4 < 2) for event in events]
    assert killed.count(False) <= 1, "a run has fewer places than were counted"


def bigger(root: Path) -> World:
    """Sources whose steps take long enough to be killed in the middle of writing."""
    world = World.make(root / "world", targets=("local", "second"))
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("CREATE TABLE many (a INTEGER, b TEXT)")
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
        "INSERT INTO many SELECT i, hex(randomblob(30)) FROM n"
    )
    connection.commit()
    connection.close()
    add_tree(world, large=40 << 20)
    return world


@pytest.mark.parametrize("rounds", [pytest.param(6), pytest.param(200, marks=pytest.mark.soak)])
def test_one_project_killed_again_and_again_at_random_moments(tmp_path: Path, rounds: int) -> None:
    """No copy is made in between: each run meets what all the dead ones before it left."""
    world, moments = bigger(tmp_path), random.Random(SEED)
    killed = 0
    for number in range(rounds):
        made = Project(world, ("app", "tree")[number % 2], tmp_path)
        before, start = copies(made), time.monotonic()
        started = victim.start(world.config, made.source, run=f"dead-{number}", ahead=victim.EVERY_LEASE * number)
        started[0].join(moments.uniform(0, 1.2))
        started[0].kill()
        killed += victim.finish(started) is None
        print(f"round {number}: {made.source} killed after {time.monotonic() - start:.3f} s (seed {SEED})")
        nothing_is_to_be_read(made)
        assert before <= copies(made)
    assert killed > rounds / 2
    for source in ("app", "tree"):
        made = Project(world, source, tmp_path)
        started = victim.start(world.config, source, run="last", ahead=victim.EVERY_LEASE * rounds)
        done = victim.finish(started)
        assert done is not None and set(done[1]) == {"local", "second"}, done
        everything_listed_restores(made)
    staging_is_clean(Project(world, "app", tmp_path))
