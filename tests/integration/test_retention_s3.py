"""Retention on a bucket: with every version, or into a colder class, and by no lock's leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.s3_server import S3Server
from tests.support.world import World, dump
from tests.support.zoned_world import zoned_world

AGES = (130, 100, 70, 40, 10)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client().create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)  # keeps versions
        yield server


@pytest.fixture
def world(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
    """A full backup each month in a bucket; what is marked may go at once."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    world = World.make(tmp_path / "world")
    target = {"type": "s3", "bucket": "kept", "prefix": tmp_path.name, "region": "us-east-1"}
    world.settings["targets"]["local"] = {**target, "endpoint_url": server.url, "emulator": True}
    world.settings["retention"] = {"grace": "0 days"}
    world.save()
    return world


def versions(server: S3Server, world: World, backup_id: str, target: str = "local") -> list[str]:
    """Every version and delete marker below a backup's name."""
    prefix = f"{world.settings['targets'][target]['prefix']}/app/{backup_id}/"
    found: dict[str, Any] = server.client().list_object_versions(Bucket="kept", Prefix=prefix)
    return [item["VersionId"] for item in (*found.get("Versions", ()), *found.get("DeleteMarkers", ()))]


def expire(world: World) -> dict[str, Any]:
    done = world.run("expire", "--json")
    assert done.code == 0, done.out
    return dict(done.json[0])


def test_what_expired_is_gone_with_every_version_and_is_certified(server: S3Server, world: World) -> None:
    made = [world.back_up_ago(days) for days in AGES]
    assert len(versions(server, world, made[0])) == 4  # its change state lies below a delete marker
    expire(world)
    done = expire(world)
    assert [versions(server, world, name) == [] for name in made] == [True, True, False, False, False]
    erased = {one["removal"]["backup_id"]: one["objects"] for one in done["certificates"]}
    assert {item["key"].rpartition("/")[2]: item["versions"] for item in erased[made[0]]} == {
        "default.zip.age": 1,
        "state.zip.age": 2,  # itself, and the marker that the backup after it left
        "manifest.json": 1,
    }
    assert world.run("verify", "latest", "--full").code == 0


def test_versions_of_an_archive_whose_zone_has_another_name_now_go_and_are_certified(
    server: S3Server, world: World, tmp_path: Path
) -> None:
    """The backup's own manifest names it, though no listing and no setting does."""
    zoned = zoned_world(tmp_path / "zoned")
    zoned.settings["targets"]["il"] = {**world.settings["targets"]["local"], "jurisdiction": "IL"}
    zoned.settings["residency"]["jurisdictions"]["IL"] = ["us-east-1"]
    zoned.settings["retention"] = {"grace": "0 days"}
    zoned.save()
    made = [zoned.back_up_ago(days) for days in AGES]
    zones = zoned.settings["residency"]["zones"]
    zones["jerusalem"] = zones.pop("israel")
    zoned.save()
    below = zoned.settings["targets"]["il"]["prefix"]
    server.client().delete_object(Bucket="kept", Key=f"{below}/app/{made[0]}/israel.zip.age")
    done = [one for _ in range(2) for one in zoned.run("expire", "--json").json if one["target"] == "il"]
    assert versions(server, zoned, made[0], "il") == []
    (certificate,) = [one for one in done[-1]["certificates"] if one["removal"]["backup_id"] == made[0]]
    erased = {one["key"].rpartition("/")[2]: (one["size"], one["versions"]) for one in certificate["objects"]}
    assert erased["israel.zip.age"] == (0, 2)  # itself, and the marker above it


def test_what_is_locked_stays_and_says_until_when(server: S3Server, world: World) -> None:
    oldest = world.back_up_ago(AGES[0])
    for days in AGES[1:]:
        world.back_up_ago(days)
    storage = world.wiring().storage("local")
    until = world.wiring().clock().replace(microsecond=0, year=world.wiring().clock().year + 1)
    storage.lock(f"app/{oldest}/default.zip.age", until)
    found = {one["backup_id"]: one for one in expire(world)["restore_points"]}
    assert found[oldest]["action"] == "stays"
    assert found[oldest]["reasons"] == [f"locked by its target until {until:%Y-%m-%d %H:%M}Z"]


def test_what_is_archived_in_a_class_that_is_read_at_once_restores(server: S3Server, world: World) -> None:
    world.settings["retention"]["archive"] = {"tier": "cold"}
    world.save()
    oldest = world.back_up_ago(AGES[0])
    for days in AGES[1:]:
        world.back_up_ago(days)
    expire(world)
    listed = world.run("list", "--json").json
    assert [point["tiers"]["local"] for point in listed] == ["cold", "cold", "hot", "hot", "hot"]
    assert "in tier 'cold'" in world.run("list").out
    place = world.root / "again.db"
    assert world.run("restore", oldest, "--to", place).code == 0
    assert dump(place) == dump(world.root / "app.db")
