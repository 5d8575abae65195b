"""The disk that is restored to is full, at every phase, and that of a drill: nothing under the name or beside it."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from tests.failures.expect import nothing_lost, subject, told
from tests.failures.room import PAGE, Room
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.world import World

from rlg_backup.core.errors import FAILED
from rlg_backup.core.model import Verdict


@pytest.fixture
def large(world: World) -> World:
    """A database of some two hundred pages with an index, so that each phase of a restore takes room of its own."""
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("CREATE TABLE large (a TEXT)")
    connection.executemany("INSERT INTO large VALUES (?)", [(f"{number * 7919:x}" * 2,) for number in range(20_000)])
    connection.execute("CREATE INDEX on_large ON large (a)")
    connection.commit()
    connection.close()
    world.back_up("app")
    return world


def test_a_database_that_does_not_fit_leaves_nothing_at_its_destination(room: Room, large: World) -> None:
    copy = large.root / "disk" / "copy.db"
    room.disk(copy.parent)
    found = []
    for pages in (1, 8, 60, 120, 150, 200, 400):
        room.resize(copy.parent, size=pages * PAGE)
        with nothing_lost(room, large):
            done = room.run("--config", large.config, "restore", "--source", "app", "--to", copy)
        if done.code == 0:
            break
        verb = "restore to" if "restore to" in done.err else done.err.split()[3]
        told(done, FAILED, f"unable to {verb} '{subject(done)}': no space is left on its disk")
        assert room.holds(copy.parent) == []
        found.append((verb, subject(done)))
    assert list(dict.fromkeys(found)) == [("make", str(copy)), ("finish", str(copy)), ("index", "large")]
    seen = large.root / "seen.db"  # SQLite opens no file under a name that leads through /proc
    shutil.copy(room.see(copy), seen)
    assert_databases_equal(large.root / "app.db", seen)


@pytest.mark.parametrize("kind", ["space", "inodes"])
def test_a_tree_that_does_not_fit_leaves_nothing_at_its_destination(room: Room, world: World, kind: str) -> None:
    copy = world.root / "disk" / "copy"
    room.disk(copy.parent)
    found = []
    for number in range(1, 20):
        if kind == "space":
            room.resize(copy.parent, size=number * PAGE)
        else:
            room.resize(copy.parent, inodes=number + 1)
        with nothing_lost(room, world):
            done = room.run("--config", world.config, "restore", "--source", "tree", "--to", copy)
        if done.code == 0:
            break
        verb = "restore to" if subject(done) == str(copy) else "make"
        told(done, FAILED, f"unable to {verb} '{subject(done)}': no space is left on its disk")
        assert room.holds(copy.parent) == []
        found.append(subject(done))
    files = [f"{number}/file" for number in range(4)]
    folders = [".", *(str(number) for number in range(4))]
    assert set(found) >= set(files) if kind == "space" else set(found) >= {*files, *folders}
    assert_trees_equal(world.root / "tree", room.see(copy))


def test_a_limit_on_the_size_of_files_leaves_nothing_at_the_destination(room: Room, large: World) -> None:
    copy = large.root / "copy.db"
    command = ("--config", large.config, "restore", "--source", "app", "--to", copy)
    with nothing_lost(room, large):
        done = room.run(*command, limits={"RLIMIT_FSIZE": 100 * PAGE})
    told(done, 2, f"unable to finish '{copy}': its disk takes nothing more")
    assert [path.name for path in large.root.iterdir() if "copy" in path.name] == []


def test_a_drill_without_room_could_not_verify_and_leaves_no_restored_row(room: Room, large: World) -> None:
    scratch, reports = large.root / "scratch", large.root / "reports"
    room.disk(scratch, size=20 * PAGE)
    with nothing_lost(room, large):
        done = room.run("--config", large.config, "drill", "--source", "app", "--json")
    assert (done.code, done.err) == (Verdict.COULD_NOT_VERIFY.exit_code, "")
    check = done.json["sources"][0]["checks"][0]
    assert check["verdict"] == "COULD-NOT-VERIFY"
    assert check["measured"] == f"unable to finish '{subject_of(check)}': no space is left on its disk"
    assert room.holds(scratch) == []
    room.resize(scratch, inodes=1)
    told(
        room.run("--config", large.config, "drill", "--source", "app"),
        FAILED,
        "unable to use 'drill.scratch': no space is left in it",
    )
    room.resize(scratch)
    room.disk(reports, size=PAGE)
    with nothing_lost(room, large):
        done = room.run("--config", large.config, "drill", "--source", "app")
    told(done, FAILED, f"unable to write '{reports}': no space is left for the report")
    assert (room.holds(reports), room.holds(scratch)) == ([], [])
    room.resize(reports)
    done = room.run("--config", large.config, "drill", "--source", "app")
    assert done.code == 0, done.out + done.err


def subject_of(check: dict[str, str]) -> str:
    return check["measured"].split("'")[1]
