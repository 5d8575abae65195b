"""The command line alone, installed without Airflow and without Great Expectations: it backs up to, and restores
from, a folder and S3."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.compare import assert_databases_equal
from tests.support.s3_server import S3Server
from tests.support.world import EMAILS, PHONES, WORDS, World

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-cli"
BUCKET = "rlg-backups"


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """The small environment of requirements-cli.lock, made by make where it is missing or older than the lock."""
    subprocess.run(["make", ".venv-cli/.ready"], cwd=ROOT, check=True, capture_output=True, timeout=280)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "world")


def environment(**more: str) -> dict[str, str]:
    """Nothing of this process but where programs are: no PYTHONPATH, no credentials, no home."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **more}


def command(world: World, *arguments: str | Path, **more: str) -> Any:
    done = subprocess.run(
        [VENV / "bin" / "rlg-backup", "--config", world.config, *arguments, "--json"],
        env=environment(**more), cwd=world.root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", ["airflow", "great_expectations", "sqlalchemy"])
def test_what_a_restore_does_not_need_is_not_there(package: str) -> None:
    done = subprocess.run(
        [VENV / "bin" / "python", "-c", f"import {package}"], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"ModuleNotFoundError: No module named '{package}'" in done.stderr


def test_a_folder_is_backed_up_to_and_restored_from(world: World, tmp_path: Path) -> None:
    [made] = command(world, "backup")
    assert command(world, "verify", made["backup_id"], "--full")["verdict"] == "PASS"
    done = command(world, "restore", made["backup_id"], "--to", tmp_path / "back.db")
    assert done["rows"] == 103
    assert_databases_equal(world.root / "app.db", tmp_path / "back.db")
    assert command(world, "doctor")["verdict"] == "PASS"


def test_s3_is_backed_up_to_and_restored_from(world: World, s3: S3Server, tmp_path: Path) -> None:
    world.settings["targets"]["cloud"] = {
        "type": "s3",
        "bucket": BUCKET,
        "prefix": "deep/er",
        "region": "us-east-1",
        "endpoint_url": s3.url,
        "emulator": True,
    }
    world.source["targets"] = ["cloud"]
    world.save()
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    [made] = command(world, "backup", **credentials)
    assert made["committed"] == {"cloud": 1}
    assert [point["targets"] for point in command(world, "list", **credentials)] == [{"cloud": 1}]
    assert command(world, "verify", "latest", "--full", **credentials)["verdict"] == "PASS"
    command(world, "restore", "latest", "--to", tmp_path / "back.db", **credentials)
    assert_databases_equal(world.root / "app.db", tmp_path / "back.db")
    stored = s3.client().list_objects_v2(Bucket=BUCKET)["Contents"]
    assert sorted(item["Key"] for item in stored) == [
        f"deep/er/app/{made['backup_id']}/default.zip.age",
        f"deep/er/app/{made['backup_id']}/manifest.json",
        f"deep/er/app/{made['backup_id']}/state.zip.age",
        f"deep/er/catalog/app/00000001-{made['backup_id']}-full.json",
        "deep/er/catalog/app/lease.json",
    ]
    for item in stored:
        data = s3.client().get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        assert not [value for value in (*EMAILS, *PHONES, *WORDS) if value.encode() in data]
    assert world.target().exists() is False


def test_a_cloud_that_cannot_be_reached_is_one_error_and_loses_nothing(world: World) -> None:
    """No credentials anywhere: the second target is said to be missing, the folder has the backup."""
    world.settings["targets"]["cloud"] = {"type": "s3", "bucket": BUCKET, "region": "us-east-1"}
    world.source["targets"] = ["local", "cloud"]
    world.save()
    done = subprocess.run(
        [VENV / "bin" / "rlg-backup", "--config", world.config, "backup", "--json"],
        env=environment(AWS_EC2_METADATA_DISABLED="true"), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [made] = json.loads(done.stdout)
    assert (made["committed"], list(made["missing"])) == ({"local": 1}, ["cloud"])
    assert "credentials" in made["missing"]["cloud"]


def test_a_drill_says_what_it_would_need(world: World) -> None:
    """Suites are the one thing that Great Expectations is for: without it a drill cannot pass."""
    back = world.root / "suites" / "app"
    back.mkdir(parents=True)
    world.settings["drill"] = {
        "scratch": "scratch",
        "reports": "reports",
        "expectations": "suites",
        "references": ".",
        "suites": {"app": "app"},
    }
    world.save()
    command(world, "backup")
    done = subprocess.run(
        [VENV / "bin" / "rlg-backup", "--config", world.config, "drill", "--json"],
        env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 3, (done.stdout, done.stderr)
