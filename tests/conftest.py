"""What holds for every test: a required check that cannot run here is a failure in CI, not a skip."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

REQUIRED = "REQUIRED-IN-CI"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("RLG_REQUIRE_ALL") and REQUIRED in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a required check was skipped: {report.longrepr}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for a real Airflow most of the time begins first: the rest runs beside it."""
    items.sort(key=lambda item: "scheduler" not in item.path.parts)
