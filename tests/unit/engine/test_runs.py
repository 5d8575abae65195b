"""Whole runs: staging is private, failures leave nothing behind, a target that is down does not stop the others."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest
from tests.support.verbs import STEPS, VERBS, begun, listed, run_through
from tests.support.world import EMAILS, PHONES, WORDS, World, holds_any

from rlg_backup.core.errors import (
    BackupError,
    BackupIncomplete,
    InvalidSetting,
    LeakFound,
    LeaseHeld,
    SourceUnreadable,
    StorageUnavailable,
)
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup
from rlg_backup.engine.leftovers import sweep
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference


def test_staging_is_private_and_holds_no_value_in_the_clear(world: World) -> None:
    old = os.umask(0)
    try:
        wiring = world.wiring()
        staging = world.root / "staging"
        reference = begun(wiring)
        for verb in VERBS:
            reference = STEPS[verb](wiring, reference)
            assert holds_any(staging, (*EMAILS, *PHONES, *WORDS, "CREATE TABLE", "RLG-", "people")) == []
            for path in (staging, *staging.rglob("*")):
                allowed = 0o700 if path.is_dir() else 0o600
                assert stat.S_IMODE(path.stat().st_mode) == allowed, path
    finally:
        os.umask(old)


def test_a_staging_folder_that_exists_keeps_its_mode(world: World) -> None:
    staging = world.root / "staging"
    staging.mkdir()
    staging.chmod(0o755)
    begun(world.wiring())
    assert stat.S_IMODE(staging.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in staging.rglob("*") if path.is_dir()} == {0o700}


def test_a_staging_folder_that_cannot_be_made_is_an_error_of_its_setting(world: World) -> None:
    (world.root / "staging").write_text("a file")
    before = world.objects()
    with pytest.raises(InvalidSetting) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert str(caught.value) == (
        "unable to use 'staging.folder': no folder can be made in it (not a directory)\n"
        "hint: name a folder this user may write to"
    )
    assert world.objects() == before
    (world.root / "staging").unlink()
    assert backup(world.wiring(), "app", Kind.FULL).complete  # the lease was given back


@pytest.mark.parametrize(
    "run", ["../../outside", "/etc/passwd", "..", ".", "manual__2026-11-23T02:00:00+00:00", "x" * 900]
)
def test_a_run_may_be_called_anything_and_stays_in_staging(world: World, run: str) -> None:
    wiring = world.wiring()
    around = {path for path in world.root.iterdir() if path.name not in ("staging", "backups-local", "backups-second")}
    reference = steps.stage(wiring, "app", Kind.FULL, run=run)
    staging = world.root / "staging"
    assert len(list(staging.iterdir())) == 1
    assert len(list(staging.glob("*/app/1/nonce"))) == 1
    steps.wipe(wiring, reference)
    assert world.staged() == []
    assert {p for p in world.root.iterdir() if p.name not in ("staging", "backups-local", "backups-second")} == around


def test_a_failed_run_wipes_its_staging_and_gives_its_leases_back(world: World) -> None:
    (world.root / "app.db").write_bytes(b"no database at all, " * 100)
    for _ in range(2):  # the second would meet a lease that was kept
        with pytest.raises(SourceUnreadable) as caught:
            backup(world.wiring(), "app", Kind.FULL)
        assert str(caught.value) == (f"unable to read '{world.root / 'app.db'}': it is not a SQLite database")
        assert world.staged() == []
        assert world.objects() == {}


@pytest.mark.parametrize("verb", VERBS)
def test_a_failure_in_any_verb_leaves_nothing_behind(world: World, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Planted(Exception):
        """Not one of ours: a defect, a killed process."""

    def fail(*arguments: object) -> Reference:
        raise Planted

    monkeypatch.setattr(steps, verb, fail)
    with pytest.raises(Planted):
        backup(world.wiring(), "app", Kind.FULL)
    assert world.staged() == []
    assert world.records() == []
    monkeypatch.undo()
    assert backup(world.wiring(), "app", Kind.FULL).complete


def test_an_original_value_elsewhere_stops_the_run_before_the_upload_where_it_is_to(world: World) -> None:
    with sqlite3.connect(world.root / "app.db") as database:
        database.execute("INSERT INTO people (email, note) SELECT 'p' || id || '@example.org', 'word' FROM orders")
        database.execute("UPDATE people SET note = 'write to ' || email || ' or call ' || phone WHERE id = 1")
    world.source["on_leak"] = "fail"
    world.save()
    with pytest.raises(LeakFound) as caught:
        backup(world.wiring(), "app", Kind.FULL, run="run-1")
    assert str(caught.value) == (
        "unable to go on with 'run-1/app': staged columns hold personal data in clear: "
        "people.note: original values of people.email in 1 of 103; "
        "people.note: original values of people.phone in 1 of 103\n"
        "hint: give each a policy, or accept it by name in 'personal_text_allowed'; nothing was uploaded"
    )
    assert (world.objects(), world.staged()) == ({}, [])


def test_one_target_down_from_the_start_is_said_and_the_other_has_the_backup(world: World) -> None:
    world.target("second").write_text("a file where a folder should be")
    done = backup(world.wiring(), "app", Kind.FULL)
    assert done.committed == {"local": 1}
    assert list(done.missing) == ["second"]
    assert not done.complete
    assert listed(world.wiring()) == [done.backup_id]


def test_an_upload_to_a_target_that_was_down_is_refused(world: World) -> None:
    world.target("second").write_text("a file where a folder should be")
    wiring = world.wiring()
    reference = run_through(wiring, "checksum")
    with pytest.raises(StorageUnavailable) as caught:
        steps.upload(wiring, reference, "second")
    assert str(caught.value) == "unable to reach 'second': it did not answer when the run began"


def test_a_target_lost_during_the_run_does_not_stop_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = steps.upload

    def upload(wiring: Wiring, reference: Reference, target: str) -> Reference:
        if target == "local":
            raise StorageUnavailable("store", "x", "planted")
        return real(wiring, reference, target)

    monkeypatch.setattr(steps, "upload", upload)
    done = backup(world.wiring(), "app", Kind.FULL)
    assert (done.committed, done.missing) == ({"second": 1}, {"local": "unable to store 'x': planted"})


def test_when_every_copy_fails_the_error_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def upload(wiring: Wiring, reference: Reference, target: str) -> Reference:
        raise StorageUnavailable("store", target, "planted")

    monkeypatch.setattr(steps, "upload", upload)
    with pytest.raises(BackupIncomplete) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    backup_id = caught.value.subject
    assert str(caught.value) == (
        f"unable to copy '{backup_id}': no target has it "
        "(local: unable to store 'local': planted; second: unable to store 'second': planted)"
    )
    assert (world.objects(), world.staged()) == ({}, [])


def test_a_second_run_is_told_who_is_at_work(world: World) -> None:
    wiring = world.wiring()
    reference = begun(wiring)
    with pytest.raises(LeaseHeld) as caught:
        steps.stage(world.wiring(), "app", Kind.FULL, run="run-2")
    ends = caught.value.cause.rpartition(" until ")[2]
    assert str(caught.value) == (
        f"unable to lease 'app': '{os.uname().nodename}/{os.getpid()}/run-1' holds it on target 'local' until {ends}\n"
        "hint: wait until that run ends, or its lease runs out"
    )
    assert len(world.staged()) > 0  # the first run's staging is untouched
    steps.wipe(wiring, reference)
    assert backup(world.wiring(), "app", Kind.FULL).complete


def test_what_dead_runs_left_is_removed_and_what_lives_is_not(world: World, tmp_path: Path) -> None:
    root = tmp_path / "staging"
    for name in ("dead", "living"):
        (root / name / "app" / "1").mkdir(parents=True)
        (root / name / "app" / "1" / "nonce").write_bytes(b"")
    long_ago = time.time() - 25 * 3600
    for path in (root / "dead").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    os.utime(root / "dead", (long_ago, long_ago))
    os.utime(root / "living", (long_ago, long_ago))
    assert sweep(root, older_than_hours=24) == ["dead"]
    assert [path.name for path in root.iterdir()] == ["living"]
    assert sweep(tmp_path / "nowhere", older_than_hours=24) == []


def test_every_error_of_a_step_is_one_of_ours(world: World) -> None:
    """An unreadable staging key ends in a named error before a lease is taken."""
    world.settings["staging"]["key"] = "file:keys/nowhere"
    world.save()
    with pytest.raises(BackupError) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert str(caught.value) == "unable to read 'file:keys/nowhere': there is no such file"
