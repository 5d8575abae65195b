"""A small project under a real Airflow: its DAGs run by the scheduler, its alerts received by real servers."""

from __future__ import annotations

import contextlib
import html
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.standalone import Standalone
from tests.support.alert_servers import Hook, Mailbox, serve_hook, serve_mailbox
from tests.support.gate import Gate
from tests.support.s3_server import S3Server
from tests.support.world import World, dump, make_people

DAG = "rlg_full_backup"
BUCKET = "vault"
S3_KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
ADVICE = "Open the failed step's log, mend the cause, clear the run from 'stage'."
# What Airflow waits for in minutes, in seconds: a dead worker or scheduler is noticed while a test looks on.
IMPATIENT = {
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "10",  # after a restart the scheduler is there before the API
}


@dataclass(frozen=True)
class Ended:
    """How a run ended: its state, and that of each of its tasks."""

    run: str
    state: str
    tasks: dict[str, str]

    @property
    def failed(self) -> list[str]:
        return sorted(name for name, state in self.tasks.items() if state == "failed")


@dataclass
class Scheduler:
    """``world`` as Airflow sees it after ``configure``. The target ``away`` is an S3 server behind ``gate``."""

    airflow: Standalone
    world: World
    mailbox: Mailbox
    hook: Hook
    server: S3Server
    gate: Gate

    def configure(self, mode: str = "shared", retries: int = 1, **sources: list[str]) -> None:
        """New sources, each with its targets; a database is made for one that has none."""
        for name, targets in sources.items():
            path = self.world.root / f"{name}.db"
            if not path.exists():
                make_people(path)
            assert [self.commits(name, target) for target in targets] == [[] for _ in targets]
        self.world.settings["staging"]["mode"] = mode
        self.world.settings["retries"]["times"] = retries
        self.world.settings["sources"] = {
            name: {"type": "sqlite", "path": f"{name}.db", "targets": targets, "policies": POLICIES}
            for name, targets in sources.items()
        }
        self.world.save()
        self.airflow.parse(DAG)

    def start(self) -> str:
        self.mailbox.messages.clear()
        self.hook.requests.clear()
        return self.airflow.trigger(DAG)

    def clear(self, run: str, *tasks: str) -> None:
        self.mailbox.messages.clear()
        self.hook.requests.clear()
        self.airflow.clear(DAG, run, tasks)

    def finish(self, run: str) -> Ended:
        state = self.airflow.finish(DAG, run)
        tasks = {task["task_id"]: str(task["state"]) for task in self.airflow.tasks(DAG, run)}
        return Ended(run, state, tasks)

    def task(self, run: str, task: str) -> dict[str, Any]:
        return self.airflow.task(DAG, run, task)

    def running(self, run: str, task: str, attempt: int = 1) -> bool:
        found = self.task(run, task)
        return (found["state"], found["try_number"]) == ("running", attempt)

    def alert(self, run: str) -> list[str]:
        """The problems that the one alert names, which came by mail and by webhook alike."""
        (mail,), ((path, _, body),) = self.mailbox.messages, self.hook.requests
        title = f"{DAG} failed ({run})"
        assert (mail["Subject"], path, body["title"]) == (f"[RLG Backup] {title}", "/alerts/here", title)
        text = mail.get_body(("html",)).get_content().strip()  # type: ignore[union-attr]  # fails without a body
        assert html.unescape(text) == f"<pre>{body['text']}</pre>"
        assert body["text"] == "".join(f"- {problem}\n" for problem in body["data"]["problems"]) + f"\n{ADVICE}"
        return list(body["data"]["problems"])

    @property
    def alerts(self) -> int:
        return len(self.mailbox.messages) + len(self.hook.requests)

    def backup_id(self, run: str, source: str) -> str:
        """Of the backup that the source's commit made in this run."""
        return str(self.airflow.returned(DAG, run, f"{source}.commit")["backup_id"])

    def error(self, run: str, task: str) -> str:
        """The text of what ended a task's last try, from its log."""
        folder = self.airflow.home / "logs" / f"dag_id={DAG}" / f"run_id={run}" / f"task_id={task}"
        lines = (folder / f"attempt={self.task(run, task)['try_number']}.log").read_text().splitlines()
        (ended,) = [found for line in lines if (found := json.loads(line))["event"] == "Task failed with exception"]
        return str(ended["error_detail"][0]["exc_value"])

    def commits(self, source: str, target: str = "local") -> list[str]:
        """The commit records of a source on a target, oldest first."""
        if target != "away":
            return [path.name for path in self.world.records(target, source)]
        listed = self.server.client().list_objects_v2(Bucket=BUCKET, Prefix=f"catalog/{source}/")
        names = [Path(item["Key"]).name for item in listed.get("Contents", [])]
        return sorted(name for name in names if name != "lease.json")

    def restores(self, source: str, target: str = "local") -> bool:
        """Whether the newest backup there verifies in full, and comes back equal to the database."""
        place = self.world.root / f"back-{source}-{target}.db"
        place.unlink(missing_ok=True)
        known = ("--source", source, "--target", target)
        with contextlib.ExitStack() as undo:
            for name, value in S3_KEYS.items():
                undo.callback(_restore_variable, name, os.environ.get(name))
                os.environ[name] = value
            checked = self.world.run("verify", "latest", "--full", *known)
            back = self.world.run("restore", "latest", *known, "--to", place)
        assert (checked.code, checked.err, back.code, back.err) == (0, "", 0, "")
        return dump(place) == dump(self.world.root / f"{source}.db")


POLICIES = {"people.email": "tokenize", "people.phone": "tokenize"}


def _restore_variable(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


@contextlib.contextmanager
def serve_scheduler(root: Path) -> Iterator[Scheduler]:
    """Everything started, and stopped at the end."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(S3Server())
        server.client().create_bucket(Bucket=BUCKET)
        gate = stack.enter_context(Gate(server.port, b"PUT ", b"/default.zip.age"))
        mailbox, hook = stack.enter_context(serve_mailbox()), stack.enter_context(serve_hook())
        world = World.make(root / "project")
        away = {"type": "s3", "bucket": BUCKET, "region": "us-east-1", "emulator": True, "endpoint_url": gate.url}
        world.settings["targets"]["away"] = away
        world.settings["targets"]["blocked"] = {"type": "local", "path": "backups-blocked"}
        world.settings["alerts"] = {"email_to": ["ops@rlg.example"]}
        world.settings["schedule"] = {"full": "none", "incremental": "none", "drill": "none"}
        world.save()
        airflow = Standalone(root / "airflow", {**variables(world, mailbox, hook, gate), **IMPATIENT})
        with airflow:
            pool = {"name": "rlg_backup", "slots": 4, "include_deferred": False}
            airflow.ask("POST", "pools", pool)
            airflow.ask("PATCH", "dags/rlg_verify", {"is_paused": True})  # what commits start would run beside the rest
            yield Scheduler(airflow, world, mailbox, hook, server, gate)


def variables(world: World, mailbox: Mailbox, hook: Hook, gate: Gate) -> dict[str, str]:
    """What Airflow must know of this project. A request to ``away`` is made once, and waits long for its answer."""
    patient = {"read_timeout": 600, "retries": {"total_max_attempts": 1}}
    extra = {"endpoint_url": gate.url, "config_kwargs": patient, "region_name": "us-east-1"}
    away = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    return {
        "RLG_BACKUP_CONFIG": str(world.config),
        "AIRFLOW_CONN_RLG_ALERT_SMTP": mailbox.connection,
        "AIRFLOW_CONN_RLG_ALERT_WEBHOOK": hook.connection,
        "AIRFLOW_CONN_RLG_TARGET_AWAY": json.dumps(away),
    }
