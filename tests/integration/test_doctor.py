"""The doctor asks Airflow itself for the pools and queues that the DAGs name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import airflow_home
from tests.support.world import World

from rlg_backup.core.model import Check, Verdict
from rlg_backup.engine.doctor import examine

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project beside an Airflow that has the pool ``rlg_backup`` and no other of ours."""
    airflow_home.migrate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        yield World.make(tmp_path_factory.mktemp("doctor") / "world")


def airflow_checks(world: World) -> dict[str, Check]:
    return {check.name: check for check in examine(world.wiring()) if check.group == "airflow"}


@pytest.fixture(scope="module")
def incomplete(asked: World) -> dict[str, Check]:
    """What is found where the source's pool was not made, and Celery has a worker for one of the queues."""
    world = asked.copy(asked.root.with_name("incomplete"))
    world.source["pool"] = "nobody_made_it"
    world.save()
    # No worker runs here: Celery's answer is played by a program.
    celery = world.root / "bin" / "celery"
    celery.parent.mkdir()
    celery.write_text('#!/bin/sh\necho \'{"celery@one": [{"name": "default"}, {"name": "backup"}]}\'\n')
    celery.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{celery.parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
        return airflow_checks(world)


def test_pools_that_are_there_and_queues_of_an_executor_without_workers_pass(asked: World) -> None:
    found = airflow_checks(asked)
    assert [found[name].verdict for name in ("pools", "queues")] == [Verdict.PASS, Verdict.PASS]
    assert found["pools"].measured == "rlg_backup: there"
    assert (
        found["queues"].measured == "LocalExecutor runs every queue itself; backup, restore need no worker of their own"
    )


def test_a_missing_pool_is_found_with_the_command_that_makes_it(incomplete: dict[str, Check]) -> None:
    found = incomplete["pools"]
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


def test_a_queue_that_no_celery_worker_listens_to_is_found(incomplete: dict[str, Check]) -> None:
    found = incomplete["queues"]
    assert found.verdict is Verdict.FAIL
    assert found.measured == "no worker listens to: restore; tasks would wait in silence"
