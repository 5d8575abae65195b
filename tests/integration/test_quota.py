"""A folder with a quota: it takes nothing beyond, says so before, and its oldest backups go where they may."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.world import World

from rlg_backup.core.errors import StorageFull
from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.make(tmp_path / "world")
    world.settings["retention"] = {"grace": "0 days", "at_least": {"full": 1}}
    world.save()
    return world


def limited(world: World, quota: int, **more: Any) -> None:
    world.settings["targets"]["local"] |= {"quota": f"{quota / 1000:.3f} kB", **more}
    world.save()


def near(world: World) -> list[str]:
    """What a backup says of the quota."""
    done = backup(world.wiring(), "app", Kind.FULL)
    return [warning for warning in done.warnings if "quota" in warning]


def size(world: World) -> int:
    return sum(path.stat().st_size for path in world.target().rglob("*") if path.is_file())


def test_a_backup_that_would_pass_the_quota_is_not_stored_and_nothing_of_it_is_listed(world: World) -> None:
    first = world.back_up()
    used = size(world)
    limited(world, used + 5000)
    with pytest.raises(StorageFull) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert "and target 'local' holds " in caught.value.cause
    assert f" of its quota of {used + 5000:,}" in caught.value.cause
    assert [one["backup_id"] for one in world.run("list", "--json").json] == [first]
    assert [key for key in world.objects() if first not in key and key.endswith(".age")] == []
    assert world.run("restore", first, "--source", "app", "--to", world.root / "back.db").code == 0


def test_a_backup_warns_from_a_share_of_the_quota_on_and_so_does_doctor(world: World) -> None:
    world.back_up()
    one = size(world)
    limited(world, 4 * one, quota_warning=60)
    assert near(world) == []
    (told,) = near(world)
    assert re.fullmatch(r"near its quota: target 'local' holds \S+ kB of its quota of \S+ kB \(6. %\)", told)
    checks = {check["name"]: check for check in world.run("doctor", "--json").json["checks"]}
    assert "; warning: near its quota: target 'local' holds " in checks["local: properties"]["measured"]
    limited(world, one)
    checks = {check["name"]: check for check in world.run("doctor", "--json").json["checks"]}
    assert checks["local: properties"]["verdict"] == "FAIL"
    assert (
        "it takes no more backups; raise targets.local.quota, or keep less" in checks["local: properties"]["measured"]
    )


def test_where_the_next_backup_would_not_fit_the_oldest_go_and_then_it_does(world: World) -> None:
    ids = [world.back_up_ago(days) for days in (9, 8, 7)]
    one = size(world) // 3
    limited(world, 3 * one + 3 * one // 4)
    dry = world.run("expire", "--dry-run")
    assert f"{ids[0]}  full" in dry.out
    assert "goes before its age: target 'local' holds " in " ".join(dry.out.split())
    for _ in range(2):  # marked, and removed
        assert world.run("expire").code == 0
    left = [point["backup_id"] for point in world.run("list", "--json").json]
    assert left == ids[1:]
    world.back_up()
    assert size(world) <= 3 * one + 3 * one // 4
    assert world.run("restore", ids[1], "--source", "app", "--to", world.root / "back.db").code == 0


def test_what_cannot_be_freed_is_said(world: World) -> None:
    ids = [world.back_up_ago(days) for days in (9, 8)]
    world.run("hold", ids[0], "--reason", "claim")
    limited(world, size(world) + 100)
    done = world.run("expire", "--json")
    assert done.code == 0
    assert {point["action"] for point in done.json[0]["restore_points"]} == {"stays"}
    (told,) = done.json[0]["warnings"]
    assert told.startswith("target 'local' holds ")
    assert told.endswith(" of that must stay for other reasons")
    assert told in world.run("expire").out


@pytest.mark.parametrize(("quota", "said"), [("much", "it is not a size such as '500 GB'"), ("0 GB", "greater than 0")])
def test_a_quota_that_is_none_is_refused(world: World, quota: str, said: str) -> None:
    world.settings["targets"]["local"]["quota"] = quota
    world.save()
    done = world.run("list")
    assert (done.code, said in done.err) == (2, True), done.err
