"""A restore killed anywhere: nothing, or the whole, is at its place; the next one succeeds and takes the rest away."""

from __future__ import annotations

import os
import random
import signal
import uuid
from pathlib import Path

import pytest
from tests.crash.aftermath import Project
from tests.crash.conftest import MakeProject
from tests.support import victim
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.victim import Doom

SEED = int(os.environ.get("RLG_SEED", "20261125"))


def restored(project: Project, place: Path) -> None:
    """What is at the place is the source, to the bit."""
    (assert_trees_equal if place.is_dir() else assert_databases_equal)(project.original, place)


def survive(project: Project, event: int) -> bool:
    """All that must hold of a restore killed ahead of that operation; False when it ended before it."""
    folder = project.folder / uuid.uuid4().hex
    folder.mkdir()
    place = folder / "restored"
    started = victim.start_restore(project.world.config, project.source, place, doom=Doom(event=event))
    if victim.finish(started) is not None:
        return False
    assert started[0].exitcode == -signal.SIGKILL
    for path in folder.iterdir():
        assert path == place or path.stat().st_mode & 0o077 == 0, "what is not finished is for its owner only"
    if place.exists():
        restored(project, place)
        place = folder / "another"  # killed after the name was taken
    again = victim.finish(victim.start_restore(project.world.config, project.source, place))
    assert again is not None
    restored(project, place)
    if place.name == "restored":
        left = [path for path in folder.iterdir() if path != place]  # killed before its lock said whose it is
        assert [inner for path in left for inner in path.iterdir() if inner.read_bytes()] == []
    return True


@pytest.mark.parametrize(
    ("places", "source"),
    [(6, "app"), (6, "tree"), *(pytest.param(150, source, marks=pytest.mark.soak) for source in ("app", "tree"))],
)
def test_a_restore_killed_anywhere_leaves_nothing_half(make: MakeProject, places: int, source: str) -> None:
    project = make(source)
    whole = victim.finish(victim.start_restore(project.world.config, source, project.folder / "whole"))
    assert whole is not None
    chance = random.Random(SEED)
    print(f"{whole[2]} operations, seed {SEED}")
    killed = sum(survive(project, 1 + int(whole[2] * (n + chance.random()) / places)) for n in range(places))
    assert killed > places * 0.8
