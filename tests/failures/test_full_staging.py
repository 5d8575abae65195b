"""The staging disk is full, at every point of a backup and a restore: a small real disk, a page or file more each time.

Nothing of a failed run stays, no restore point comes or goes, and with space again the next run succeeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from tests.failures.expect import beside, clean, nothing_lost, records, subject, told, works
from tests.failures.room import PAGE, Room
from tests.support.world import World, dump

from rlg_backup.core.errors import FAILED

FULL = "no space is left in the staging folder"
POINTS = {
    *("stage.record", "snapshot.record", "anonymize.record", "default.zip.age", "encrypt.record", "manifest.json"),
    *("checksum.record", "upload-local.record", "validate-local.record", "state.zip.age"),
}
MEMBERS = {
    "app": {
        *(f"member-{number:06d}" for number in range(1, 7)),
        *(f"state-{number:06d}" for number in (1, 2, 3)),
        "originals",
    },
    # 2, the index, is open while 3 to 6 are written.
    "tree": {*(f"member-{number:06d}" for number in (1, 2, 7)), *(f"state-{number:06d}" for number in (1, 2))},
}
NOTE_LOST = (
    f"unable to write 'commit.record': {FULL}\n"
    "hint: the backup is committed on local and can be restored: only the run's own note is lost"
)
Grow = Callable[[int], None]


@pytest.mark.parametrize("source", ["app", "tree"])
def test_without_space_a_backup_fails_at_each_file_and_nothing_of_it_stays(
    room: Room, world: World, source: str
) -> None:
    staging = world.root / "staging"
    room.disk(staging)
    found = failures(room, world, source, lambda number: room.resize(staging, size=number * PAGE))
    assert set(found) == POINTS | MEMBERS[source]
    room.resize(staging)
    works(room, world)


def test_without_inodes_a_backup_fails_at_each_file_and_nothing_of_it_stays(room: Room, world: World) -> None:
    staging = world.root / "staging"
    room.disk(staging)
    found = failures(room, world, "app", lambda number: room.resize(staging, inodes=number + 1))
    assert set(found) == {"staging.folder", "nonce"} | POINTS | MEMBERS["app"]
    room.resize(staging)
    works(room, world)


def failures(room: Room, world: World, source: str, grow: Grow) -> list[str]:
    """Backups on ever larger disks; returns what could not be written, until only the run's last note does not fit."""
    found: list[str] = []
    before, data = records(room, world, source=source), dump(world.root / "app.db")
    for number in range(1, 60):
        grow(number)
        done = room.run("--config", world.config, "backup", "--source", source)
        clean(room, world)
        assert dump(world.root / "app.db") == data
        name = subject(done)
        if name == "commit.record":
            break
        assert records(room, world, source=source) == before
        told(done, FAILED, f"unable to {'use' if name == 'staging.folder' else 'write'} '{name}': {FULL}")
        found.append(name)
    told(done, FAILED, NOTE_LOST)
    assert len(records(room, world, source=source)) == len(before) + 1, "what the hint says must be true"
    return found


@pytest.mark.parametrize("kind", ["space", "inodes"])
def test_a_restore_that_cannot_fetch_leaves_nothing_and_succeeds_with_space(
    room: Room, world: World, kind: str
) -> None:
    staging, copy = world.root / "staging", world.root / "copy.db"
    room.disk(staging)
    command = ("--config", world.config, "restore", "--source", "app", "--to", copy)
    found = []
    for number in range(1, 20):
        with nothing_lost(room, world):
            room.resize(staging, size=number * PAGE) if kind == "space" else room.resize(staging, inodes=number + 1)
            if (done := room.run(*command)).code == 0:
                break
        verb, name = ("use", "staging.folder") if subject(done) == "staging.folder" else ("write", "default.zip.age")
        told(done, FAILED, f"unable to {verb} '{name}': {FULL}")
        assert beside(room, copy) == []
        found.append(name)
    assert set(found) == {"default.zip.age"} if kind == "space" else {"default.zip.age", "staging.folder"}
    assert dump(copy) == dump(world.root / "app.db")


def test_a_limit_on_the_size_of_files_is_told_as_that(room: Room, world: World) -> None:
    """RLIMIT_FSIZE: its signal would end the process in silence; the interpreter ignores it."""
    (world.root / "tree" / "large").write_bytes(random.Random(7).randbytes(1 << 20))
    limits = {"RLIMIT_FSIZE": 1 << 19}
    with nothing_lost(room, world):
        done = room.run("--config", world.config, "backup", "--source", "tree", limits=limits)
    told(done, FAILED, f"unable to write '{subject(done)}': the staging folder takes no file that large")
    with nothing_lost(room, world):
        done = room.run("--config", world.config, "backup", "--source", "app", limits={"RLIMIT_FSIZE": 128})
    told(done, FAILED, "unable to store 'catalog/app/lease.json': File too large on target 'local'")
    works(room, world)
