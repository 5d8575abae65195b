"""What dead runs left in staging: gone as soon as the next run holds their leases, and nothing else goes with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.verbs import run_through
from tests.support.world import World

from rlg_backup.core.errors import StagingLost
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup
from rlg_backup.engine.staged_files import make_private
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference, Workspace
from rlg_backup.format.keys import StagingKey


def later(world: World) -> Wiring:
    """The wiring of a run after every lease of today has run out."""
    return world.wiring(clock=lambda: datetime.now(UTC) + timedelta(hours=2))


def dead(world: World, last: str = "encrypt", run: str = "dead") -> Reference:
    """A run that got as far as ``last`` and was killed there."""
    wiring = world.wiring()
    return run_through(wiring, last, steps.stage(wiring, "app", Kind.FULL, run=run))


@pytest.mark.parametrize("last", ["snapshot", "checksum", "commit"])
def test_the_staging_of_a_dead_run_is_gone_when_the_next_run_begins(world: World, last: str) -> None:
    dead(world, last)
    reference = steps.stage(later(world), "app", Kind.FULL, run="next")
    assert {path.split("/")[0] for path in world.staged()} == {"next"}
    steps.wipe(later(world), reference)
    assert world.staged() == []


def test_a_frozen_run_that_wakes_up_after_it_finds_its_staging_gone(world: World) -> None:
    frozen = dead(world)
    assert backup(later(world), "app", Kind.FULL).complete
    with pytest.raises(StagingLost):
        steps.checksum(world.wiring(), frozen)
    steps.wipe(world.wiring(), frozen)


def test_a_run_that_died_between_giving_its_leases_back_and_removing_its_folder_leaves_nothing_either(
    world: World,
) -> None:
    wiring, reference = world.wiring(), dead(world)
    for target, state in reference.leases.items():
        wiring.lease(target, state).release()
    assert backup(world.wiring(), "app", Kind.FULL).complete
    assert world.staged() == []


def hold_elsewhere(world: World, folder: Path) -> None:
    """The next run gets one of its leases only: the other target is down for it."""
    shutil.rmtree(world.target("second"))
    world.target("second").write_text("a file where a folder should be")


def another_key(world: World, folder: Path) -> None:
    world.settings["staging"]["key"] = "file:keys/other.key"
    other = world.root / "keys" / "other.key"
    other.touch(0o600)
    other.write_text(StagingKey.generate().text)
    world.save()


def another_source(world: World, folder: Path) -> None:
    folder.parent.rename(folder.parent.parent / "other")


def begun_only(world: World, folder: Path) -> None:
    """Killed before its first record: nobody can tell whose it is, and it holds no data."""
    for path in folder.iterdir():
        if path.name != "nonce":
            path.unlink()


@pytest.mark.parametrize("change", [hold_elsewhere, another_key, another_source, begun_only])
def test_what_is_not_known_to_be_superseded_stays(world: World, change: Callable[[World, Path], None]) -> None:
    dead(world)
    before = len(list((world.root / "staging" / "dead").rglob("*")))
    change(world, world.root / "staging" / "dead" / "app" / "1")
    reference = steps.stage(later(world), "app", Kind.FULL, run="next")
    left = len(list((world.root / "staging" / "dead").rglob("*")))
    assert left == (3 if change is begun_only else before)
    steps.wipe(later(world), reference)


def test_a_link_in_the_staging_folder_is_not_followed(world: World) -> None:
    dead(world)
    outside = world.root / "outside"
    (world.root / "staging" / "dead").rename(outside)
    (world.root / "staging" / "dead").symlink_to(outside)
    before = sorted(outside.rglob("*"))
    assert backup(later(world), "app", Kind.FULL).complete
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize("removed", range(1, 6))
def test_a_removal_that_was_killed_is_ended_by_the_next_run(
    world: World, removed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many files as that were gone when it died; whichever they were, the next run knows whose the rest is."""
    reference, unlink = dead(world), Path.unlink

    class Killed(BaseException):
        pass

    def dying(path: Path, missing_ok: bool = False) -> None:
        nonlocal removed
        removed -= 1
        if removed < 0:
            raise Killed
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", dying)
    with pytest.raises(Killed):
        steps.wipe(world.wiring(), reference)
    monkeypatch.undo()
    assert world.staged() != []
    assert backup(later(world), "app", Kind.FULL).complete
    assert world.staged() == []


def test_another_project_with_the_same_key_and_names_is_not_superseded(world: World) -> None:
    """Its targets have the same names and lie elsewhere: the tokens of their leases say nothing of each other."""
    dead(world)
    for name in ("local", "second"):
        world.settings["targets"][name]["path"] = f"elsewhere-{name}"
    world.save()
    for _ in range(3):
        assert backup(later(world), "app", Kind.FULL).complete
    assert any(path.startswith("dead/app/1/member") for path in world.staged())


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_try_that_others_may_have_put_something_into_is_not_opened(world: World, mode: int) -> None:
    dead(world)
    folder = world.root / "staging" / "dead" / "app" / "1"
    (folder / "nonce").unlink()
    os.mkfifo(folder / "nonce")  # whoever opened it would wait for ever
    folder.chmod(mode)
    assert backup(later(world), "app", Kind.FULL).complete
    assert folder.exists()


def test_sources_of_one_run_that_end_together_do_not_hinder_each_other(tmp_path: Path) -> None:
    def end(source: str) -> None:
        made = Reference("run", source, 1, "", "20261125T020000Z-00000000", "full")
        for _ in range(300):
            folder = tmp_path / "run" / source / "1"
            make_private(folder, tmp_path)
            Workspace.wipe(tmp_path, made)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(end, source) for source in ("one", "other")]:
            done.result()
    assert list(tmp_path.iterdir()) == []


def test_a_lease_whose_target_cannot_be_opened_any_more_keeps_no_other_lease_and_no_folder(world: World) -> None:
    reference = dead(world)
    del world.settings["targets"]["second"]
    world.source["targets"] = ["local"]
    world.save()
    steps.wipe(world.wiring(), reference)
    assert world.staged() == []
    assert steps.stage(world.wiring(), "app", Kind.FULL, run="next").leases.keys() == {"local"}
