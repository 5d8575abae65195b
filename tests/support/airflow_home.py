"""Airflow for tests: a home of its own in a temporary folder, its metadata in SQLite.

Import this before anything imports airflow: Airflow reads the environment once, when it is imported. What a test
asks of Airflow afterwards (``bag``, ``run``) needs ``migrate``, which does its work once in a process.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"
VARIABLE = "RLG_BACKUP_CONFIG"


def environment(home: Path) -> dict[str, str]:
    """What Airflow must be told, so that nothing outside ``home`` is read or written."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


if "airflow" in sys.modules:
    raise RuntimeError("airflow was imported before its environment was set")
HOME = Path(tempfile.mkdtemp(prefix="rlg-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(environment(HOME))


@lru_cache(maxsize=1)
def migrate() -> None:
    """Make the metadata database and the pool of the backup steps."""
    from airflow.models.pool import Pool
    from airflow.utils import db

    db.initdb()
    Pool.create_or_update_pool("rlg_backup", slots=4, description="", include_deferred=False)


def bag() -> Any:
    """The project's DAG files parsed now, with the environment as it is now."""
    from airflow.dag_processing.dagbag import BundleDagBag

    migrate()
    return BundleDagBag(DAGS, bundle_path=DAGS, bundle_name="dags-folder")


@dataclass
class Ran:
    """What one run of a DAG came to: states by task, the exceptions that ended tasks, the log."""

    dag_run: Any
    errors: dict[str, list[BaseException]]
    written: io.StringIO

    @property
    def log(self) -> str:
        """What the tasks wrote."""
        return self.written.getvalue()

    @property
    def state(self) -> str:
        return str(self.dag_run.state)

    @property
    def states(self) -> dict[str, str]:
        return {_name(instance): str(instance.state) for instance in self.dag_run.get_task_instances()}

    @property
    def run_id(self) -> str:
        return str(self.dag_run.run_id)

    def error(self, task: str) -> tuple[str, str]:
        """Class and whole text of what ended a task at last."""
        last = self.errors[task][-1]
        return type(last).__name__, str(last)

    def returned(self, task: str) -> Any:
        instance = self.dag_run.get_task_instance(task)
        return instance.xcom_pull(task_ids=task)


def run(dag_id: str, conf: dict[str, Any] | None = None, *, scheduled: bool = False) -> Ran:
    """Parse the DAG files and run one of them to its end, each task in this process; as by hand, or as its schedule."""
    parsed = bag()
    assert not parsed.import_errors, parsed.import_errors
    with _by_its_schedule() if scheduled else contextlib.nullcontext():
        return _run(parsed.dags[dag_id], conf)


def run_made(dag: Any) -> Ran:
    """Run a DAG that no file holds."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db

    held, bundles = bag(), DagBundlesManager()  # type: ignore[no-untyped-call]  # Airflow has no type here
    held.dags = {dag.dag_id: dag}
    bundles.sync_bundles_to_db()
    sync_bag_to_db(held, "dags-folder", None)
    return _run(dag, None)


def _run(dag: Any, conf: dict[str, Any] | None) -> Ran:
    log = io.StringIO()
    with _recorded() as errors, contextlib.redirect_stdout(log):
        return Ran(dag.test(logical_date=None, run_conf=conf), errors, log)


@contextlib.contextmanager
def _by_its_schedule() -> Iterator[None]:
    """``DAG.test`` knows runs by hand only."""
    from airflow.models import dagrun
    from airflow.utils.types import DagRunType

    module: Any = dagrun
    make = module.get_or_create_dagrun

    def scheduled(*, session: Any, **given: Any) -> Any:
        made = make(session=session, **given)
        made.run_type = DagRunType.SCHEDULED
        session.commit()
        return made

    module.get_or_create_dagrun = scheduled
    try:
        yield
    finally:
        module.get_or_create_dagrun = make


@contextlib.contextmanager
def _recorded() -> Iterator[dict[str, list[BaseException]]]:
    """Airflow logs what ends a task and goes on; here it is kept as well. Its loop waits no whole seconds."""
    from airflow.sdk.execution_time import supervisor as module

    supervisor: Any = module
    errors: dict[str, list[BaseException]] = {}
    run_task, sleep = supervisor.run_task_in_process, time.sleep

    def recording(ti: Any, task: Any, **given: Any) -> Any:
        result = run_task(ti, task, **given)
        if result.error is not None:
            errors.setdefault(_name(ti), []).append(result.error)
        return result

    supervisor.run_task_in_process = recording
    time.sleep = lambda seconds: sleep(min(float(seconds), 0.01))
    try:
        yield errors
    finally:
        supervisor.run_task_in_process = run_task
        time.sleep = sleep


def _name(instance: Any) -> str:
    return str(instance.task_id) + (f"[{instance.map_index}]" if instance.map_index >= 0 else "")
