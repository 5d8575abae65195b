"""One tiny project for a module: its damage is undone after each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.damage.tiny import Tiny, undone

from rlg_backup.engine.restore_points import Chosen


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny.make(tmp_path_factory.mktemp("damage") / "world")


@pytest.fixture(scope="module")
def backups(template: Tiny) -> dict[str, Chosen]:
    """A backup of each source."""
    return {source: template.back_up(source) for source in ("app", "tree")}


@pytest.fixture
def tiny(template: Tiny, backups: dict[str, Chosen]) -> Iterator[Tiny]:
    """With both backups, seen by this machine."""
    with undone(template):
        yield template


@pytest.fixture(params=["app", "tree"])
def chosen(request: pytest.FixtureRequest, backups: dict[str, Chosen]) -> Chosen:
    """The backup of a database, and that of a tree."""
    return backups[request.param]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a download goes."""
    return tmp_path / "archive"
