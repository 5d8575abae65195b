"""What most integration tests begin with; a module that needs another world makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.world import World


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("template") / "world")
    world.back_up()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """One backup of one source on one target."""
    return template.copy(tmp_path / "world")
