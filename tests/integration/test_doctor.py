"""The doctor asks Airflow itself for the pools and queues that the DAGs name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.support import airflow_home
from tests.support.world import World

from rlg_backup.core.model import Check, Verdict
from rlg_backup.engine.doctor import examine

pytestmark = pytest.mark.airflow


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project beside an Airflow that has the pool ``rlg_backup`` and no other of ours."""
    airflow_home.migrate()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return World.make(tmp_path / "world")


def airflow_checks(world: World) -> dict[str, Check]:
    return {check.name: check for check in examine(world.wiring()) if check.group == "airflow"}


def test_pools_that_are_there_and_queues_of_an_executor_without_workers_pass(asked: World) -> None:
    found = airflow_checks(asked)
    assert [found[name].verdict for name in ("pools", "queues")] == [Verdict.PASS, Verdict.PASS]
    assert found["pools"].measured == "rlg_backup: there"
    assert (
        found["queues"].measured == "LocalExecutor runs every queue itself; backup, restore need no worker of their own"
    )


def test_a_missing_pool_is_found_with_the_command_that_makes_it(asked: World) -> None:
    asked.source["pool"] = "nobody_made_it"
    asked.save()
    found = airflow_checks(asked)["pools"]
    assert found.verdict is Verdict.FAIL
    assert found.measured == (
        "missing: nobody_made_it; tasks would wait in silence. airflow pools set nobody_made_it 4 backups"
    )


def test_queues_of_celery_that_no_worker_answers_for_could_not_be_verified(
    asked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    found = airflow_checks(asked)["queues"]
    assert found.verdict is Verdict.COULD_NOT_VERIFY


def test_a_queue_that_no_celery_worker_listens_to_is_found(
    asked: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Celery is in the image, not among the test tools: its answer is played by a program.
    celery = tmp_path / "bin" / "celery"
    celery.parent.mkdir()
    celery.write_text('#!/bin/sh\necho \'{"celery@one": [{"name": "default"}, {"name": "backup"}]}\'\n')
    celery.chmod(0o755)
    monkeypatch.setenv("PATH", f"{celery.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    found = airflow_checks(asked)["queues"]
    assert found.verdict is Verdict.FAIL
    assert found.measured == "no worker listens to: restore; tasks would wait in silence"
