"""A tiny project of its own for each test, seen by the DAG files; Airflow itself is set up once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import airflow_home
from tests.support.world import World

MakeWorld = Callable[..., World]


@pytest.fixture(autouse=True, scope="session")
def metadata() -> None:
    airflow_home.migrate()


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWorld:
    """Makes a project with one SQLite source, for the targets named; the DAG files read it from then on."""

    def make(*targets: str) -> World:
        made = World.make(tmp_path / "project", targets=targets or ("local",))
        monkeypatch.setenv(airflow_home.VARIABLE, str(made.config))
        return made

    return make


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A project with one source and one target."""
    return make_world()
