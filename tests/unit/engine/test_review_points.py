"""Which point is the newest when clocks are wrong or targets went apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.world import World

from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import choose

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def at(world: World, moment: datetime, *targets: str) -> str:
    """The id of a backup made by a worker whose clock shows ``moment``."""
    world.source["targets"] = list(targets or ("local", "second"))
    world.save()
    return backup(world.wiring(clock=lambda: moment), "app", Kind.FULL).backup_id


def test_one_backup_by_a_clock_that_was_ahead_does_not_stay_the_latest_for_ever(world: World) -> None:
    ahead = at(world, NOON + timedelta(days=3650))
    right = at(world, NOON)
    assert choose(world.wiring(), "app").point.backup_id == right
    assert choose(world.wiring(), "app", "2026-11-20T13:00:00Z").point.backup_id == right
    assert choose(world.wiring(), "app", ahead).point.backup_id == ahead


def test_of_targets_that_went_apart_the_newest_by_time_is_taken(world: World) -> None:
    at(world, NOON)
    at(world, NOON + timedelta(hours=1), "local")
    newest = at(world, NOON + timedelta(hours=2), "second")
    world.source["targets"] = ["local", "second"]
    world.save()
    chosen = choose(world.wiring(), "app")
    assert (chosen.point.backup_id, chosen.target) == (newest, "second")
