"""What holds for every test: where its folders lie, its turn, and that a required check that cannot run here is a
failure in CI, not a skip."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

REQUIRED = "REQUIRED-IN-CI"
# What waits for a real Airflow most of the time begins first, so that the rest runs beside it; the many short files
# come last, so that no worker is left alone with a long one.
TURN = {"scheduler": -1, "unit": 1}
MEMORY = Path("/dev/shm")
ROOM = 8 << 30  # bytes: much more than all tests together hold at once


def work_in_memory() -> None:
    """Temporary folders of this process and of those it starts lie in memory where Linux has the room: nearly every
    test waits for a disk to sync else. Who sets TMPDIR chooses another place."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # pytest has asked already


work_in_memory()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("RLG_REQUIRE_ALL") and REQUIRED in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a required check was skipped: {report.longrepr}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """xdist keeps this order with --no-loadscope-reorder only: else what has few tests comes last, however long."""
    items.sort(key=lambda item: TURN.get(item.nodeid.split("/")[1], 0))
