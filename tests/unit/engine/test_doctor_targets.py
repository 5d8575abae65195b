"""What the doctor says of a target: what must not be, what is a risk, and what it was not told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.world import World

from rlg_backup.config.targets import LocalTarget, S3Target
from rlg_backup.engine.doctor_targets import faults, together, told
from rlg_backup.storage.port import TargetFacts

BUCKET = S3Target(type="s3", bucket="b")
LOCKED = S3Target(type="s3", bucket="b", lock="compliance")
GOOD = TargetFacts("eu-west-1", versioned=True, locks=True, public=False, clock_skew=timedelta(0), may_delete=False)


def test_a_sound_target_is_told_as_it_is() -> None:
    for settings in (BUCKET, LOCKED):
        assert list(faults(settings, GOOD)) == []
        assert told(settings, GOOD) == "region eu-west-1, keeps versions, keeps locks, not public"


@pytest.mark.parametrize(
    ("settings", "facts", "fault"),
    [
        (BUCKET, TargetFacts(public=True), "strangers may read or list it: close public access"),
        (
            LOCKED,
            TargetFacts(locks=False),
            "it keeps no locks, which targets.NAME.lock asks for: no backup will be stored there",
        ),
        (
            BUCKET,
            TargetFacts(clock_skew=timedelta(minutes=-7)),
            "its clock is 0:07:00 behind ours: set this machine's",
        ),
        (BUCKET, TargetFacts(clock_skew=timedelta(hours=1)), "its clock is 1:00:00 ahead of ours: set this machine's"),
    ],
)
def test_what_must_not_be_is_a_fault(settings: S3Target, facts: TargetFacts, fault: str) -> None:
    assert list(faults(settings, facts)) == [fault]


def test_what_is_not_told_is_no_fault_and_is_not_called_good() -> None:
    assert list(faults(LOCKED, TargetFacts())) == []
    assert told(BUCKET, TargetFacts()) == "not told: region, versions, locks, public access, the right to delete"


def test_a_worker_that_may_delete_what_is_not_locked_is_a_warning() -> None:
    able = TargetFacts("r", versioned=False, locks=False, public=False, may_delete=True)
    assert told(BUCKET, able) == (
        "region r, keeps no versions, keeps no locks, not public; "
        "warning: these credentials may delete backups for good; set lock, or take that right away"
    )
    assert "warning" not in told(LOCKED, TargetFacts("r", True, True, False, None, True))


def test_a_folder_is_asked_for_what_folders_have() -> None:
    folder = LocalTarget(type="local", path=Path("/backups"))
    assert told(folder, TargetFacts(locks=False)) == "a folder, keeps no locks"


def test_a_target_on_the_device_of_a_source_is_told(world: World) -> None:
    assert together(world.wiring(), "local") == ["app"]
    world.settings["targets"]["local"]["path"] = "/dev/rlg-nowhere/deeper"
    world.save()
    assert together(world.wiring(), "local") == []
    assert not Path("/dev/rlg-nowhere").exists()
