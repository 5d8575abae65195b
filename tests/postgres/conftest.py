"""Servers and databases for everything that is shown on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.postgres_server import database, servers

from rlg_backup.demo.server import programs
from rlg_backup.sources.postgres.programs import VARIABLE

__all__ = ["database", "servers"]


@pytest.fixture(scope="module", autouse=True)
def the_newest_programs() -> Iterator[None]:
    """pg_dump and pg_restore are the wheel's on every machine, whatever else is installed there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(programs()))
        yield
