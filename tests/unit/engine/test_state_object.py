"""The change state beside an archive: encrypted to readers of its own, checked and copied as the archive is."""

from __future__ import annotations

import json

import pytest
from tests.support.verbs import STEPS, VERBS, flip, run_through
from tests.support.world import World

from rlg_backup.core.errors import ObjectDamaged, WrongIdentity
from rlg_backup.engine import steps
from rlg_backup.engine.archives import STATE
from rlg_backup.engine.wiring import Wiring
from rlg_backup.engine.workspace import Reference, Workspace
from rlg_backup.format.age import Identity, SeekableAgeReader
from rlg_backup.format.container import ZipReader


def noted(wiring: Wiring, members: int = 1) -> Reference:
    """A run whose snapshot noted something for the next one: here the README of its archive."""
    reference = run_through(wiring, "snapshot")
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    staged = workspace.record("snapshot")
    return workspace.put_record("snapshot", {**staged, "state_members": staged["members"][:members]})


def through(wiring: Wiring, reference: Reference, last: str) -> Reference:
    for verb in VERBS[1 : VERBS.index(last) + 1]:
        reference = STEPS[verb](wiring, reference)
    return reference


def opened(data: bytes, identities: list[Identity]) -> ZipReader:
    reader = SeekableAgeReader(lambda offset, length: data[offset : offset + length], len(data), identities)
    return ZipReader.locate(reader.read_at, reader.size)


def test_it_is_on_every_target_and_opens_for_the_state_identity_alone(world: World) -> None:
    wiring = world.wiring()
    reference = through(wiring, noted(wiring), "commit")
    for target in ("local", "second"):
        folder = world.target(target) / "app" / reference.backup_id
        data = (folder / STATE).read_bytes()
        named = json.loads((folder / "manifest.json").read_text())["signed"]["state"]
        assert named == {"size": len(data), "sha256": world.objects(target)[f"app/{reference.backup_id}/{STATE}"]}
    assert list(opened(data, wiring.state_identities).members) == ["README.txt"]
    with pytest.raises(WrongIdentity):
        opened(data, wiring.identities())


def test_a_snapshot_that_notes_nothing_leaves_no_state(world: World) -> None:
    wiring = world.wiring()
    reference = through(wiring, noted(wiring, members=0), "commit")
    folder = world.target() / "app" / reference.backup_id
    assert sorted(path.name for path in folder.iterdir()) == ["default.zip.age", "manifest.json"]
    assert json.loads((folder / "manifest.json").read_text())["signed"]["state"] is None


def test_one_that_was_changed_in_staging_is_not_signed(world: World) -> None:
    wiring = world.wiring()
    reference = through(wiring, noted(wiring), "encrypt")
    flip(Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference).path(STATE), 300)
    with pytest.raises(ObjectDamaged) as caught:
        steps.checksum(wiring, reference)
    assert str(caught.value) == "unable to check 'state.zip.age': the disk gives back other bytes than were written"


def test_one_that_rots_on_its_way_is_not_committed(world: World) -> None:
    wiring = world.wiring()
    reference = through(wiring, noted(wiring), "upload")
    flip(world.target() / "app" / reference.backup_id / STATE, 300)
    with pytest.raises(ObjectDamaged) as caught:
        steps.validate(wiring, reference, "local")
    assert str(caught.value) == (
        f"unable to validate 'app/{reference.backup_id}/state.zip.age': "
        "the target 'local' gives back other bytes than were sent"
    )


def test_the_steps_run_again_take_its_place(world: World) -> None:
    wiring = world.wiring()
    reference = noted(wiring)
    for verb in ("anonymize", "encrypt", "checksum", "upload"):
        reference = STEPS[verb](wiring, reference)
        if verb != "upload":
            reference = STEPS[verb](wiring, reference)
    assert STEPS["upload"](wiring, reference).records == reference.records
