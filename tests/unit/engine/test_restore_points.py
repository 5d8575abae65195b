"""Which restore point a text names, over several targets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.world import World

from rlg_backup.core.errors import BackupNotFound
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import choose, list_points

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def hourly(template: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, list[str]]]:
    """Three backups in one second, then one an hour later, all on two targets."""
    world = template.copy(tmp_path_factory.mktemp("points") / "world")
    moments = [START, START, START, START + timedelta(hours=1)]
    ids = []
    for moment in moments:
        wiring = world.wiring(clock=lambda moment=moment: moment)
        ids.append(backup(wiring, "app", Kind.FULL).backup_id)
    yield world, ids


def test_backups_of_one_second_are_listed_in_the_order_they_were_committed(hourly: tuple[World, list[str]]) -> None:
    world, ids = hourly
    listing = list_points(world.wiring(), "app")
    assert [point.backup_id for point in listing.points] == ids
    assert [[(copy.target, copy.sequence) for copy in point.copies] for point in listing.points] == [
        [("local", number), ("second", number)] for number in (1, 2, 3, 4)
    ]
    assert listing.unreadable == {}


@pytest.mark.parametrize(
    ("which", "number"),
    [
        ("latest", 4),
        ("2026-11-23T02:00:00Z", 3),  # of three in that second the last committed
        ("2026-11-23T02:59:59+00:00", 3),
        ("2026-11-23T05:00:00+02:00", 4),
        ("2099-01-01", 4),
    ],
)
def test_a_time_names_the_newest_backup_that_is_not_after_it(
    hourly: tuple[World, list[str]], which: str, number: int
) -> None:
    world, ids = hourly
    chosen = choose(world.wiring(), "app", which)
    assert (chosen.point.backup_id, chosen.target) == (ids[number - 1], "local")
    assert choose(world.wiring(), "app", which, target="second").target == "second"


def test_an_id_or_its_beginning_names_one_backup_and_is_refused_when_it_names_more(
    hourly: tuple[World, list[str]],
) -> None:
    world, ids = hourly
    for name in ids:
        assert choose(world.wiring(), "app", name).point.backup_id == name
    assert choose(world.wiring(), "app", "20261123T03").point.backup_id == ids[3]
    with pytest.raises(BackupNotFound) as caught:
        choose(world.wiring(), "app", "20261123T02")
    assert str(caught.value) == (
        "unable to find '20261123T02': 3 backups on target 'local' begin with it\n"
        f"hint: there is {ids[0]} and {ids[1]} and {ids[2]}"
    )


def test_a_time_before_the_first_backup_is_refused(hourly: tuple[World, list[str]]) -> None:
    with pytest.raises(BackupNotFound) as caught:
        choose(hourly[0].wiring(), "app", "2026-11-23T01:59:59Z")
    assert str(caught.value) == (
        "unable to find '2026-11-23T01:59:59+00:00': source 'app' has no backup on local, second that old\n"
        "hint: 'rlg-backup list' shows what there is"
    )


@pytest.mark.parametrize("later", [0, 1], ids=["in the same second", "a second later"])
def test_the_newest_backup_is_found_on_whichever_target_has_it(world: World, later: int) -> None:
    first = backup(world.wiring(clock=lambda: START), "app", Kind.FULL).backup_id
    world.source["targets"] = ["second"]
    world.save()
    second = backup(world.wiring(clock=lambda: START + timedelta(seconds=later)), "app", Kind.FULL).backup_id
    world.source["targets"] = ["local", "second"]
    world.save()
    chosen = choose(world.wiring(), "app")
    assert (chosen.point.backup_id, chosen.target, dict(chosen.unasked)) == (second, "second", {})
    assert choose(world.wiring(), "app", "latest", target="local").point.backup_id == first
    assert choose(world.wiring(), "app", second).target == "second"


def test_a_source_that_was_never_backed_up_has_no_latest(world: World) -> None:
    with pytest.raises(BackupNotFound) as caught:
        choose(world.wiring(), "app")
    assert str(caught.value) == (
        "unable to find 'latest': source 'app' has no backup on local, second\nhint: make one with 'rlg-backup backup'"
    )


def test_a_time_without_a_zone_is_in_the_zone_of_the_configuration(hourly: tuple[World, list[str]]) -> None:
    world, ids = hourly
    world.settings["timezone"] = "Africa/Johannesburg"
    world.save()
    try:
        assert choose(world.wiring(), "app", "2026-11-23 04:30").point.backup_id == ids[2]
    finally:
        world.settings["timezone"] = "UTC"
        world.save()
    assert choose(world.wiring(), "app", "2026-11-23 04:30").point.backup_id == ids[3]


def test_a_backup_begun_before_a_time_and_read_after_it_is_not_of_that_time(template: World, tmp_path: Path) -> None:
    world = template.copy(tmp_path / "world")
    moment = START

    def later() -> datetime:
        """A worker that waits an hour between taking the lease and reading."""
        return moment

    first = backup(world.wiring(clock=later), "app", Kind.FULL).backup_id
    moment = START + timedelta(hours=1)
    wiring = world.wiring(clock=later)
    reference = steps.stage(wiring, "app", Kind.FULL, run="slow")
    moment = START + timedelta(hours=2)
    for step in (steps.snapshot, steps.anonymize, steps.encrypt, steps.checksum):
        reference = step(wiring, reference)
    for target in ("local", "second"):
        reference = steps.validate(wiring, steps.upload(wiring, reference, target), target)
    reference = steps.commit(wiring, reference)
    assert choose(world.wiring(), "app", "2026-11-23T03:30:00Z").point.backup_id == first
    assert choose(world.wiring(), "app", "2026-11-23T04:00:00Z").point.backup_id == reference.backup_id
