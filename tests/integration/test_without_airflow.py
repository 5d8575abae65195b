"""The command line alone, installed without Airflow and without Great Expectations: it backs up to, and restores
from, a folder and each of the clouds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.clouds import PREFIX, cloud
from tests.support.compare import assert_databases_equal
from tests.support.world import EMAILS, PHONES, WORDS, World

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-cli"


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """The small environment of requirements-cli.lock, made by make where it is missing or older than the lock."""
    subprocess.run(["make", ".venv-cli/.ready"], cwd=ROOT, check=True, capture_output=True, timeout=280)


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


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_a_cloud_is_backed_up_to_and_restored_from(world: World, kind: str, tmp_path: Path) -> None:
    with cloud(kind) as there:
        world.settings["targets"]["cloud"] = dict(there.settings)
        world.source["targets"] = ["cloud"]
        world.save()
        [made] = command(world, "backup", **there.environment)
        assert made["committed"] == {"cloud": 1}
        assert [point["targets"] for point in command(world, "list", **there.environment)] == [{"cloud": 1}]
        assert command(world, "verify", "latest", "--full", **there.environment)["verdict"] == "PASS"
        command(world, "restore", "latest", "--to", tmp_path / "back.db", **there.environment)
        assert_databases_equal(world.root / "app.db", tmp_path / "back.db")
        stored = there.contents()
    assert sorted(stored) == [
        f"{PREFIX}/app/{made['backup_id']}/default.zip.age",
        f"{PREFIX}/app/{made['backup_id']}/manifest.json",
        f"{PREFIX}/app/{made['backup_id']}/state.zip.age",
        f"{PREFIX}/catalog/app/00000001-{made['backup_id']}-full.json",
        f"{PREFIX}/catalog/app/lease.json",
    ]
    for data in stored.values():
        assert not [value for value in (*EMAILS, *PHONES, *WORDS) if value.encode() in data]
    assert world.target().exists() is False


def test_a_cloud_that_cannot_be_reached_is_one_error_and_loses_nothing(world: World) -> None:
    """No credentials anywhere: the second target is said to be missing, the folder has the backup."""
    world.settings["targets"]["cloud"] = {"type": "s3", "bucket": "rlg-backups", "region": "us-east-1"}
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
