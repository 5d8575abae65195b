"""An expiry that ends at any operation on its target, killed or refused: what is listed is whole, and the next run
brings it to the same end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.support import victim
from tests.support.dying_storage import Died, DyingStorage
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.shelf import Shelves
from tests.support.victim import Doom
from tests.support.world import World

from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine.restore_points import choose
from rlg_backup.engine.retention import expire, hold

RULES = {"full": "22 days", "incremental": "10 days", "at_least": {"full": 1}, "grace": "5 days"}
MOST = 400  # operations
EVERY = [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Shelves:
    """An expiry has everything to do: chains that are due, others to mark, a mark to take back, what a run left."""
    shelves = Shelves.make(tmp_path_factory.mktemp("expiry") / "world", rules=RULES)
    made = []
    for _ in range(5):
        made.append(shelves.back_up())
        shelves.pass_time(1)
        made.append(shelves.back_up(Kind.INCREMENTAL, made[-1]))
        shelves.pass_time(6)
    shelves.upload()
    expire(shelves.wiring(), "app", "local")
    hold(shelves.wiring(), "app", backup=made[1], reason="a claim")
    shelves.pass_time(8)
    return shelves


def finish(shelves: Shelves) -> dict[str, bytes]:
    """The next run, when every lease has run out; the objects it ends with."""
    shelves.pass_time(0.2)
    listed = shelves.assert_whole()
    assert choose(shelves.wiring(), "app", "latest").point.backup_id == listed[-1]
    outcome = expire(shelves.wiring(), "app", "local")
    assert (outcome.error, outcome.failures, outcome.verdict) == (None, [], Verdict.PASS)
    shelves.assert_whole()
    return shelves.objects()


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("behind", [False, True], ids=["ahead of it", "behind it"])
def test_an_expiry_killed_at_any_operation(shelves: Shelves, behind: bool, every: int) -> None:
    bring_back, stages = shelves.save(), set()
    expected = finish(shelves)
    for at in range(1, MOST, every):
        bring_back()
        dying = DyingStorage(shelves.memory["local"], at, behind=behind)
        try:
            expire(shelves.wiring({"local": dying}), "app", "local")
        except Died:
            state = shelves.wiring().catalog("local", "app").state()
            stages.add((bool(state.removals), bool(state.removed), len(shelves.objects())))
            assert finish(shelves) == expected
        else:
            bring_back()
            assert at > 60
            assert len(stages) > 4, "it was not killed between two objects that it removed"
            return
    pytest.fail("an expiry has more operations than the test tried")


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Backups of five months in a folder, of which some are due."""
    world = World.make(tmp_path_factory.mktemp("aged") / "world")
    world.source["path"] = str(world.root / "app.db")
    world.settings["retention"] = {"grace": "0 days"}
    world.save()
    for days, kind in ((130, "full"), (128, "incremental"), (100, "full"), (70, "full"), (40, "full"), (10, "full")):
        world.back_up_ago(days, kind=kind)
    assert world.run("expire", "--json").code == 0
    return world


def killed(world: World, root: Path, event: int) -> bool:
    """All that must hold when an expiry is killed ahead of that operation on files; False when it ended before it."""
    made = world.copy(root)
    started = victim.start_expiry(made.config, "app", "local", doom=Doom(event=event))
    if victim.finish(started) is not None:
        return False
    assert started[0].exitcode == -signal.SIGKILL
    listed = [point["backup_id"] for point in made.run("list", "--json").json]
    for backup_id in listed:
        verified = made.run("verify", backup_id, "--full")
        assert verified.code == 0, verified.out
    done = victim.finish(victim.start_expiry(made.config, "app", "local", ahead=victim.EVERY_LEASE))
    assert done is not None
    assert done[0] == "PASS"
    kept = [point["backup_id"] for point in made.run("list", "--json").json]
    assert (len(kept), kept) == (3, listed[-3:])
    objects = [path for path in (made.target() / "app").rglob("*") if path.is_file()]  # an empty folder is none
    assert {path.parent.name for path in objects} == set(kept)
    return True


@pytest.mark.parametrize("every", [pytest.param(0.23, id="some"), pytest.param(0.0, id="all", marks=pytest.mark.soak)])
def test_an_expiry_of_a_folder_killed_by_the_system(aged: World, tmp_path: Path, every: float) -> None:
    done = victim.finish(victim.start_expiry(aged.copy(tmp_path / "whole").config, "app", "local"))
    assert done is not None
    places = done[2]
    assert (done[0], len(done[1]), places > 40) == ("PASS", 3, True)
    events = range(1, places + 1, max(1, int(places * every)))
    found = [killed(aged, tmp_path / f"event-{event}", event) for event in events]
    assert found.count(False) <= 1, "a run has fewer places than were counted"


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("damage", [Damage.FAIL, Damage.LOSE_ANSWER])
def test_an_expiry_refused_at_any_operation(shelves: Shelves, damage: Damage, every: int) -> None:
    bring_back = shelves.save()
    expected, failed = finish(shelves), 0
    for trials, at in enumerate(range(0, MOST, every)):
        bring_back()
        fault = Fault(damage, times=1, skip=at)
        faulty = FaultyStorage(shelves.memory["local"], fault)
        outcome = expire(shelves.wiring({"local": faulty}), "app", "local")
        failed += outcome.verdict is not Verdict.PASS
        assert finish(shelves) == expected, faulty.calls[at]
        if not faulty.hits(fault):
            bring_back()
            assert failed > trials * 0.8
            return
    pytest.fail("an expiry has more operations than the test tried")
