"""One Airflow for all tests of a file: it takes half a minute to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.scheduler import Scheduler, serve_scheduler


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    """For the tests of a file: it takes a tenth of a processor for as long as it runs."""
    with serve_scheduler(tmp_path_factory.mktemp("scheduler")) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """However a run ended, its staging is gone."""
    yield
    if "scheduler" in request.fixturenames:
        scheduler: Scheduler = request.getfixturevalue("scheduler")
        assert scheduler.world.staged() == []
