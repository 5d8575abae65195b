"""Any history of a tree of files: each point is the tree as it was."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.histories.history import Step, histories
from tests.histories.tree_changes import CHANGES
from tests.support.compare import tree_as_saved
from tests.support.world import World

from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.verify import verify
from rlg_backup.engine.wiring import Wiring

Tree = dict[bytes, tuple[Any, ...]]


class Clock:
    """The time, ``ahead`` of what it is: what was written before is not so new then that it must be read again."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def empty_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("history"))
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.save()
    return world


TRUSTED = st.sampled_from([True, True, False])


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(history=histories(len(CHANGES)), chosen=st.integers(0, 99), trust_times=TRUSTED)
def test_each_point_of_any_history_is_the_tree_as_it_was(
    empty_world: World, history: list[Step], chosen: int, trust_times: bool
) -> None:
    with _world(empty_world, trust_times) as world:
        _live_through(world, history, chosen)


@pytest.mark.soak
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories(len(CHANGES), most=120), chosen=st.integers(0, 99), trust_times=TRUSTED)
def test_each_point_of_any_long_history_is_the_tree_as_it_was(
    empty_world: World, history: list[Step], chosen: int, trust_times: bool
) -> None:
    with _world(empty_world, trust_times) as world:
        _live_through(world, history, chosen)


@contextmanager
def _world(empty_world: World, trust_times: bool) -> Iterator[World]:
    root = Path(tempfile.mkdtemp(prefix="rlg-history-"))
    try:
        world = empty_world.copy(root / "world")
        world.source["trust_times"] = trust_times
        world.save()
        yield world
    finally:
        shutil.rmtree(root)


def _live_through(world: World, history: list[Step], chosen: int) -> None:
    tree, clock = world.root / "tree", Clock()
    tree.mkdir()
    wiring = world.wiring(clock=clock)
    points = _saved(tree, wiring, Kind.FULL)
    for step in history:
        if step.change is not None:
            CHANGES[step.change](tree, random.Random(step.seed))
            continue
        clock.ahead += timedelta(minutes=step.seed % 3)
        points |= _saved(tree, wiring, step.kind)
    points |= _saved(tree, wiring, Kind.INCREMENTAL)
    for backup_id in {list(points)[-1], list(points)[chosen % len(points)]}:
        place = world.root / f"restored-{backup_id}"
        restore(wiring, "app", backup_id, str(place))
        assert tree_as_saved(place) == points[backup_id]
        assert verify(wiring, "app", backup_id, full=True).verdict is Verdict.PASS


def _saved(tree: Path, wiring: Wiring, kind: Kind) -> dict[str, Tree]:
    done = backup(wiring, "app", kind)
    assert done.complete, done
    assert done.kind == kind.value, done.warnings
    return {done.backup_id: tree_as_saved(tree)}
