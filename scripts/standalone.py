"""Airflow on this project with a home of its own: started, asked over REST, stopped cleanly.

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
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
READY_SECONDS = 300
WHOLE = {"standalone": ("airflow", "standalone")}
ENDED = ("success", "failed")  # states of a run


class Standalone:
    """``airflow standalone`` with its home in ``home``; every setting by environment, nothing outside is touched.

    ``parts`` are the commands to start in its place, by name: scheduler and workers apart, say.
    """

    def __init__(
        self,
        home: Path,
        variables: Mapping[str, str],
        port: int | None = None,
        *,
        dags: Path = PROJECT / "dags",
        parts: Mapping[str, Sequence[str]] = WHOLE,
    ) -> None:
        self.home, self.dags, self.parts = home, dags, parts
        self.port = port or _free_port()
        self.environment = {**os.environ, **self._settings(), **variables}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
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
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
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
        try:
            for name, command in self.parts.items():
                self.start_part(name, command)
            if self._ready():
                return
        except BaseException:
            self.stop()
            raise
        self.stop()
        raise RuntimeError(f"Airflow was not ready; its output is in {self.home}/*.log")

    def start_part(self, name: str, command: Sequence[str]) -> None:
        """One process with a session of its own; its output goes to ``<name>.log`` in the home."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=PROJECT,
            )

    def _ready(self) -> bool:
        wanted = {path.stem for path in self.dags.glob("*.py")}
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and all(process.poll() is None for process in self._processes.values()):
            if wanted <= self.dags_known():
                return True
            time.sleep(1)
        return False

    def stop(self) -> None:
        """SIGINT to every whole session, which is what ends it cleanly; then SIGKILL to what is left of it."""
        for number, patience in ((signal.SIGINT, 20), (signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            for _ in range(patience * 5):
                if not self._lives():
                    break
                time.sleep(0.2)
        self._gone()

    def kill(self) -> None:
        """SIGKILL to every process of it at one moment, tasks at work included: what a power cut does (Linux only)."""
        leaders = {process.pid for process in self._processes.values()}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(ProcessLookupError):
                if os.getsid(int(place.name)) in leaders:
                    os.kill(int(place.name), signal.SIGKILL)
        self._gone()

    def _lives(self) -> bool:
        ended = [process.poll() is not None for process in self._processes.values()]
        return not all(ended) or any(_group_lives(process.pid) for process in self._processes.values())

    def _gone(self) -> None:
        for process in self._processes.values():
            process.wait(timeout=10)
        self._processes = {}
        self._lock.close()

    def wait(self) -> None:
        """Until one of its processes ends by itself, or Ctrl-C."""
        while all(process.poll() is None for process in self._processes.values()):
            time.sleep(0.5)

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

    def dags_known(self) -> set[str]:
        """The DAGs that were parsed; none while the API does not answer."""
        try:
            return {dag["dag_id"] for dag in self.ask("GET", "dags?limit=100")["dags"]}
        except (OSError, KeyError, ValueError):
            return set()

    def trigger(self, dag: str, parameters: Mapping[str, Any] | None = None) -> str:
        """Start a run by hand; returns its id."""
        body = {"logical_date": None, "conf": dict(parameters or {})}
        return str(self.ask("POST", f"dags/{dag}/dagRuns", body)["dag_run_id"])

    def parse(self, dag: str) -> None:
        """Have the DAG's file parsed now, and wait until its new form is known."""
        known = self.ask("GET", f"dags/{dag}")
        self.ask("PUT", f"parseDagFile/{known['file_token']}")
        self.until(
            f"{dag} is parsed again",
            lambda: self.ask("GET", f"dags/{dag}")["last_parsed_time"] != known["last_parsed_time"],
        )

    def clear(self, dag: str, run: str, tasks: Sequence[str]) -> None:
        """Have these tasks, and all that comes after them, done again, whatever became of them."""
        body = {"dry_run": False, "only_failed": False, "include_downstream": True}
        self.ask("POST", f"dags/{dag}/clearTaskInstances", {**body, "dag_run_id": run, "task_ids": list(tasks)})

    def finish(self, dag: str, run: str, patience: float = 600) -> str:
        """Wait until a run has ended; returns how."""
        self.until(f"{run} of {dag} ends", lambda: self.state(dag, run) in ENDED, patience)
        return self.state(dag, run)

    def until(self, what: str, reached: Callable[[], bool], patience: float = 300) -> None:
        """Wait for a condition; raises RuntimeError when it is not reached."""
        deadline = time.monotonic() + patience
        while not reached():
            if time.monotonic() > deadline:
                raise RuntimeError(f"not reached in {patience:.0f} s: {what}; Airflow's output is in {self.home}/*.log")
            time.sleep(0.1)

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first."""
        return list(self.ask("GET", f"dags/{dag}/dagRuns?limit=100&order_by=run_after")["dag_runs"])

    def state(self, dag: str, run: str) -> str:
        return str(self.ask("GET", f"dags/{dag}/dagRuns/{_quoted(run)}")["state"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"dags/{dag}/dagRuns/{_quoted(run)}/taskInstances?limit=200")["task_instances"])

    def task(self, dag: str, run: str, task: str) -> dict[str, Any]:
        """One task of a run as it is now: ``state``, ``try_number``, ``pid``, ``queue`` ..."""
        return dict(self.ask("GET", f"dags/{dag}/dagRuns/{_quoted(run)}/taskInstances/{task}"))

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
    return urllib.parse.quote(text, safe="")


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
