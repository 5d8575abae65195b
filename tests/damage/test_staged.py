"""Staged files on a worker's own disk: each byte of each, each in the place of another, before every step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tests.damage.tiny import Tiny
from tests.damage.trials import BROKEN, all_refused, every_damage
from tests.support.verbs import STEPS, VERBS, begun, run_through

from rlg_backup.core.errors import BackupError, ObjectDamaged, PayloadDamaged, StagingLost
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE, STATE
from rlg_backup.engine.restore_points import list_points
from rlg_backup.engine.workspace import Reference, Workspace
from rlg_backup.format.age import PayloadReader

# Which files a step must be able to rely on; it may not look at any other.
READS = {
    "snapshot": ("nonce", "stage.record"),
    # Of the members the table's part and the definitions: not README.txt, which is the first, nor the profile.
    "anonymize": ("nonce", "snapshot.record", "originals", "member-00000[234]"),
    "encrypt": ("nonce", "snapshot.record", "anonymize.record", "member-*", "state-*"),
    "checksum": ("nonce", "snapshot.record", "anonymize.record", "encrypt.record", ARCHIVE, STATE),
    "upload": ("nonce", "checksum.record", "manifest.json", ARCHIVE, STATE),
    "validate": ("nonce", "checksum.record", "upload-local.record"),
    "commit": ("nonce", "checksum.record", "snapshot.record", "stage.record"),
}
DAMAGED = (PayloadDamaged, ObjectDamaged, StagingLost)


@pytest.fixture
def staged(tiny: Tiny) -> Iterator[tuple[Tiny, Reference, Workspace]]:
    """A run that has come as far as its manifest."""
    reference = run_through(tiny.wiring, "checksum")
    settings = tiny.wiring.settings.staging
    yield tiny, reference, Workspace.resume(settings.folder, tiny.wiring.staging_key, reference)
    steps.wipe(tiny.wiring, reference)
    assert tiny.world.staged() == []


def encrypted_files(workspace: Workspace) -> list[str]:
    """Those that are encrypted under the run's key: all but the nonce, and what is age's."""
    return sorted(path.name for path in workspace.folder.iterdir() if path.name not in ("nonce", ARCHIVE, STATE))


def read(workspace: Workspace, name: str) -> bytes:
    with workspace.open_file(name) as file:
        return file.read()


def test_every_flipped_byte_cut_and_growth_of_every_staged_file_is_an_error(
    staged: tuple[Tiny, Reference, Workspace],
) -> None:
    """The payload reader as a step uses it, under the key that FORMAT.md, section 8, says."""
    tiny, _, workspace = staged
    names = encrypted_files(workspace)
    assert len([name for name in names if name.startswith("member-")]) == 5
    assert len([name for name in names if name.endswith(".record")]) == 5
    nonce = workspace.path("nonce").read_bytes()
    for name in names:
        sound, key = (
            workspace.path(name).read_bytes(),
            tiny.wiring.staging_key.file_key(nonce, "run-1", "app", "1", name),
        )

        def use(data: bytes, key: bytes = key) -> bytes:
            return PayloadReader(io.BytesIO(data), key).read()

        assert use(sound) == read(workspace, name)
        all_refused(every_damage(sound), use, PayloadDamaged)


def test_a_staged_file_in_the_place_of_another_one_or_of_another_run_is_an_error(
    staged: tuple[Tiny, Reference, Workspace],
) -> None:
    tiny, _, workspace = staged
    names = encrypted_files(workspace)
    sound = {name: workspace.path(name).read_bytes() for name in names}
    other = steps.stage(tiny.wiring, "tree", Kind.FULL, run="another")
    other_workspace = Workspace.resume(tiny.wiring.settings.staging.folder, tiny.wiring.staging_key, other)
    foreign = other_workspace.path("stage.record").read_bytes()
    unnoticed = []
    for name in names:
        for origin, data in (*sound.items(), ("another run", foreign)):
            if origin != name:
                workspace.path(name).write_bytes(data)
                try:
                    read(workspace, name)
                except PayloadDamaged:
                    continue
                unnoticed.append((name, origin))
        workspace.path(name).write_bytes(sound[name])
    steps.wipe(tiny.wiring, other)
    assert not unnoticed, f"{BROKEN}: {unnoticed}"


def test_a_record_of_the_same_step_written_earlier_is_not_taken_for_the_one_handed_on(
    staged: tuple[Tiny, Reference, Workspace],
) -> None:
    """It is authentic, of this very try and step: only its digest in the reference tells."""
    tiny, reference, workspace = staged
    path = workspace.path("snapshot.record")
    old = path.read_bytes()
    again = steps.snapshot(tiny.wiring, reference)
    path.write_bytes(old)
    with pytest.raises(ObjectDamaged) as caught:
        steps.anonymize(tiny.wiring, again)
    assert str(caught.value) == "unable to go on after 'snapshot': its record is not the one it handed on"


@pytest.mark.parametrize("damage", ["first byte", "last byte", "cut", "empty", "grown", "gone"])
def test_a_step_that_relies_on_a_damaged_file_fails_and_nothing_is_listed(tiny: Tiny, damage: str) -> None:
    """And one that succeeds does not look at it: for every step, every file there is before it."""
    wiring = tiny.wiring
    reference = begun(wiring)
    folder = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference).folder
    before = {point.backup_id for point in list_points(wiring, "app").points}
    wrong: list[str] = []
    for verb in VERBS:
        sound = {path.name: path.read_bytes() for path in folder.iterdir()}
        names = sorted(sound)
        relied = [name for name in names if relies(verb, name)]
        assert len(relied) >= 2
        for name in [*relied, *(name for name in names if name not in relied)]:
            spoil(folder / name, damage)
            try:
                STEPS[verb](wiring, reference)
            except BackupError as error:
                assert type(error) in DAMAGED, (verb, name, error)
                assert name in str(error) or name == "nonce", "the error does not say which file"
                if name not in relied:
                    wrong.append(f"{verb} failed on {name}: {error}")
                assert {point.backup_id for point in list_points(wiring, "app").points} == before
            else:
                if name in relied:
                    wrong.append(f"{BROKEN}: {verb} took {name}")
            put_back(folder, sound)
        reference = STEPS[verb](wiring, reference)
    assert not wrong
    assert {point.backup_id for point in list_points(wiring, "app").points} == before | {reference.backup_id}
    steps.wipe(wiring, reference)
    assert tiny.world.staged() == []
    assert tiny.back_up().point.sequence == len(before) + 2


def relies(verb: str, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in READS[verb])


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "cut": lambda data: data[:-1],
    "empty": lambda _: b"",
    "grown": lambda data: data + b"\0",
}


def spoil(path: Path, damage: str) -> None:
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(SPOILT[damage](path.read_bytes()))


def put_back(folder: Path, sound: Mapping[str, bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, data in sound.items():
        (folder / name).write_bytes(data)
