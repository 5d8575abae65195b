"""The verbs of a backup one by one: none can be left out, each can be run again, none leaves anything behind."""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.world import EMAILS, PHONES, WORDS, World, holds_any

from rlg_backup import __version__
from rlg_backup.core.errors import (
    BackupError,
    BackupIncomplete,
    EngineMismatch,
    InvalidSetting,
    LeakFound,
    LeaseHeld,
    ObjectDamaged,
    SourceUnreadable,
    StagingLost,
    StepSkipped,
    StorageUnavailable,
)
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.backup import backup, result
from rlg_backup.engine.restore_points import list_points
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference, Workspace, sweep

VERBS = ("snapshot", "anonymize", "encrypt", "checksum", "upload", "validate", "commit")
Step = Callable[[Wiring, Reference], Reference]


def everywhere(step: Callable[[Wiring, Reference, str], Reference]) -> Step:
    """A step of each target as one step of all."""

    def run(wiring: Wiring, reference: Reference) -> Reference:
        targets = wiring.source_settings("app").targets
        return Reference.merge([reference, *(step(wiring, reference, target) for target in targets)])

    return run


STEPS: dict[str, Step] = {
    "snapshot": steps.snapshot,
    "anonymize": steps.anonymize,
    "encrypt": steps.encrypt,
    "checksum": steps.checksum,
    "upload": everywhere(steps.upload),
    "validate": everywhere(steps.validate),
    "commit": steps.commit,
}


def begun(wiring: Wiring) -> Reference:
    return steps.stage(wiring, "app", Kind.FULL, run="run-1")


def run_through(wiring: Wiring, last: str, reference: Reference | None = None) -> Reference:
    """All steps up to and with ``last``."""
    reference = reference or begun(wiring)
    for verb in VERBS[: VERBS.index(last) + 1]:
        reference = STEPS[verb](wiring, reference)
    return reference


def listed(wiring: Wiring) -> list[str]:
    return [point.backup_id for point in list_points(wiring, "app").points]


SKIPPED = {  # the verb left out > the verb that notices, what it says is missing
    "snapshot": ("anonymize", "snapshot"),
    "anonymize": ("encrypt", "anonymize"),
    "encrypt": ("checksum", "encrypt"),
    "checksum": ("upload", "checksum"),
    "upload": ("validate", "upload-local"),
}


@pytest.mark.parametrize("left_out", SKIPPED)
def test_a_verb_left_out_stops_the_next_one(world: World, left_out: str) -> None:
    wiring = world.wiring()
    notices, missing = SKIPPED[left_out]
    reference = begun(wiring)
    for verb in VERBS[: VERBS.index(left_out)]:
        reference = STEPS[verb](wiring, reference)
    with pytest.raises(StepSkipped) as caught:
        STEPS[notices](wiring, reference)
    assert str(caught.value) == (
        f"unable to go on with 'run-1/app': the step '{missing}' did not run\nhint: clear the run from 'stage'"
    )
    assert listed(wiring) == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_after_another_verb_was_left_out_refuses_too(world: World, verb: str) -> None:
    """Taking the first verb out is noticed by all the others, not only by the second."""
    wiring = world.wiring()
    reference = begun(wiring)
    if verb == "snapshot":
        reference = dataclasses.replace(reference, records={})
    with pytest.raises(StepSkipped):
        STEPS[verb](wiring, reference)
    assert listed(wiring) == []


def test_without_validate_nothing_is_committed(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "upload")
    with pytest.raises(BackupIncomplete) as caught:
        steps.commit(wiring, reference)
    assert str(caught.value) == (
        f"unable to commit '{reference.backup_id}': no copy could be committed "
        "(local: its copy was not validated; second: its copy was not validated)"
    )
    assert listed(wiring) == []


def test_without_commit_the_run_has_no_result(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "validate")
    with pytest.raises(StepSkipped) as caught:
        result(wiring, reference)
    assert str(caught.value) == (
        "unable to go on with 'run-1/app': the step 'commit' did not run\nhint: clear the run from 'stage'"
    )


def test_without_stage_there_is_no_workspace(world: World) -> None:
    made_up = Reference("run-1", "app", 1, "0" * 64, "20261123T020000Z-00000000", "full")
    for step in STEPS.values():
        with pytest.raises((StagingLost, StepSkipped)):
            step(world.wiring(), made_up)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_staging_was_wiped_says_so(world: World, verb: str) -> None:
    wiring = world.wiring()
    reference = begun(wiring)
    if verb != "snapshot":
        reference = run_through(wiring, VERBS[VERBS.index(verb) - 1], reference)
    steps.wipe(wiring, reference)
    with pytest.raises(StagingLost) as caught:
        STEPS[verb](wiring, reference)
    assert str(caught.value) == (
        "unable to go on with 'run-1/app': "
        "its staging folder was wiped, belongs to another try, or is on another worker\n"
        "hint: clear the run from 'stage'; where workers share no disk set staging.mode: local"
    )


def test_another_tries_folder_is_not_taken_for_ones_own(world: World) -> None:
    wiring = world.wiring()
    first = run_through(wiring, "snapshot")
    for target, state in first.leases.items():
        wiring.lease(target, state).release()
    begun(wiring)  # of the same name: it takes the folder's place
    with pytest.raises(StagingLost):
        steps.anonymize(wiring, first)


def test_a_reference_of_another_engine_is_refused(world: World) -> None:
    value = begun(world.wiring()).to_json()
    assert Reference.from_json(value).to_json() == value
    with pytest.raises(EngineMismatch) as caught:
        Reference.from_json(value | {"engine": "0.0.9"})
    assert str(caught.value) == (
        f"unable to go on with 'run-1': the step before ran with version 0.0.9 of the engine, this is {__version__}\n"
        "hint: clear the run from its first step, so that one version does all of it"
    )


def test_a_record_that_was_replaced_is_noticed(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "anonymize")
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    workspace.put_record("anonymize", {"checked_members": 9, "hits": 0, "undeclared": 0, "warnings": []})
    with pytest.raises(ObjectDamaged) as caught:
        steps.encrypt(wiring, reference)
    assert str(caught.value) == "unable to go on after 'anonymize': its record is not the one it handed on"


@pytest.mark.parametrize("verb", VERBS)
def test_a_step_run_again_ends_as_the_first_time(world: World, verb: str) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "snapshot")
    for later in VERBS[1:]:
        before = reference
        reference = STEPS[later](wiring, before)
        if later == verb:
            reference = STEPS[later](wiring, before)
    if verb == "snapshot":
        reference = run_through(wiring, "checksum", reference)  # its archive is another one: only before the upload
        assert listed(wiring) == [reference.backup_id]
        return
    done = result(wiring, reference)
    assert (done.committed, done.missing) == ({"local": 1, "second": 1}, {})
    assert listed(wiring) == [reference.backup_id]
    steps.wipe(wiring, reference)
    steps.wipe(wiring, reference)
    assert world.staged() == []


def test_the_snapshot_run_again_replaces_what_it_staged(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "snapshot")
    first = world.staged()
    reference = steps.snapshot(wiring, reference)
    assert world.staged() == first
    for verb in VERBS[1:]:
        reference = STEPS[verb](wiring, reference)
    assert result(wiring, reference).complete


def test_an_upload_after_other_bytes_took_its_name_is_refused(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "upload")
    again = steps.encrypt(wiring, reference)  # a new file key: another archive
    again = steps.checksum(wiring, again)
    with pytest.raises(ObjectDamaged) as caught:
        steps.upload(wiring, again, "local")
    assert str(caught.value) == (
        f"unable to upload 'app/{reference.backup_id}/{ARCHIVE}': the target 'local' holds other bytes under that name"
    )


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


def test_the_staged_archive_changed_after_it_was_written_is_not_signed(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "encrypt")
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    flip(workspace.path(ARCHIVE), 300)
    with pytest.raises(ObjectDamaged) as caught:
        steps.checksum(wiring, reference)
    assert str(caught.value) == "unable to check 'default.zip.age': the disk gives back other bytes than were written"
    assert world.objects() == {}


def test_the_staged_archive_changed_after_its_check_is_not_uploaded(world: World) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "checksum")
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    flip(workspace.path(ARCHIVE), 300)
    with pytest.raises(ObjectDamaged) as caught:
        steps.upload(wiring, reference, "local")
    assert str(caught.value) == (
        f"unable to store 'app/{reference.backup_id}/{ARCHIVE}': the file to store does not have the promised SHA-256; "
        "nothing was stored"
    )
    assert world.objects() == {}


@pytest.mark.parametrize("name", [ARCHIVE, "manifest.json"])
def test_an_object_that_rots_on_the_target_is_not_committed(world: World, name: str) -> None:
    wiring = world.wiring()
    reference = run_through(wiring, "upload")
    flip(world.target() / "app" / reference.backup_id / name, 100)
    with pytest.raises(ObjectDamaged) as caught:
        steps.validate(wiring, reference, "local")
    assert str(caught.value) == (
        f"unable to validate 'app/{reference.backup_id}/{name}': "
        "the target 'local' gives back other bytes than were sent"
    )
    sound = steps.validate(wiring, reference, "second")
    done = result(wiring, steps.commit(wiring, sound))
    assert (done.committed, done.missing) == ({"second": 1}, {"local": "its copy was not validated"})
    assert not done.complete
    assert world.records("local") == []


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


def test_personal_data_without_a_policy_stops_the_run_before_the_upload(world: World) -> None:
    del world.source["policies"]
    world.save()
    with pytest.raises(LeakFound) as caught:
        backup(world.wiring(), "app", Kind.FULL, run="run-1")
    assert str(caught.value) == (
        "unable to go on with 'run-1/app': staged columns hold personal data in clear: "
        "people.email: email in 3 of 3; people.phone: phone in 3 of 3\n"
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


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_every_error_of_a_step_is_one_of_ours(world: World) -> None:
    """An unreadable staging key ends in a named error before a lease is taken."""
    world.settings["staging"]["key"] = "file:keys/nowhere"
    world.save()
    with pytest.raises(BackupError) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert str(caught.value) == "unable to read 'file:keys/nowhere': there is no such file"
