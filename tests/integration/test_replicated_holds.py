"""What was decided of backups goes along with their copies: holds, and marks that children take back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.replicas import degraded, down, up
from tests.support.world import World

from rlg_backup.engine.lease import held
from rlg_backup.engine.replicate import replicate
from rlg_backup.engine.retention import expire, hold, list_holds
from rlg_backup.engine.retention.record import put_on_record
from rlg_backup.format.keys import SigningKey
from rlg_backup.format.retention import Mark, Marked, Released


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "world", targets=("local", "second"))


def test_what_is_held_is_held_on_a_target_that_was_never_told_before_a_copy_could_expire(world: World) -> None:
    down(world)
    full = degraded(world, "full")
    held = world.run("hold", "--subject", "case 7", "--source", "app", "--reason", "ordered", "--json").json
    assert (held["targets"], list(held["missing"])) == (["local"], ["second"])
    up(world)
    replicate(world.wiring(), "app")
    assert [(one.hold_id, targets) for one, targets in list_holds(world.wiring(), "app")] == [
        (held["hold_id"], ("local", "second"))
    ]
    events = [type(event).__name__ for event in world.wiring().catalog("second", "app").events()]
    names = [path.name for path in world.records("second")]
    assert (events, "retention" in names[0], full in names[1]) == (["Held"], True, True)


def test_a_hold_that_was_released_on_a_target_is_not_put_on_it_again(world: World) -> None:
    world.back_up()
    one = hold(world.wiring(), "app", subject="case 7", reason="ordered").hold
    with held(world.wiring(), "app", "local") as lease:
        ended = Released(hold_id=one.hold_id, reason="settled")
        put_on_record(world.wiring(), lease, lambda state: [ended])
    assert [(found.copied, found.error) for found in replicate(world.wiring(), "app")] == [([], None), ([], None)]
    assert world.wiring().catalog("local", "app").state().holds == ()


def test_a_key_that_signs_no_holds_copies_all_the_same_and_retention_hands_them_on(world: World) -> None:
    own, keeper = world.settings["signing"]["key"], SigningKey.generate()
    (world.root / "keys" / "keeper.key").write_text(keeper.text + "\n")
    (world.root / "keys" / "keeper.key").chmod(0o600)
    world.settings["retention"] = {"trusted": [keeper.signer.text]}
    world.save()
    down(world)
    full = degraded(world, "full")
    world.settings["signing"]["key"] = "file:keys/keeper.key"
    world.save()
    made = hold(world.wiring(), "app", backup=full, reason="claim").hold
    up(world)
    world.settings["signing"]["key"] = own
    world.save()
    (_, second) = replicate(world.wiring(), "app")
    assert (second.copied, second.error) == ([full], None)
    world.settings["signing"]["key"] = "file:keys/keeper.key"
    world.save()
    held_by = f"held: claim ({made.by})"
    (dry,) = expire(world.wiring(), "app", "second", dry_run=True).decisions
    assert held_by in dry.reasons
    (kept,) = expire(world.wiring(), "app", "second").decisions
    assert held_by in kept.reasons
    assert world.wiring().catalog("second", "app").state().holds == (made,)


@pytest.fixture
def marked_parent(world: World) -> tuple[str, str]:
    """A full backup that is marked on the first target, and its child, which is not; the second has neither."""
    down(world)
    full, child = degraded(world, "full"), degraded(world, "incremental")
    mark_all_but(world, child)
    up(world)
    return full, child


def mark_all_but(world: World, left: str) -> None:
    """On the first target."""
    wiring, now = world.wiring(), datetime.now(UTC).replace(microsecond=0)
    names = [point.backup_id for point in wiring.catalog("local", "app").offered()]
    given = {"reason": "old", "marked_at": now, "due_at": now + timedelta(days=7)}
    marks = [Marked(mark=Mark(backup_id=name, **given)) for name in names if name != left]
    with held(wiring, "app", "local") as lease:
        put_on_record(wiring, lease, lambda state: marks)


def test_a_parent_that_is_marked_is_copied_for_the_sake_of_its_child(
    world: World, marked_parent: tuple[str, str]
) -> None:
    full, child = marked_parent
    (_, second) = replicate(world.wiring(), "app", whole=True)
    assert (second.copied, second.left) == ([full, child], {})


def test_a_hold_takes_the_marks_of_the_whole_chain_back(world: World, marked_parent: tuple[str, str]) -> None:
    _, child = marked_parent
    assert hold(world.wiring(), "app", backup=child, reason="claim").targets == ["local"]
    assert world.wiring().catalog("local", "app").state().marks == ()


def test_what_is_marked_and_needed_by_nothing_is_not_copied(world: World, marked_parent: tuple[str, str]) -> None:
    newest = world.back_up()
    world.settings["targets"]["third"] = {"type": "local", "path": "backups-third"}
    world.source["targets"] = ["local", "third"]
    world.save()
    mark_all_but(world, newest)
    (_, third) = replicate(world.wiring(), "app", whole=True)
    assert third.copied == [newest]
