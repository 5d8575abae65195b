"""What an incremental or differential backup is made after: where it is not sound, a full one is made and says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.chain import chained_world, make, record
from tests.support.verbs import flip
from tests.support.world import World

from rlg_backup.core.errors import BackupNotNeeded, InvalidSetting
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE, STATE
from rlg_backup.engine.parents import PlannedParent, find_parent
from rlg_backup.engine.wiring import Wiring

BOTH = ("local", "second")
IDS = ("full", "first", "newest")


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, str]]:
    """A full backup and two incremental ones after it, on two targets; their ids by name."""
    kinds = (Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL)
    return chained_world(tmp_path_factory.mktemp("chain") / "world", dict(zip(IDS, kinds, strict=True)))


@pytest.fixture
def ids(chained: tuple[World, dict[str, str]]) -> dict[str, str]:
    return chained[1]


@pytest.fixture
def world(chained: tuple[World, dict[str, str]], tmp_path: Path) -> World:
    return chained[0].copy(tmp_path / "world")


def place(world: World, backup_id: str, name: str, target: str = "local") -> Path:
    return world.target(target) / "app" / backup_id / name


def staged(wiring: Wiring, kind: Kind) -> tuple[str, list[str]]:
    """The kind that a run comes to, and its warnings."""
    reference = steps.stage(wiring, "app", kind, run="asked")
    found = record(wiring, reference, "stage")
    steps.wipe(wiring, reference)
    assert found["asked"] == kind.value
    assert (found["parent"] is None) == (reference.kind == "full")
    return reference.kind, found["warnings"]


def states(world: World, target: str = "local") -> set[str]:
    """The backups whose change state is there."""
    return {path.parent.name for path in world.target(target).rglob(STATE)}


# --- a sound chain ----------------------------------------------------------------------------------


def test_an_incremental_backup_is_made_after_the_newest_and_a_differential_after_the_newest_full(
    world: World, ids: dict[str, str]
) -> None:
    for kind, name in ((Kind.INCREMENTAL, "newest"), (Kind.DIFFERENTIAL, "full")):
        found = find_parent(world.wiring(), "app", kind, BOTH)
        assert isinstance(found, PlannedParent)
        assert (found.backup_id, found.targets) == (ids[name], BOTH)
        assert found.state.size == place(world, ids[name], STATE).stat().st_size
        assert staged(world.wiring(), kind) == (kind.value, [])


def test_the_reference_names_the_parent_by_the_bytes_of_its_manifest(world: World, ids: dict[str, str]) -> None:
    found = find_parent(world.wiring(), "app", Kind.INCREMENTAL, BOTH)
    assert isinstance(found, PlannedParent)
    assert found.to_json() == {
        "backup_id": ids["newest"],
        "manifest_sha256": world.objects()[f"app/{ids['newest']}/manifest.json"],
        "state": {
            "size": place(world, ids["newest"], STATE).stat().st_size,
            "sha256": world.objects()[f"app/{ids['newest']}/{STATE}"],
        },
        "targets": ["local", "second"],
    }


def test_one_copy_of_the_state_is_enough_and_only_targets_that_hold_it_are_named(
    world: World, ids: dict[str, str]
) -> None:
    place(world, ids["newest"], STATE).unlink()
    found = find_parent(world.wiring(), "app", Kind.INCREMENTAL, BOTH)
    assert isinstance(found, PlannedParent)
    assert found.targets == ("second",)


def test_a_target_that_is_down_does_not_count(world: World, ids: dict[str, str]) -> None:
    shutil.rmtree(world.target("second"))
    world.target("second").write_text("a file where a folder should be")
    reference = steps.stage(world.wiring(), "app", Kind.INCREMENTAL, run="asked")
    planned = record(world.wiring(), reference, "stage")["parent"]
    assert (reference.kind, list(reference.down)) == ("incremental", ["second"])
    assert (planned["backup_id"], planned["targets"]) == (ids["newest"], ["local"])


def test_a_full_backup_asks_for_no_parent_and_goes_over_a_broken_chain(world: World, ids: dict[str, str]) -> None:
    place(world, ids["full"], ARCHIVE).unlink()
    assert staged(world.wiring(), Kind.FULL) == ("full", [])


# --- a broken one -----------------------------------------------------------------------------------


def no_record(number: int) -> Callable[[World, dict[str, str]], None]:
    return lambda world, ids: world.records()[number - 1].unlink()


def damaged_record(world: World, ids: dict[str, str]) -> None:
    flip(world.records()[2], 40)


def gone(name: str, what: str, *targets: str) -> Callable[[World, dict[str, str]], None]:
    def remove(world: World, ids: dict[str, str]) -> None:
        for target in targets or ("local",):
            place(world, ids[name], what, target).unlink()

    return remove


def cut(name: str, what: str, *targets: str) -> Callable[[World, dict[str, str]], None]:
    def shorten(world: World, ids: dict[str, str]) -> None:
        for target in targets or ("local",):
            path = place(world, ids[name], what, target)
            path.write_bytes(path.read_bytes()[:-1])

    return shorten


def flipped(name: str) -> Callable[[World, dict[str, str]], None]:
    return lambda world, ids: flip(place(world, ids[name], "manifest.json"), 100)


def another_manifest(world: World, ids: dict[str, str]) -> None:
    """Of another backup: it is signed by whom we trust."""
    shutil.copy(place(world, ids["full"], "manifest.json"), place(world, ids["newest"], "manifest.json"))


OTHER = "its SHA-256 is not the one that was committed"
HIDDEN = "a backup is hidden, or the target was rolled back"
BREAKS: dict[str, tuple[Callable[[World, dict[str, str]], None], str]] = {
    "the parent's record is removed": (
        no_record(3),
        "unable to read 'catalog/app': it ends at record 00000002 on target 'local', but this machine saw record "
        f"00000003: {HIDDEN}",
    ),
    "an ancestor's record is removed": (
        no_record(2),
        "unable to list 'catalog/app': record 00000002 is missing on target 'local': "
        "a backup is hidden, or was removed",
    ),
    "the parent's record is damaged": (
        damaged_record,
        "unable to read 'catalog/app/00000003-{newest}-incremental.json': it is not JSON that has a canonical form",
    ),
    "the parent's archive is removed": (
        gone("newest", ARCHIVE),
        "unable to read 'app/{newest}/default.zip.age': it is not on target 'local'",
    ),
    "the full archive is removed": (
        gone("full", ARCHIVE),
        "unable to read 'app/{full}/default.zip.age': it is not on target 'local'",
    ),
    "an ancestor's archive is cut": (
        cut("first", ARCHIVE),
        "unable to open 'app/{first}/default.zip.age': target 'local' holds {size} bytes, "
        "the manifest names another size",
    ),
    "a byte of the parent's manifest is flipped": (
        flipped("newest"),
        f"unable to verify 'app/{{newest}}/manifest.json': {OTHER}",
    ),
    "a byte of the full one's manifest is flipped": (
        flipped("full"),
        f"unable to verify 'app/{{full}}/manifest.json': {OTHER}",
    ),
    "an ancestor's manifest is removed": (
        gone("first", "manifest.json"),
        "unable to read 'app/{first}/manifest.json': it is not on target 'local'",
    ),
    "the parent's manifest is another's": (
        another_manifest,
        f"unable to verify 'app/{{newest}}/manifest.json': {OTHER}",
    ),
    "the state is on no target": (
        gone("newest", STATE, *BOTH),
        "no target holds the change state of backup '{newest}'",
    ),
    "the state is cut on every target": (
        cut("newest", STATE, *BOTH),
        "no target holds the change state of backup '{newest}'",
    ),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_chain_is_not_gone_on_with(how: str, world: World, ids: dict[str, str]) -> None:
    damage, why = BREAKS[how]
    damage(world, ids)
    size = place(world, ids["first"], ARCHIVE).stat().st_size
    warning = f"full instead of incremental: {why.format(**ids, size=size)}"
    assert staged(world.wiring(), Kind.INCREMENTAL) == ("full", [warning])


def test_another_target_that_lacks_the_parent_gets_no_chain_with_a_hole(world: World, ids: dict[str, str]) -> None:
    kept = world.target("second").rename(world.root / "kept")
    world.target("second").write_text("a file where a folder should be")
    alone = steps.stage(world.wiring(), "app", Kind.INCREMENTAL, run="alone")
    steps.wipe(world.wiring(), alone)
    world.settings["sources"]["app"]["targets"] = ["local"]
    world.save()
    later = make(world.wiring(), Kind.INCREMENTAL)
    world.settings["sources"]["app"]["targets"] = list(BOTH)
    world.save()
    world.target("second").unlink()
    kept.rename(world.target("second"))
    why = f"the newest on target 'local' is '{later}', on target 'second' '{ids['newest']}'"
    assert staged(world.wiring(), Kind.INCREMENTAL) == ("full", [f"full instead of incremental: {why}"])
    differential = find_parent(world.wiring(), "app", Kind.DIFFERENTIAL, BOTH)
    assert isinstance(differential, PlannedParent) and differential.backup_id == ids["full"], "which both have"


def test_a_clock_that_was_moved_back_makes_nothing_that_is_older_than_its_parent(
    world: World, ids: dict[str, str]
) -> None:
    wiring = world.wiring(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    taken_at = find_taken(world, ids["newest"])
    why = f"by this machine's clock backup '{ids['newest']}' was taken in the future, at {taken_at}"
    assert staged(wiring, Kind.INCREMENTAL) == ("full", [f"full instead of incremental: {why}"])


def find_taken(world: World, backup_id: str) -> str:
    return str(world.run("show", backup_id, "--json").json["manifest"]["snapshot"]["taken_at"])


def test_a_backup_that_noted_nothing_is_no_parent(world: World) -> None:
    newest = make(world.wiring(), Kind.FULL, noted=False)
    why = f"backup '{newest}' was made without change state"
    for kind in (Kind.INCREMENTAL, Kind.DIFFERENTIAL):
        assert staged(world.wiring(), kind) == ("full", [f"full instead of {kind}: {why}"])


def test_the_first_backup_is_a_full_one(world: World) -> None:
    for target in BOTH:
        shutil.rmtree(world.target(target))
    shutil.rmtree(world.root / "state")
    for kind, which in ((Kind.INCREMENTAL, ""), (Kind.DIFFERENTIAL, "full ")):
        why = f"target 'local' has no {which}backup of this source yet"
        assert staged(world.wiring(), kind) == ("full", [f"full instead of {kind}: {why}"])


def test_without_change_state_another_kind_than_full_is_refused_before_anything_is_touched(world: World) -> None:
    del world.settings["change_state"]
    world.save()
    before = world.objects()
    with pytest.raises(InvalidSetting) as caught:
        steps.stage(world.wiring(), "app", Kind.INCREMENTAL, run="asked")
    assert str(caught.value) == (
        "unable to back up 'app': 'change_state' is not set, and kind 'incremental' needs it\n"
        "hint: set it (docs/configuration.md), or make a full backup"
    )
    assert (world.objects(), world.staged()) == (before, [])
    assert staged(world.wiring(), Kind.FULL) == ("full", [])


# --- what is kept for the next one ------------------------------------------------------------------


def test_the_states_of_the_newest_and_of_the_newest_full_are_kept(world: World, ids: dict[str, str]) -> None:
    for target in BOTH:
        assert states(world, target) == {ids["full"], ids["newest"]}
    differential = make(world.wiring(), Kind.DIFFERENTIAL)
    assert states(world) == {ids["full"], differential}
    full = make(world.wiring(), Kind.FULL)
    for target in BOTH:
        assert states(world, target) == {full}


def test_a_worker_that_may_not_delete_states_commits_all_the_same_and_says_so(
    world: World, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from rlg_backup.core.errors import StorageDenied
    from rlg_backup.storage.local import LocalStorage

    def refuse(self: LocalStorage, key: str) -> None:
        raise StorageDenied("delete", key, f"target '{self.name}' refuses")

    monkeypatch.setattr(LocalStorage, "delete", refuse)
    newest = make(world.wiring(), Kind.INCREMENTAL)
    assert states(world) == {ids["full"], ids["newest"], newest}
    assert [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"] == [
        f"change states that are needed no more stay on '{target}': "
        f"unable to delete 'app/{ids['first']}/state.zip.age': target '{target}' refuses"
        for target in BOTH
    ]


# --- a full one that covers -------------------------------------------------------------------------


def covered(world: World, within: timedelta, later: timedelta = timedelta(0)) -> str | None:
    wiring = world.wiring(clock=lambda: datetime.now(UTC) + later)
    try:
        reference = steps.stage(wiring, "app", Kind.INCREMENTAL, run="asked", unless_full_within=within)
    except BackupNotNeeded as error:
        return str(error)
    steps.wipe(wiring, reference)
    return None


def test_a_full_one_committed_lately_on_every_target_makes_another_needless(world: World, ids: dict[str, str]) -> None:
    text = f"unable to back up 'app': the full backup '{ids['full']}' was committed within 12 hours"
    assert covered(world, timedelta(hours=12)) == text
    assert covered(world, timedelta(hours=12)) == text, "its leases were given back"
    assert world.staged() == []
    assert covered(world, timedelta(hours=12), later=timedelta(hours=13)) is None
    assert covered(world, timedelta(hours=12), later=-timedelta(hours=1)) is None, "by a clock that was moved back"


def test_a_full_one_that_a_target_lacks_or_that_cannot_be_read_covers_nothing(
    world: World, ids: dict[str, str]
) -> None:
    flip(world.records("second")[0], 40)
    assert covered(world, timedelta(hours=12)) is None
