"""rlg_full_backup as Airflow runs it: every task of the graph, on a real SQLite database and real targets."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.airflow_home import run
from tests.support.s3_server import S3Server
from tests.support.world import EMAILS, PHONES, World, holds_any

from rlg_backup.engine.archives import ARCHIVE

pytestmark = pytest.mark.airflow
VERBS = ("stage", "snapshot", "anonymize", "encrypt", "checksum", "local.upload", "local.validate", "commit", "wipe")
NO_WAL = "the database is not in WAL mode: whoever writes to it waits until the backup has read it"


DOWN = "unable to read 'catalog/app/lease.json': target 'away' cannot be reached (EndpointConnectionError)"


def add_tree(world: World) -> None:
    (world.root / "tree").mkdir()
    (world.root / "tree" / "letter.txt").write_text("to whom it may concern")
    world.settings["sources"]["tree"] = {"type": "files", "path": "tree", "targets": list(world.settings["targets"])}
    world.save()


def add_broken(world: World) -> None:
    """A source that is a text file, not a database."""
    (world.root / "broken.db").write_text("no database at all " * 100)
    world.settings["sources"]["broken"] = {
        "type": "sqlite",
        "path": "broken.db",
        "targets": list(world.settings["targets"]),
    }
    world.save()


def s3_target(world: World, name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target at an emulator, with credentials from the Airflow connection of the target's name alone."""
    world.settings["targets"][name] = {"type": "s3", "bucket": "backups", "region": "us-east-1", "emulator": True}
    world.source["targets"] = list(world.settings["targets"])
    world.save()
    extra = {"endpoint_url": url, "region_name": "us-east-1", "config_kwargs": {"retries": {"max_attempts": 1}}}
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_RLG_TARGET_{name.upper()}", json.dumps(connection))


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_full_backup_commits_every_source_by_every_verb_and_leaves_nothing_in_staging(world: World) -> None:
    add_tree(world)
    done = run("rlg_full_backup")
    assert done.states == {f"{s}.{v}": "success" for s in ("app", "tree") for v in VERBS} | {"outcome": "success"}
    assert done.state == "success"
    listed = world.run("list", "--json").json
    told = {source: said["backup_id"] for source, said in done.returned("outcome").items()}
    assert {point["source"]: point["backup_id"] for point in listed} == told
    assert {source: said["committed"] for source, said in done.returned("outcome").items()} == {
        "app": {"local": 1},
        "tree": {"local": 1},
    }
    assert world.staged() == []


def test_a_second_run_is_the_next_restore_point_of_the_same_chain_of_records(world: World) -> None:
    first, second = run("rlg_full_backup"), run("rlg_full_backup")
    assert (first.state, second.state) == ("success", "success")
    assert second.returned("outcome")["app"]["committed"] == {"local": 2}
    assert len(world.records()) == 2


def test_what_passes_between_tasks_and_into_the_log_holds_no_personal_value_and_no_key(world: World) -> None:
    done = run("rlg_full_backup")
    said = done.log + json.dumps({task: done.returned(task) for task in done.states}, default=str)
    secrets = [line for file in (world.root / "keys").rglob("*") if file.is_file() for line in file.read_text().split()]
    secrets = [word for word in secrets if len(word) > 40 and word not in world.public.values()]
    assert len(secrets) >= 5
    assert [value for value in (*EMAILS, *PHONES, *secrets) if value in said] == []
    assert holds_any(world.target(), (*EMAILS, *PHONES)) == []


def test_a_source_that_fails_ends_the_run_failed_and_leaves_the_other_source_committed(world: World) -> None:
    add_broken(world)
    done = run("rlg_full_backup")
    assert done.state == "failed"
    assert done.error("outcome") == (
        "AirflowFailException",
        "broken: no backup was committed; failed at: broken.snapshot",
    )
    assert done.error("broken.snapshot") == (
        "AirflowFailException",
        f"SourceUnreadable: unable to read '{world.root / 'broken.db'}': it is not a SQLite database",
    )
    assert {name for name, state in done.states.items() if state == "upstream_failed"} == {
        f"broken.{verb}" for verb in VERBS if verb not in ("stage", "snapshot", "wipe")
    }
    assert [len(world.records(source=source)) for source in ("app", "broken")] == [1, 0]
    assert (done.states["broken.wipe"], world.staged()) == ("success", [])


def test_damage_is_not_retried_and_a_passing_fault_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    add_broken(world)
    s3_target(world, "away", closed_port(), monkeypatch)
    world.source["targets"] = ["away"]
    world.save()
    done = run("rlg_full_backup")
    assert (len(done.errors["broken.snapshot"]), len(done.errors["app.stage"])) == (1, 2)
    assert [type(error).__name__ for error in done.errors["app.stage"]] == ["StorageUnavailable"] * 2


# Whom the next step misses when a verb is taken out of the graph.
SKIPPED = {
    "snapshot": ("anonymize", "snapshot"),
    "anonymize": ("encrypt", "anonymize"),
    "encrypt": ("checksum", "encrypt"),
    "checksum": ("local.upload", "checksum"),
    "upload": ("local.validate", "upload-local"),
}


@pytest.mark.parametrize("verb", SKIPPED)
def test_a_verb_taken_out_of_the_graph_stops_the_run_before_anything_is_committed(
    verb: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import task

    from rlg_backup.tasks.configuration import run_name

    @task(task_id=verb)
    def nothing(reference: dict[str, Any], target: str = "") -> dict[str, Any]:
        return reference

    monkeypatch.setattr(f"rlg_backup.tasks.backup.{verb}", nothing)
    done = run("rlg_full_backup")
    failed, missed = SKIPPED[verb]
    place = run_name(f"rlg_full_backup-{done.run_id}")
    assert done.error(f"app.{failed}") == (
        "AirflowFailException",
        f"StepSkipped: unable to go on with '{place}/app': the step '{missed}' did not run\n"
        "hint: clear the run from 'stage'",
    )
    assert (done.state, done.states["outcome"], world.records(), world.staged()) == ("failed", "failed", [], [])


def test_a_copy_that_was_not_validated_is_not_committed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import task

    @task(task_id="validate")
    def nothing(reference: dict[str, Any], target: str) -> dict[str, Any]:
        return reference

    monkeypatch.setattr("rlg_backup.tasks.backup.validate", nothing)
    done = run("rlg_full_backup")
    kind, text = done.error("app.commit")
    backup_id = text.split("'")[1]
    cause = "no copy could be committed (local: its copy was not validated)"
    assert (kind, text) == ("AirflowFailException", f"BackupIncomplete: unable to commit '{backup_id}': {cause}")
    assert (done.state, world.records()) == ("failed", [])


def test_one_of_two_targets_down_leaves_a_degraded_backup_and_a_failed_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_target(world, "away", closed_port(), monkeypatch)
    done = run("rlg_full_backup")
    result = done.returned("app.commit")
    assert (result["committed"], list(result["missing"])) == ({"local": 1}, ["away"])
    assert done.error("outcome") == (
        "AirflowFailException",
        f"app: backup {result['backup_id']} has no copy on 'away': {DOWN}",
    )
    assert (done.state, len(world.records()), world.staged()) == ("failed", 1, [])


def test_no_upload_is_tried_again_to_a_target_that_was_down_when_the_run_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run holds no lease there, so no later try can help: it would only hold the commit up."""
    s3_target(world, "away", closed_port(), monkeypatch)
    done = run("rlg_full_backup")
    assert [str(error) for error in done.errors["app.away.upload"]] == [f"StorageUnavailable: {DOWN}"]


def test_an_s3_target_is_reached_through_its_airflow_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server() as server:
        server.client().create_bucket(Bucket="backups")
        s3_target(world, "cloud", server.url, monkeypatch)
        done = run("rlg_full_backup")
        kept = server.client().list_objects_v2(Bucket="backups")["Contents"]
    assert (done.state, done.errors) == ("success", {})
    assert done.returned("app.commit")["committed"] == {"cloud": 1, "local": 1}
    names = {item["Key"] for item in kept}
    backup_id = done.returned("app.commit")["backup_id"]
    assert {f"app/{backup_id}/{ARCHIVE}", f"app/{backup_id}/manifest.json"} <= names


def test_workers_that_share_no_disk_do_every_verb_in_one_task(world: World) -> None:
    world.settings["staging"]["mode"] = "local"
    add_broken(world)
    done = run("rlg_full_backup")
    assert done.states == {"app.backup_in_one": "success", "broken.backup_in_one": "failed", "outcome": "failed"}
    assert done.error("outcome") == (
        "AirflowFailException",
        "broken: no backup was committed; failed at: broken.backup_in_one",
    )
    result = done.returned("app.backup_in_one")
    assert (result["committed"], result["missing"], result["warnings"]) == ({"local": 1}, {}, [NO_WAL])
    assert list(result["seconds"]) == [
        "stage", "snapshot", "anonymize", "encrypt", "checksum", "upload local", "validate local", "commit", "wipe",
    ]  # fmt: skip
    assert (len(world.records()), world.staged()) == (1, [])


def test_a_source_without_a_path_takes_it_from_its_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(world.source.pop("path"))
    world.save()
    connection = {"conn_type": "sqlite", "host": str(world.root / place)}
    monkeypatch.setenv("AIRFLOW_CONN_RLG_APP", json.dumps(connection))
    assert run("rlg_full_backup").state == "success"
    monkeypatch.delenv("AIRFLOW_CONN_RLG_APP")
    assert run("rlg_full_backup").error("app.snapshot") == (
        "AirflowFailException",
        "InvalidSetting: unable to open 'app': the configuration gives no path\n"
        "hint: set sources.app.path, or make the Airflow connection rlg_app",
    )
