"""A target is full, at every object that a run writes there: a small real disk under a local target.

The catalog stays readable and lists whole backups alone; another target gets its copy; with space again a run succeeds.
"""

from __future__ import annotations

import re

import pytest
from tests.failures.expect import clean, records, works
from tests.failures.room import PAGE, Room
from tests.support.world import Ran, World, dump

from rlg_backup.core.errors import FAILED

FULL = "No space left on device on target"
LEASE, RECORD = "catalog/app/lease.json", "catalog/app/00000001-ID-full.json"
ARCHIVE, STATE, MANIFEST = "app/ID/default.zip.age", "app/ID/state.zip.age", "app/ID/manifest.json"
RECORD2, RECORD3 = RECORD.replace("01-", "02-"), RECORD.replace("01-", "03-")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


def stored(key: str) -> tuple[str, str]:
    """The error of a run that could not store an object."""
    return "StorageFull", f"unable to store '{key}': {FULL} 'local'"


def committed(key: str) -> tuple[str, str]:
    """The error of a run that could not commit."""
    why = stored(key)[1]
    return "BackupIncomplete", f"unable to commit 'ID': no copy could be committed (local: {why})"


@pytest.fixture
def two(room: Room, world: World) -> World:
    """A second target, on a disk of its own, that holds nothing yet."""
    world.settings["targets"]["small"] = {"type": "local", "path": "backups-small"}
    world.settings["sources"]["app"]["targets"] = ["local", "small"]
    world.save()
    room.disk(world.target("small"))
    return world


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("space", [MANIFEST, ARCHIVE, STATE, LEASE]),
        ("inodes", [LEASE, MANIFEST, ARCHIVE, STATE, RECORD]),
    ],
)
def test_one_of_two_targets_full_at_each_object_is_degraded_and_said(
    room: Room, two: World, kind: str, points: list[str]
) -> None:
    small, found = two.target("small"), []
    for number in range(1, 30):
        room.unmount(small)
        room.disk(small)
        room.resize(small, size=number * PAGE) if kind == "space" else room.resize(small, inodes=number + 1)
        (two.root / "state" / "seen.json").unlink(missing_ok=True)  # the disk is another each time
        copies, data = len(records(room, two)), dump(two.root / "app.db")
        done = room.run("--config", two.config, "backup", "--source", "app")
        clean(room, two)
        assert len(records(room, two)) == copies + 1, "the other target has its copy"
        assert dump(two.root / "app.db") == data
        if done.code == 0:
            break
        failed_at = missing(done)
        if failed_at not in found:
            found.append(failed_at)
        readable(room, two)
    assert found == points
    assert records(room, two, "small") != []
    room.resize(small)
    later(room, two)
    works(room, two)


def missing(done: Ran) -> str:
    """The object that could not be stored on the small target, of a run that says so and nothing else is wrong."""
    said = re.fullmatch(
        r"✗ FAIL  app  \S+  full  committed on local \(#[0-9]+\)\n"
        rf"  no copy on small: unable to store '(\S+)': {FULL} 'small'\n"
        r"  warning: the database is not in WAL mode: whoever writes to it waits until the backup has read it\n",
        done.out,
    )
    assert said is not None and done.code == FAILED, done
    assert "Traceback" not in done.err
    key = _ID.sub("ID", said[1])
    assert f"unable to store '{said[1]}': {FULL} 'small'\n" in done.err or key == LEASE
    return key


def readable(room: Room, world: World) -> None:
    """The full target's catalog lists nothing, and can be asked."""
    done = room.run("--config", world.config, "verify", "latest", "--source", "app", "--target", "small")
    text = (
        "error: unable to find 'latest': source 'app' has no backup on small\nhint: make one with 'rlg-backup backup'\n"
    )
    assert (done.code, done.out, done.err) == (2, "", text)
    assert records(room, world, "small") == []


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("space", [stored(LEASE), stored(ARCHIVE), stored(STATE), committed(LEASE)]),
        # A record that has no room is decided: the next run writes it, and then has none for its own.
        (
            "inodes",
            [stored(LEASE), stored(MANIFEST), stored(ARCHIVE), stored(STATE), committed(RECORD2), committed(RECORD3)],
        ),
    ],
)
def test_a_full_target_alone_fails_the_run_and_keeps_what_it_lists(
    room: Room, world: World, kind: str, points: list[tuple[str, str]]
) -> None:
    """The target has a backup already; then so little is free. Each run begins when the lease of the one before has run
    out, for a full target cannot take it back."""
    target = world.target("local")
    room.disk(target)
    (world.root / "state" / "seen.json").unlink()
    works(room, world)
    listed, found = records(room, world), []
    for free in range(12):
        used = room.call("tests.failures.scenes:usage", folder=str(target)).json
        if kind == "space":
            room.resize(target, size=(used["pages"] + free) * PAGE)
        else:
            room.resize(target, inodes=used["inodes"] + free)
        done = room.call("tests.failures.scenes:backup", config=str(world.config), source="app", minutes=10 * free).json
        clean(room, world)
        assert records(room, world)[: len(listed)] == listed
        if "error" not in done:
            break
        found.append((done["error"], _ID.sub("ID", done["text"])))
    assert list(dict.fromkeys(found)) == points
    room.resize(target)
    later(room, world)
    works(room, world)


def later(room: Room, world: World) -> None:
    """A run that begins when every lease has run out."""
    done = room.call("tests.failures.scenes:backup", config=str(world.config), source="app", minutes=200)
    assert done.json["missing"] == {}
