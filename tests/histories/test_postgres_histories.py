"""Any history of a PostgreSQL database: each point is the database as it was."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.histories.history import Step, back_up, folder, histories
from tests.histories.postgres_changes import CHANGES, SETUP
from tests.support.postgres_compare import dumped
from tests.support.postgres_server import (
    NEWEST,
    OLDEST,
    VERSIONS,
    Servers,
    drop_database,
    execute,
    fresh_database,
    session,
)
from tests.support.postgres_world import connected, make_world

from rlg_backup.core.model import Kind
from rlg_backup.engine.restore import restore
from rlg_backup.sources.postgres.address import Address


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(history=histories(len(CHANGES)), chosen=st.integers(0, 99))
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_each_point_of_any_history_is_the_database_as_it_was(
    servers: Servers, version: int, history: list[Step], chosen: int
) -> None:
    with fresh_database(servers[version]) as source, folder() as root:
        _live_through(servers, version, source, root, history, chosen)


@pytest.mark.soak
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories(len(CHANGES), most=120), chosen=st.integers(0, 99))
@pytest.mark.parametrize("version", VERSIONS)
def test_each_point_of_any_long_history_is_the_database_as_it_was(
    servers: Servers, version: int, history: list[Step], chosen: int
) -> None:
    with fresh_database(servers[version]) as source, folder() as root:
        _live_through(servers, version, source, root, history, chosen)


def _live_through(
    servers: Servers, version: int, source: Address, root: Path, history: list[Step], chosen: int
) -> None:
    server, place = servers[version], source.of(f"{source.database}_restored")
    world = make_world(root / "world", source)
    points: dict[str, list[bytes]] = {}
    with connected(app=source):
        wiring = world.wiring()
        execute(source, *SETUP, "CREATE TABLE t0 (v text, n int)")
        with session(source) as connection:
            for step in [Step(None, Kind.FULL, 0), *history, Step(None, Kind.INCREMENTAL, 0)]:
                if step.change is None:
                    points[back_up(wiring, step.kind)] = dumped(source)
                    continue
                connection.execute("SELECT setseed(%s)", [step.seed / 2**17])
                CHANGES[step.change](connection, random.Random(step.seed))
        for backup_id in {list(points)[-1], list(points)[chosen % len(points)]}:
            try:
                restore(wiring, "app", backup_id, f"postgres:app/{place.database}")
                assert dumped(place) == points[backup_id]
            finally:
                drop_database(server, place.database)
