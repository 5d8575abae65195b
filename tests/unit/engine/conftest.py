"""Projects to try the engine on: copies of one that was made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.world import World


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("engine") / "world", targets=("local", "second"))


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """Two targets, nothing backed up yet."""
    return template.copy(tmp_path / "world")
