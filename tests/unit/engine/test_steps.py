"""The verbs of a backup one by one: none can be left out, each can be run again, none leaves anything behind."""

from __future__ import annotations

import dataclasses

import pytest
from tests.support.verbs import STEPS, VERBS, begun, flip, listed, run_through
from tests.support.world import World

from rlg_backup import __version__
from rlg_backup.core.errors import (
    BackupIncomplete,
    EngineMismatch,
    ObjectDamaged,
    StagingLost,
    StepSkipped,
)
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE
from rlg_backup.engine.backup import result
from rlg_backup.engine.workspace import Reference, Workspace

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
    name = f"app/{reference.backup_id}/manifest.json"
    assert str(caught.value) == f"unable to upload '{name}': the target 'local' holds other bytes under that name"
    (world.target() / name).unlink()
    with pytest.raises(ObjectDamaged) as caught:
        steps.upload(wiring, again, "local")
    name = f"app/{reference.backup_id}/{ARCHIVE}"
    assert str(caught.value) == f"unable to upload '{name}': the target 'local' holds other bytes under that name"


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
    assert list(world.objects()) == [f"app/{reference.backup_id}/manifest.json"], "which nobody lists"


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
