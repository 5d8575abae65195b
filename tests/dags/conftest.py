"""A tiny project of its own for each test, seen by the DAG files; Airflow itself is set up once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support import airflow_home
from tests.support.world import World


@pytest.fixture(autouse=True, scope="session")
def airflow() -> None:
    airflow_home.migrate()


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """A project; the DAG files read its configuration from here on."""
    from rlg_backup.tasks.guard import STEP

    def make(*targets: str) -> World:
        made = World.make(tmp_path / "project", targets=targets or ("local",))
        monkeypatch.setenv(airflow_home.VARIABLE, str(made.config))
        return made

    monkeypatch.setitem(STEP, "retry_delay", timedelta(0))  # what is retried is the same, without the waiting
    monkeypatch.setitem(STEP, "retries", 1)
    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A project with one source and one target."""
    return make_world()
