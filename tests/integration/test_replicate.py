"""A target that was down gets what it lacks: parents first, checked, and in order."""

from __future__ import annotations

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_broken_chains import change
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.replicas import degraded, down, up
from tests.support.verbs import flip
from tests.support.world import World, dump

from rlg_backup.core.errors import CatalogGap, LeaseLost, StorageUnavailable
from rlg_backup.core.model import Kind
from rlg_backup.engine import replicate as replicating
from rlg_backup.engine.backup import backup
from rlg_backup.engine.copying import copying
from rlg_backup.engine.replicate import replicate
from rlg_backup.engine.wiring import Wiring


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "world", targets=("local", "second"))


def on_second(world: World, *ids: str) -> None:
    """The second target alone gives back the newest of these, and has them in this order."""
    points = [one for one in world.run("list", "--json").json if "second" in one["targets"]]
    assert [one["backup_id"] for one in sorted(points, key=lambda one: one["targets"]["second"])] == list(ids)
    for backup_id in ids:
        assert world.run("verify", backup_id, "--target", "second", "--full").code == 0


def test_what_a_target_missed_is_copied_in_order_and_the_next_backup_goes_on_from_it(world: World) -> None:
    down(world)
    ids = [degraded(world, "full"), degraded(world, "incremental"), degraded(world, "incremental")]
    up(world)
    done = world.run("replicate", "--json")
    assert (done.code, done.json) == (
        0,
        [
            {"source": "app", "target": "local", "copied": [], "left": {}, "failed": [], "error": None},
            {"source": "app", "target": "second", "copied": ids, "left": {}, "failed": [], "error": None},
        ],
    )
    on_second(world, *ids)
    assert world.run("replicate", "--all").out == "every target has every backup\n"
    made = world.run("backup", "--json", "--kind", "incremental").json[0]
    assert (made["kind"], sorted(made["committed"])) == ("incremental", ["local", "second"])
    shutil.rmtree(world.target("local"))
    restored = world.run("restore", made["backup_id"], "--source", "app", "--to", world.root / "back.db")
    assert restored.code == 0, restored.err
    assert dump(world.root / "back.db") == dump(world.root / "app.db")


def test_a_backup_older_than_what_a_target_got_since_stays_where_it_is_and_is_told(world: World) -> None:
    down(world)
    missed = degraded(world, "full")
    up(world)
    time.sleep(1.1)  # ids tell the second
    world.source["targets"] = ["second"]
    world.save()
    newer = world.back_up()
    world.source["targets"] = ["local", "second"]
    world.save()
    done = world.run("replicate", "--json")
    assert done.code == 0
    assert {one["target"]: (one["copied"], one["left"]) for one in done.json} == {
        "local": ([newer], {}),
        "second": ([], {missed: "target 'second' has a newer backup already"}),
    }
    on_second(world, newer)
    told = f"app, {missed} is not on 'second': target 'second' has a newer backup already\n"
    assert told in world.run("replicate", "--all").out


@pytest.mark.parametrize("whole", [False, True])
def test_a_new_target_gets_the_newest_full_backup_and_what_came_after_it_or_all(tmp_path: Path, whole: bool) -> None:
    world = World.make(tmp_path / "world", targets=("local",))
    ids = [world.back_up(kind=kind) for kind in ("full", "full", "incremental")]
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second"}
    world.source["targets"] = ["local", "second"]
    world.save()
    assert world.run("replicate", *(["--all"] if whole else [])).code == 0
    on_second(world, *(ids if whole else ids[1:]))


def test_a_damaged_copy_is_not_spread_and_what_hangs_on_it_is_left_with_the_reason(world: World) -> None:
    down(world)
    full, child = degraded(world, "full"), degraded(world, "incremental")
    up(world)
    flip(world.target("local") / "app" / full / "default.zip.age", 1000)
    done = world.run("replicate", "--json")
    key = f"app/{full}/default.zip.age"
    assert done.code == 1
    assert done.json[1]["copied"] == []
    assert done.json[1]["left"] == {
        full: f"unable to fetch '{key}': target 'local' holds other bytes than were signed",
        child: f"unable to find '{full}': target 'second' lists no such backup of source 'app'",
    }
    assert [one for one in world.run("list", "--json").json if "second" in one["targets"]] == []


@pytest.mark.parametrize("operation", ["put_file", "put_bytes"])
def test_a_replication_that_breaks_off_anywhere_is_finished_by_the_next_one(world: World, operation: str) -> None:
    down(world)
    ids = [degraded(world, "full"), degraded(world, "incremental")]
    up(world)
    met = 0
    for number in range(30):
        wiring = world.wiring()
        fault = Fault(Damage.FAIL, operations=(operation,), skip=number, times=1)
        second = FaultyStorage(wiring.storage("second"), fault)
        wiring._storages["second"] = second
        replicate(wiring, "app")
        met += second.hits(fault)
    assert met
    assert [one.left or one.error for one in replicate(world.wiring(), "app")] == [None, None]
    on_second(world, *ids)
    assert world.staged() == []


def test_a_target_that_stays_down_is_an_error(world: World) -> None:
    world.back_up()
    down(world)
    done = world.run("replicate")
    assert done.code != 0
    assert done.out == "✗ FAIL  app  second: unable to list 'catalog/app/': the folder of target 'second' is a file\n"


def third(tmp_path: Path) -> World:
    """A project with three targets; its first backup is on the first and the last of them alone."""
    world = World.make(tmp_path / "world", targets=("local", "second", "third"))
    world.source["targets"] = ["local", "third"]
    world.save()
    world.back_up()
    world.source["targets"] = ["local", "second", "third"]
    world.save()
    return world


def test_where_one_copy_is_damaged_another_is_taken(tmp_path: Path) -> None:
    world = third(tmp_path)
    (point,) = world.run("list", "--json").json
    flip(world.target("local") / "app" / point["backup_id"] / "default.zip.age", 1000)
    assert [(one.copied, one.left) for one in replicate(world.wiring(), "app")] == [
        ([], {}),
        ([point["backup_id"]], {}),
        ([], {}),
    ]
    on_second(world, point["backup_id"])


def test_the_order_is_that_of_the_commits_although_a_clock_was_ahead(world: World) -> None:
    down(world)
    ahead = backup(world.wiring(clock=lambda: datetime.now(UTC) + timedelta(days=1)), "app", Kind.FULL).backup_id
    change(world)
    newer = degraded(world, "full")
    up(world)
    replicate(world.wiring(), "app", whole=True)
    on_second(world, ahead, newer)


def test_a_backup_that_ended_while_another_target_was_served_is_not_followed_by_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path / "world", targets=("local", "second", "third"))
    world.source["targets"] = ["local"]
    world.save()
    older = world.back_up()
    time.sleep(1.1)  # ids tell the second
    world.source["targets"] = ["local", "second", "third"]
    world.save()
    real, made = replicating.lock_time, []

    def meanwhile(wiring: Wiring, source: str, target: str, *more: Any) -> datetime | None:
        if not made:
            done = world.run("backup", "--json")  # goes without the second target, whose lease is held
            assert sorted(done.json[0]["committed"]) == ["local", "third"]
            made.append(done.json[0]["backup_id"])
        return real(wiring, source, target, *more)

    monkeypatch.setattr(replicating, "lock_time", meanwhile)
    last = replicate(world.wiring(), "app")[-1]
    assert (last.copied, last.left) == ([], {older: "target 'third' has a newer backup already"})
    assert [point.backup_id for point in world.wiring().catalog("third", "app").points()] == made


def test_no_child_is_committed_where_its_parents_archive_is_gone(world: World) -> None:
    full = world.back_up()
    down(world)
    child = degraded(world, "incremental")
    up(world)
    (world.target("second") / "app" / full / "default.zip.age").unlink()
    (_, second) = replicate(world.wiring(), "app")
    assert second.left == {child: f"unable to read 'app/{full}/default.zip.age': it is not on target 'second'"}
    assert [point.backup_id for point in world.wiring().catalog("second", "app").points()] == [full]


def test_a_change_state_that_is_damaged_keeps_no_backup_from_being_copied(world: World) -> None:
    down(world)
    full = degraded(world, "full")
    up(world)
    flip(world.target("local") / "app" / full / "state.zip.age", 300)
    (_, second) = replicate(world.wiring(), "app")
    assert (second.copied, second.left) == ([full], {})
    assert not (world.target("second") / "app" / full / "state.zip.age").exists()
    on_second(world, full)


def test_a_target_on_which_backups_are_hidden_gets_nothing_that_would_cover_it_up(world: World) -> None:
    for _ in range(2):  # the second one's record on each target tells of the first on the other
        world.back_up()
    shutil.rmtree(world.target("second") / "catalog")
    shutil.rmtree(world.root / "state")  # another machine: only the other target knows
    before = world.objects("second")
    (_, second) = replicate(world.wiring(), "app")
    assert isinstance(second.error, CatalogGap)
    assert world.objects("second") == before
    assert world.run("verify", "--all").code == 3


def test_a_run_that_lost_its_lease_sends_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    down(world)
    degraded(world, "full")
    degraded(world, "full")
    up(world)
    real = replicating.fetch_object

    def long(*given: Any) -> Path:
        """Meanwhile the lease is taken away."""
        (world.target("second") / "catalog" / "app" / "lease.json").unlink(missing_ok=True)
        return real(*given)

    monkeypatch.setattr(replicating, "fetch_object", long)
    (_, second) = replicate(world.wiring(), "app")
    assert isinstance(second.error, LeaseLost)
    assert world.objects("second") == {}


def test_what_a_run_left_that_rotted_is_never_committed(world: World) -> None:
    down(world)
    full = degraded(world, "full")
    up(world)
    left = world.target("second") / "app" / full / "default.zip.age"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"rotten")
    (_, second) = replicate(world.wiring(), "app")
    cause = "the target 'second' holds other bytes under that name"
    assert second.left == {full: f"unable to upload 'app/{full}/default.zip.age': {cause}"}
    assert world.wiring().catalog("second", "app").points() == []


def test_a_backup_committed_after_one_whose_clock_was_ahead_is_copied(world: World) -> None:
    backup(world.wiring(clock=lambda: datetime.now(UTC) + timedelta(days=1)), "app", Kind.FULL)
    down(world)
    newer = degraded(world, "full")
    up(world)
    assert [(one.copied, one.left) for one in replicate(world.wiring(), "app")] == [([], {}), ([newer], {})]


def test_after_a_fault_that_may_pass_nothing_newer_is_copied_before(world: World) -> None:
    down(world)
    ids = [degraded(world, "full"), degraded(world, "full")]
    up(world)
    wiring, fault = world.wiring(), Fault(Damage.FAIL, operations=("put_file",), times=1)
    wiring._storages["second"] = FaultyStorage(wiring.storage("second"), fault)
    (_, second) = replicate(wiring, "app", whole=True)
    assert (second.copied, second.left, type(second.error)) == ([], {}, StorageUnavailable)
    assert replicate(world.wiring(), "app", whole=True)[1].copied == ids


def test_the_lease_is_kept_alive_while_copies_are_made(world: World) -> None:
    with copying(world.wiring(), "app", "second", "replicate"):
        assert "lease-heartbeat" in {thread.name for thread in threading.enumerate()}
    assert "lease-heartbeat" not in {thread.name for thread in threading.enumerate()}
