"""Airflow in one process tree on this project: started, asked over REST, stopped cleanly.

Used by ``make demo``, ``make up`` and the tests that need a real scheduler.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
READY_SECONDS = 180


class Standalone:
    """``airflow standalone`` with its home in ``home``; every setting by environment, nothing outside is touched."""

    def __init__(self, home: Path, variables: Mapping[str, str], port: int | None = None) -> None:
        self.home = home
        self.port = port or _free_port()
        self.environment = {**os.environ, **self._settings(), **variables}
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    def _settings(self) -> dict[str, str]:
        secret_file = self.home / "secret"
        self.home.mkdir(parents=True, exist_ok=True)
        if not secret_file.exists():
            secret_file.touch(mode=0o600)
            secret_file.write_text(secrets.token_urlsafe(64))
        secret = secret_file.read_text()
        return {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{self.port}",
            "AIRFLOW__API__SECRET_KEY": secret[:43],
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secret,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
            "AIRFLOW_CONFIG": str(self.home / "airflow.cfg"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *command: str) -> None:
        """An ``airflow`` command with this home; raises CalledProcessError with its output."""
        self._airflow(*command, check=True)

    def _airflow(self, *command: str, check: bool) -> subprocess.CompletedProcess[str]:
        airflow = Path(sys.executable).parent / "airflow"
        return subprocess.run(
            [airflow, *command], env=self.environment, check=check, capture_output=True, text=True, cwd=PROJECT
        )

    def start(self) -> None:
        """Start and wait until the API answers and every DAG file was parsed once."""
        self._lock = (self.home / "running").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"an Airflow runs on {self.home} already (make up?); stop it first") from None
        log = (self.home / "standalone.log").open("ab")
        airflow = Path(sys.executable).parent / "airflow"
        self._process = subprocess.Popen(
            [airflow, "standalone"],
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=PROJECT,
        )
        try:
            if self._ready():
                return
        except BaseException:
            self.stop()
            raise
        self.stop()
        raise RuntimeError(f"Airflow was not ready; its output is in {self.home / 'standalone.log'}")

    def _ready(self) -> bool:
        wanted = {path.stem for path in (PROJECT / "dags").glob("*.py")}
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if wanted <= self._dags():
                return True
            time.sleep(1)
        return False

    def stop(self) -> None:
        """SIGINT to the whole session, which is what ends it cleanly; then SIGKILL to what is left of it."""
        if self._process is None:
            return
        for number, patience in ((signal.SIGINT, 20), (signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            for _ in range(patience * 5):
                if self._process.poll() is not None and not _group_lives(self._process.pid):
                    break
                time.sleep(0.2)
        self._process.wait(timeout=10)
        self._process = None
        self._lock.close()

    def wait(self) -> None:
        """Until it ends by itself or by Ctrl-C."""
        assert self._process is not None
        self._process.wait()

    def __enter__(self) -> Standalone:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- REST -------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the REST API (``/api/v2/...``); raises urllib.error.HTTPError."""
        if not self._token:
            with urllib.request.urlopen(f"{self.url}/auth/token", timeout=10) as answer:
                self._token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _dags(self) -> set[str]:
        try:
            return {dag["dag_id"] for dag in self.ask("GET", "dags?limit=100")["dags"]}
        except (OSError, KeyError, ValueError):
            return set()

    def trigger(self, dag: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Start a run by hand; returns its id."""
        body = {"logical_date": None, "conf": dict(parameters or {})}
        return str(self.ask("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first."""
        return list(self.ask("GET", f"dags/{dag}/dagRuns?limit=100&order_by=run_after")["dag_runs"])

    def state(self, dag: str, run: str) -> str:
        return str(self.ask("GET", f"dags/{dag}/dagRuns/{_quoted(run)}")["state"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"dags/{dag}/dagRuns/{_quoted(run)}/taskInstances?limit=200")["task_instances"])

    def returned(self, dag: str, run: str, task: str, index: int = -1) -> Any:
        """What a task returned; None when it returned nothing."""
        path = f"dags/{dag}/dagRuns/{_quoted(run)}/taskInstances/{task}/xcomEntries/return_value?map_index={index}"
        try:
            value = self.ask("GET", path + "&deserialize=false&stringify=false")["value"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return json.loads(value) if isinstance(value, str) and value[:1] in "[{" else value


def _quoted(text: str) -> str:
    return urllib.request.quote(text, safe="")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
