"""``secret:BACKEND/KEY``: an identity in AWS Secrets Manager (moto, over HTTP), read by restore workers alone."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from tests.support import airflow_home
from tests.support.s3_server import S3Server
from tests.support.world import World, dump

pytestmark = pytest.mark.airflow
BACKEND = "airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend"
PREFIX = "rlg/restore"
SECRET = "secret:aws/rlg-identity"


@pytest.fixture(scope="module")
def manager() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: S3Server) -> World:
    """A project with one backup whose identity is in Secrets Manager, and nowhere on this machine."""
    airflow_home.migrate()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = World.make(tmp_path / "project")
    identity = (made.root / "keys" / "restore-worker" / "identity.txt").read_text()
    client = boto3.client("secretsmanager", endpoint_url=manager.url, region_name="us-east-1")
    name = f"{PREFIX}/rlg-identity"
    if name not in [kept["Name"] for kept in client.list_secrets()["SecretList"]]:
        client.create_secret(Name=name, SecretString=identity)
    client.put_secret_value(SecretId=name, SecretString=identity)
    made.settings["restore_folders"] = ["."]
    made.settings["encryption"]["identities"] = [SECRET]
    kwargs = {"variables_prefix": PREFIX, "region_name": "us-east-1", "endpoint_url": manager.url}
    made.settings["secrets"] = {"aws": {"backend": BACKEND, "kwargs": kwargs}}
    made.save()
    monkeypatch.setenv(airflow_home.VARIABLE, str(made.config))
    made.back_up()  # needs no identity
    shutil.rmtree(made.root / "keys" / "restore-worker")
    shutil.rmtree(made.root / "keys" / "escrow")
    return made


def restore_error(world: World) -> tuple[str, str]:
    world.save()
    done = airflow_home.run("rlg_restore", {"source": "app", "to": str(world.root / "again.db")})
    assert (done.state, done.states["outcome"], len(done.errors["restore"])) == ("failed", "failed", 1)
    assert not (world.root / "again.db").exists()
    return done.error("restore")


def test_a_restore_with_the_identity_in_the_backend_gives_the_source_back(world: World) -> None:
    place = world.root / "again.db"
    done = airflow_home.run("rlg_restore", {"source": "app", "to": str(place)})
    assert (done.state, done.errors) == ("success", {})
    assert dump(place) == dump(world.root / "app.db")


def test_the_backend_may_be_found_by_the_sdks_own_endpoint_variable(
    world: World, manager: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    del world.settings["secrets"]["aws"]["kwargs"]["endpoint_url"]
    world.save()
    monkeypatch.setenv("AWS_ENDPOINT_URL", manager.url)
    assert airflow_home.run("rlg_verify").state == "success"


def test_the_identity_is_in_no_log_and_passes_between_no_tasks(
    world: World, manager: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")  # botocore writes what it receives at DEBUG
    client = boto3.client("secretsmanager", endpoint_url=manager.url, region_name="us-east-1")
    kept = client.get_secret_value(SecretId=f"{PREFIX}/rlg-identity")["SecretString"]
    (secret,) = [line for line in kept.splitlines() if line.startswith("AGE-SECRET-KEY-")]
    caplog.clear()
    done = airflow_home.run("rlg_verify")
    assert done.state == "success"
    passed = "".join(str(done.returned(task)) for task in ("plan", "outcome"))
    assert secret not in done.log + caplog.text + passed


def test_a_variable_that_the_backend_does_not_hold_is_named(world: World) -> None:
    world.settings["encryption"]["identities"] = ["secret:aws/another"]
    assert restore_error(world) == (
        "AirflowFailException",
        "KeyUnavailable: unable to read 'secret:aws/another': the backend holds no such variable",
    )


def test_a_backend_that_the_configuration_does_not_name_is_answered_with_those_it_does(world: World) -> None:
    world.settings["encryption"]["identities"] = ["secret:vault/rlg-identity"]
    assert restore_error(world) == (
        "AirflowFailException",
        "KeyUnavailable: unable to read 'secret:vault': 'secrets' names no such backend (there are: aws)",
    )


def test_without_its_identity_a_backup_could_not_be_verified_and_the_run_says_why(world: World) -> None:
    world.settings["encryption"]["identities"] = ["secret:aws/another"]
    world.save()
    done = airflow_home.run("rlg_verify")
    kind, text = done.error("outcome")
    cause = "archive/decrypt: unable to read 'secret:aws/another': the backend holds no such variable"
    assert (done.state, kind, text) == (
        "failed",
        "AirflowFailException",
        f"app {text.split()[1]} COULD-NOT-VERIFY: {cause}",
    )


def test_a_backend_that_does_not_answer_is_no_traceback_of_its_sdk(world: World) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    world.settings["secrets"]["aws"]["kwargs"]["endpoint_url"] = closed
    assert restore_error(world) == (
        "AirflowFailException",
        f"KeyUnavailable: unable to read '{SECRET}': the backend does not give it (EndpointConnectionError)\n"
        "hint: look at secrets.aws and its permissions",
    )


def test_a_backup_worker_without_access_to_the_backend_backs_up(world: World) -> None:
    """Write-only: neither the backend nor an identity is looked for."""
    world.settings["secrets"]["aws"]["backend"] = "no.such.Backend"
    world.save()
    assert airflow_home.run("rlg_full_backup").state == "success"
