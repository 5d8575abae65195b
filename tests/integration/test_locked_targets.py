"""Targets that keep locks: what is stored resists deletion by the very credentials of the worker, until it expires."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.forgotten import erased, with_erasures
from tests.support.s3_server import S3Server
from tests.support.world import World

from rlg_backup.core.errors import StorageDenied
from rlg_backup.core.span import Span
from rlg_backup.engine.replicate import replicate
from rlg_backup.engine.retention import expire, hold
from rlg_backup.engine.scrub import scrub


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client().create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        server.client().create_bucket(Bucket="plain")
        yield server


@pytest.fixture
def world(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project whose one target is a bucket with Object Lock, below a prefix of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    world = World.make(tmp_path / "world")
    target = {"type": "s3", "bucket": "locked", "prefix": tmp_path.name, "region": "us-east-1"}
    world.settings["targets"]["local"] = {**target, "endpoint_url": server.url, "emulator": True, "lock": "compliance"}
    world.settings["retention"] = {"full": "3 months", "incremental": "6 months"}
    world.save()
    return world


def objects(server: S3Server, world: World) -> dict[str, Any]:
    """Until when each object is locked, by its key below the prefix; None where it is not."""
    target = world.settings["targets"]["local"]
    found, client = {}, server.client()
    for item in client.list_objects_v2(Bucket=target["bucket"], Prefix=target["prefix"]).get("Contents", ()):
        head = client.head_object(Bucket=target["bucket"], Key=item["Key"])
        found[item["Key"].removeprefix(target["prefix"] + "/")] = head.get("ObjectLockRetainUntilDate")
    return found


def near(moment: datetime, months: int) -> bool:
    return abs(moment - Span(months=months).after(datetime.now(UTC))) < timedelta(minutes=5)


def test_a_backup_is_locked_until_it_expires_and_a_child_keeps_its_parents_as_long(
    server: S3Server, world: World
) -> None:
    full = world.back_up()
    locks = objects(server, world)
    names = {f"app/{full}/default.zip.age", f"app/{full}/manifest.json", f"catalog/app/00000001-{full}-full.json"}
    assert {key for key, until in locks.items() if until is not None} == names
    assert set(locks) - names == {f"app/{full}/state.zip.age", "catalog/app/lease.json"}
    assert all(near(locks[key], 3) for key in names)

    child = world.back_up(kind="incremental")
    locks = objects(server, world)
    names |= {key for key in locks if child in key and "state" not in key}
    assert len(names) == 6
    assert all(near(locks[key], 6) for key in names)


def test_a_locked_backup_resists_deletion_by_the_workers_credentials(server: S3Server, world: World) -> None:
    backup_id, client = world.back_up(), server.client()
    prefix = world.settings["targets"]["local"]["prefix"]
    versions = client.list_object_versions(Bucket="locked", Prefix=f"{prefix}/app/{backup_id}/")["Versions"]
    for version in versions:
        if not version["Key"].endswith("state.zip.age"):
            with pytest.raises(ClientError, match="AccessDenied"):
                client.delete_object(Bucket="locked", Key=version["Key"], VersionId=version["VersionId"])
    done = world.run("restore", "latest", "--source", "app", "--to", world.root / "back.db")
    assert (done.code, done.err) == (0, "")


def test_a_target_without_locks_takes_no_backup_that_is_to_be_locked(server: S3Server, world: World) -> None:
    world.settings["targets"]["local"]["bucket"] = "plain"
    world.save()
    done = world.run("backup")
    assert done.code == 2
    assert re.fullmatch(r"error: unable to store 'app/\S+/manifest.json': target 'local' keeps no locks\n", done.err)
    assert set(objects(server, world)) == {"catalog/app/lease.json"}


def test_a_request_to_erase_is_locked_as_long_as_any_backup_from_before_it_is_kept(
    server: S3Server, world: World
) -> None:
    erased(with_erasures(world), "2")
    assert near(objects(server, world)["erasures/00000001.json"], 6)


def test_what_is_kept_for_ever_cannot_be_locked(world: World) -> None:
    world.settings["retention"]["full"] = "forever"
    world.save()
    done = world.run("list")
    assert done.code == 2
    assert (
        "the source 'app' keeps full backups forever, which no lock of the target 'local' can: give a time" in done.err
    )


@pytest.fixture
def pair(world: World) -> World:
    """A folder beside the bucket that locks; each source is on both."""
    world.settings["targets"]["folder"] = {"type": "local", "path": "backups-folder"}
    world.source["targets"] = ["folder"]
    world.save()
    return world


def test_what_is_replicated_to_a_target_is_locked_there_from_the_time_of_its_snapshot(
    server: S3Server, pair: World
) -> None:
    backup_id = pair.back_up_ago(40)
    pair.source["targets"] = ["folder", "local"]
    pair.save()
    assert pair.run("replicate").code == 0
    locks = objects(server, pair)
    names = {key for key in locks if backup_id in key and "state" not in key}
    assert len(names) == 3
    made = datetime.now(UTC) - timedelta(days=40)
    assert all(abs(locks[key] - Span(months=3).after(made)) < timedelta(hours=1) for key in names)


def test_a_copy_that_is_mended_is_locked_as_it_was(server: S3Server, pair: World) -> None:
    """What hides a locked object, a delete marker, is what somebody with the worker's credentials can still put."""
    pair.source["targets"] = ["folder", "local"]
    pair.save()
    backup_id = pair.back_up()
    target = pair.settings["targets"]["local"]
    key = f"app/{backup_id}/default.zip.age"
    server.client().delete_object(Bucket=target["bucket"], Key=f"{target['prefix']}/{key}")
    assert key not in objects(server, pair)
    assert pair.run("verify", "--all").code == 0
    assert near(objects(server, pair)[key], 3)


def test_a_record_of_decisions_is_locked_as_long_as_any_backup_may_be_kept(server: S3Server, world: World) -> None:
    backup_id = world.back_up()
    assert world.run("hold", backup_id, "--reason", "claim").code == 0
    locks = objects(server, world)
    (record,) = [key for key in locks if "retention" in key]
    assert near(locks[record], 6)


def test_a_lock_that_failed_after_the_commit_is_asked_for_again_and_it_is_told(server: S3Server, pair: World) -> None:
    full, child = pair.back_up(), pair.back_up(kind="incremental")
    pair.source["targets"] = ["folder", "local"]
    pair.save()
    wiring, fault = pair.wiring(), Fault(Damage.FAIL, operations=("lock",), error=StorageDenied)
    wiring._storages["local"] = FaultyStorage(wiring.storage("local"), fault)
    (_, done) = replicate(wiring, "app")
    assert (done.copied, done.left, type(done.error)) == ([full, child], {}, StorageDenied)
    locks = objects(server, pair)
    records = [key for key, until in locks.items() if key.startswith("catalog/") and until is None]
    assert len(records) == 3  # the lease's, and two that are not locked
    assert all(locks[f"app/{one}/{name}"] for one in (full, child) for name in ("default.zip.age", "manifest.json"))
    assert [one.error for one in replicate(pair.wiring(), "app")] == [None, None]
    locks = objects(server, pair)
    assert all(near(locks[key], 6) for key in records if "lease" not in key)
    assert near(locks[f"app/{full}/default.zip.age"], 6)


def test_a_lock_that_failed_is_asked_for_again_where_nothing_later_needs_that_backup(
    server: S3Server, pair: World
) -> None:
    """No chain but its own leads over a differential one; and with its own record it is known to have all its locks."""
    pair.settings["retention"]["differential"] = "6 months"
    full, first, second = pair.back_up(), *(pair.back_up(kind="differential") for _ in range(2))
    pair.source["targets"] = ["folder", "local"]
    pair.save()
    wiring, fault = pair.wiring(), Fault(Damage.FAIL, f"*{first}*", operations=("lock",), error=StorageDenied)
    wiring._storages["local"] = FaultyStorage(wiring.storage("local"), fault)
    (_, done) = replicate(wiring, "app")
    assert (done.copied, type(done.error)) == ([full, first, second], StorageDenied)
    locks = objects(server, pair)
    (record,) = [key for key in locks if key.startswith("catalog/") and first in key]
    assert locks[record] is None
    assert [one.error for one in replicate(pair.wiring(), "app")] == [None, None]
    assert (until := objects(server, pair)[record]) and near(until, 6)
    wiring = pair.wiring()
    wiring._storages["local"] = watched = FaultyStorage(wiring.storage("local"))
    replicate(wiring, "app")
    assert "lock" not in {operation for operation, _ in watched.calls}  # all of them are


def test_what_is_held_is_locked_on_by_each_run_of_retention_and_no_longer_than_weeks(
    server: S3Server, world: World
) -> None:
    world.settings["retention"]["longest_gap"] = "3 years"
    world.save()
    full, child = world.back_up(), world.back_up(kind="incremental")
    later = world.back_up()
    hold(world.wiring(), "app", backup=child, reason="claim")
    names = {key for key in objects(server, world) if (full in key or child in key) and "state" not in key}
    now = datetime.now(UTC) + timedelta(days=360)
    ends = []
    for days in (0, 0.5, 30):
        done = expire(world.wiring(clock=lambda at=now + timedelta(days=days): at), "app", "local")
        assert (done.error, done.failures) == (None, [])
        locks = objects(server, world)
        (end,) = {locks[key] for key in names}
        ends.append(end - now - timedelta(days=days))
        assert near(locks[f"app/{later}/default.zip.age"], 3)
    assert all(timedelta(weeks=4) <= end <= timedelta(weeks=5) for end in ends)


def test_a_parent_that_is_mended_is_locked_as_long_as_its_child_is_kept(server: S3Server, pair: World) -> None:
    pair.source["targets"] = ["folder", "local"]
    pair.save()
    full, _ = pair.back_up(), pair.back_up(kind="incremental")
    target, key = pair.settings["targets"]["local"], f"app/{full}/default.zip.age"
    server.client().delete_object(Bucket=target["bucket"], Key=f"{target['prefix']}/{key}")
    assert pair.run("verify", "--all").code == 0
    assert near(objects(server, pair)[key], 6)


def test_a_copy_is_locked_by_the_very_request_that_mends_it(server: S3Server, pair: World) -> None:
    pair.source["targets"] = ["folder", "local"]
    pair.save()
    target, key = pair.settings["targets"]["local"], f"app/{pair.back_up()}/default.zip.age"
    server.client().delete_object(Bucket=target["bucket"], Key=f"{target['prefix']}/{key}")
    wiring, fault = pair.wiring(), Fault(Damage.FAIL, operations=("lock",), error=StorageDenied)
    wiring._storages["local"] = FaultyStorage(wiring.storage("local"), fault)
    (_, done) = scrub(wiring, "app")
    assert (done.mended, near(objects(server, pair)[key], 3)) == ({}, True)
