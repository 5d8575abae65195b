"""Runs against what goes wrong around them: a killed try, a shared staging folder, a slow upload, a wrong key."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.support.verbs import run_through
from tests.support.world import World

from rlg_backup.core.errors import LeaseHeld, LeaseLost, SignerUnknown, StagingLost
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.backup import backup
from rlg_backup.engine.heartbeat import heartbeat
from rlg_backup.engine.leftovers import sweep
from rlg_backup.format.keys import SigningKey

LONG_AGO = time.time() - 72 * 3600


def age(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (LONG_AGO, LONG_AGO))


def test_a_retry_of_a_killed_try_takes_over_its_lease_and_its_disk(world: World) -> None:
    wiring = world.wiring()
    killed = steps.stage(wiring, "app", Kind.FULL, run="run-1", attempt=1)
    run_through(wiring, "snapshot", killed)
    retried = steps.stage(world.wiring(), "app", Kind.FULL, run="run-1", attempt=2)
    assert {path for path in world.staged() if path.count("/") == 2} == {"run-1/app/2"}
    reference = run_through(wiring, "commit", retried)
    assert set(reference.leases) == {"local", "second"}
    assert [len(world.records(target)) for target in ("local", "second")] == [1, 1]


def test_a_try_whose_lease_its_retry_took_can_commit_no_more(world: World) -> None:
    wiring = world.wiring()
    frozen = steps.stage(wiring, "app", Kind.FULL, run="run-1", attempt=1)
    steps.stage(world.wiring(), "app", Kind.FULL, run="run-1", attempt=2)
    for target, state in frozen.leases.items():
        with pytest.raises(LeaseLost):
            wiring.lease(target, state).renew()
    with pytest.raises(StagingLost):
        steps.snapshot(wiring, frozen)


@pytest.mark.parametrize("other", ["run-2", "run-1/x", "x/run-1", "run-"])
def test_a_lease_of_another_run_is_not_taken_over(world: World, other: str) -> None:
    steps.stage(world.wiring(), "app", Kind.FULL, run="run-1")
    with pytest.raises(LeaseHeld):
        steps.stage(world.wiring(), "app", Kind.FULL, run=other, attempt=2)


def test_names_so_long_that_they_are_cut_are_not_taken_for_one(world: World) -> None:
    steps.stage(world.wiring(), "app", Kind.FULL, run="r" * 300 + "1")
    with pytest.raises(LeaseHeld):
        steps.stage(world.wiring(), "app", Kind.FULL, run="r" * 300 + "2", attempt=2)


@pytest.mark.parametrize("name", ["photos/2020/a.jpg", "photos/a.jpg", "notes", "app/app/1/other", "restore-1/file"])
def test_the_sweep_leaves_what_others_keep_in_a_shared_staging_folder(world: World, name: str) -> None:
    theirs = world.root / "staging" / name
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_bytes(b"of a colleague")
    age(world.root / "staging")
    assert backup(world.wiring(), "app", Kind.FULL).complete
    assert theirs.read_bytes() == b"of a colleague"


def test_the_sweep_follows_no_link_and_removes_what_a_killed_restore_left(tmp_path: Path) -> None:
    root, outside = tmp_path / "staging", tmp_path / "outside"
    for folder in (outside / "app" / "1", root / "restore-0123456789ab"):
        folder.mkdir(parents=True)
        (folder / "nonce").write_bytes(b"")
    (root / "link").symlink_to(outside)
    age(outside)
    age(root)
    assert sweep(root, older_than_hours=24) == ["restore-0123456789ab"]
    assert (outside / "app" / "1" / "nonce").exists()


def test_a_run_whose_upload_takes_days_is_not_swept_by_another(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "checksum")
    age(world.root / "staging")
    with heartbeat(wiring, reference):
        assert sweep(world.root / "staging", older_than_hours=24) == []
    age(world.root / "staging")
    assert sweep(world.root / "staging", older_than_hours=24) == ["run-1"]


def test_a_signing_key_that_nobody_trusts_is_refused_before_anything_is_written(world: World) -> None:
    world.settings["signing"]["trusted"] = [SigningKey.generate().signer.text]
    world.save()
    wiring = world.wiring()
    with pytest.raises(SignerUnknown) as caught:
        backup(wiring, "app", Kind.FULL)
    assert str(caught.value) == (
        f"unable to sign with '{wiring.signing_key.key_id}': "
        "'signing.trusted' does not name it, so nobody would believe the backup\n"
        "hint: add the public half of signing.key to signing.trusted"
    )
    assert (world.targets, world.staged()) == ([], [])


def test_a_staged_archive_that_is_gone_is_told_without_a_traceback(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "encrypt")
    (world.root / "staging" / "run-1" / "app" / "1" / ARCHIVE).unlink()
    with pytest.raises(StagingLost) as caught:
        steps.checksum(wiring, reference)
    assert str(caught.value) == f"unable to read '{ARCHIVE}': No such file or directory"


def test_a_commit_that_is_run_again_gives_the_same_result(world: World) -> None:
    """A worker that dies between the commit and its answer."""
    wiring = world.wiring()
    validated = run_through(wiring, "validate")
    first = steps.commit(wiring, validated)
    before = world.objects(), world.objects("second")
    again = steps.commit(world.wiring(), validated)
    assert again == first
    assert (world.objects(), world.objects("second")) == before
