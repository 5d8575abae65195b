"""A backup in an archive tier: asked for, waited for, restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.s3_server import S3Server
from tests.support.world import World, dump

from rlg_backup.core.model import Tier


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client().create_bucket(Bucket="cold")
        yield server


@pytest.fixture
def world(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    world = World.make(tmp_path / "world", targets=("local",))
    cold = {"type": "s3", "bucket": "cold", "prefix": tmp_path.name, "region": "us-east-1"}
    world.settings["targets"]["local"] = {**cold, "endpoint_url": server.url, "emulator": True}
    world.save()
    return world


def frozen(world: World) -> tuple[str, str]:
    """A full backup that lies frozen, and an incremental one after it that does not."""
    full, child = world.back_up(), world.back_up(kind="incremental")
    world.wiring().storage("local").move_to(f"app/{full}/default.zip.age", Tier.ARCHIVE)
    return full, child


def test_what_lies_frozen_is_asked_for_and_restored_once_it_is_there(server: S3Server, world: World) -> None:
    full, child = frozen(world)
    place = world.root / "back.db"
    done = world.run("restore", child, "--source", "app", "--to", place)
    assert (done.code, done.err) == (
        1,
        f"error: unable to read 'app/{full}/default.zip.age': it lies frozen on target 'local'\n"
        "hint: ask for it with 'rlg-backup thaw'; it may take hours\n",
    )
    for _ in range(2):  # asked again it only tells
        done = world.run("thaw", child, "--json")
        assert (done.code, done.json["readable"]) == (3, {full: None, child: "local"})
    server.thaw("cold")
    done = world.run("thaw", child)
    assert (done.code, done.out) == (0, f"{full}: readable on local\n{child}: readable on local\n")
    assert world.run("restore", child, "--source", "app", "--to", place).code == 0
    assert dump(place) == dump(world.root / "app.db")


def test_nothing_is_asked_for_where_another_target_has_a_copy_that_can_be_read(server: S3Server, world: World) -> None:
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second"}
    world.source["targets"] = ["local", "second"]
    world.save()
    full, child = frozen(world)
    done = world.run("thaw", child, "--json")
    assert (done.code, done.json["readable"]) == (0, {full: "second", child: "local"})
    assert world.run("thaw", child, "--target", "local").code == 3
    assert world.run("restore", child, "--source", "app", "--to", world.root / "back.db").code == 0
