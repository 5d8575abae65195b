"""Any history of a SQLite database: each point is the database as it was."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.histories.history import Step, back_up, folder, histories
from tests.histories.sqlite_changes import CHANGES
from tests.support.compare import assert_databases_equal
from tests.support.world import World

from rlg_backup.core.model import Kind
from rlg_backup.engine.restore import restore
from rlg_backup.engine.wiring import Wiring


@pytest.fixture(scope="module")
def empty_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Without policies: what is looked for is in the rows themselves."""
    world = World.make(tmp_path_factory.mktemp("history"))
    del world.source["policies"]
    world.save()
    return world


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(history=histories(len(CHANGES)), chosen=st.integers(0, 99))
def test_each_point_of_any_history_is_the_database_as_it_was(
    empty_world: World, history: list[Step], chosen: int
) -> None:
    with folder() as root:
        _live_through(empty_world.copy(root / "world"), history, chosen)


@pytest.mark.soak
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories(len(CHANGES), most=120), chosen=st.integers(0, 99))
def test_each_point_of_any_long_history_is_the_database_as_it_was(
    empty_world: World, history: list[Step], chosen: int
) -> None:
    with folder() as root:
        _live_through(empty_world.copy(root / "world"), history, chosen)


def _live_through(world: World, history: list[Step], chosen: int) -> None:
    (world.root / "app.db").unlink()
    points: dict[str, Path] = {}
    wiring = world.wiring()
    with closing(sqlite3.connect(world.root / "app.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE t0 (v, w TEXT)")
        points |= _saved(world, wiring, Kind.FULL, len(points))
        for step in history:
            if step.change is None:
                points |= _saved(world, wiring, step.kind, len(points))
                continue
            with suppress(sqlite3.IntegrityError):
                CHANGES[step.change](connection, random.Random(step.seed))
        points |= _saved(world, wiring, Kind.INCREMENTAL, len(points))
    for backup_id in {list(points)[-1], list(points)[chosen % len(points)]}:
        place = world.root / f"restored-{backup_id}.db"
        restore(wiring, "app", backup_id, str(place))
        assert_databases_equal(points[backup_id], place)


def _saved(world: World, wiring: Wiring, kind: Kind, number: int) -> dict[str, Path]:
    copy = world.root / f"as-it-was-{number}.db"
    with closing(sqlite3.connect(world.root / "app.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return {back_up(wiring, kind): copy}
