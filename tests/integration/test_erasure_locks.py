"""Requests to erase are locked on the targets for as long as any backup from before them is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.damage.tiny import WiringTo
from tests.support.forgotten import with_erasures
from tests.support.memory_storage import MemoryStorage
from tests.support.world import World

from rlg_backup.engine.erasure import record
from rlg_backup.engine.erasure.ledger import lock_time
from rlg_backup.engine.retention import expire, hold

TARGETS = ("local", "second", "third")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return with_erasures(World.make(tmp_path / "world", targets=TARGETS))


def locking(world: World, **rules: Any) -> WiringTo:
    """The targets in memory, which lock, and hold nothing yet."""
    world.settings["targets"] = {name: {"type": "local", "path": name, "lock": "governance"} for name in TARGETS}
    world.settings["sources"]["other"] = world.source
    world.settings["retention"] = {"sources": {"app": {"full": "1 month"}, "other": {"full": "3 months"}}, **rules}
    world.save()
    return WiringTo(world, {name: MemoryStorage(name) for name in TARGETS})


def locks(wiring: WiringTo, target: str = "local") -> list[timedelta]:
    """How long the entries are locked from now on."""
    return [info.locked_until - datetime.now(UTC) for info in wiring.storage(target).list("erasures/")]


def test_entries_are_locked_on_when_backups_are_kept_longer_than_when_they_were_written(world: World) -> None:
    wiring = locking(world)
    record(wiring, "person", ["1", "2"], "request")
    assert [95 > found.days > 85 for found in locks(wiring)] == [True, True]
    world.settings["retention"]["sources"]["other"]["full"] = "2 years"
    world.save()
    wiring = WiringTo(world, wiring.given)
    assert expire(wiring, "app", "local").verdict == "PASS"
    assert [found.days < 95 for found in locks(wiring)] == [True, True], "the other source keeps longer, and does it"
    assert expire(wiring, "other", "local").verdict == "PASS"
    assert [735 > found.days > 725 for found in locks(wiring)] == [True, True]
    assert [found.days < 95 for found in locks(wiring, "second")] == [True, True]


def test_entries_are_locked_as_long_as_a_backup_is_held(world: World) -> None:
    wiring = locking(world)
    short = dict.fromkeys(("full", "incremental", "differential"), "2 days")
    world.settings["retention"]["sources"] = {"app": short, "other": short | {"full": "1 day"}}
    world.save()
    wiring = WiringTo(world, wiring.given)
    record(wiring, "person", ["1"], "request")
    assert expire(wiring, "other", "local").verdict == "PASS"
    assert locks(wiring)[0] < timedelta(days=3)
    hold(wiring, "other", subject="case 7", reason="ordered")
    assert expire(wiring, "other", "local").verdict == "PASS"
    assert locks(wiring)[0] > timedelta(weeks=4)


def test_an_entry_is_locked_for_as_long_as_an_archived_backup_is_kept(world: World) -> None:
    world.settings["targets"]["local"] = {"type": "s3", "bucket": "b", "lock": "compliance", "region": "eu-west-1"}
    world.settings["retention"] = {"full": "3 months", "archive": {"tier": "cold", "keep": "10 years"}}
    world.save()
    wiring = world.wiring()
    until = lock_time(wiring, "local")
    assert until is not None
    assert until.year == wiring.clock().year + 10
