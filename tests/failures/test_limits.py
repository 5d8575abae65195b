"""A process runs out of open files, threads or memory: one error in our words, nothing half; and none of them leaks."""

from __future__ import annotations

import re
import sqlite3

import pytest
from tests.failures.expect import beside, nothing_lost, records, works
from tests.failures.room import Room
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.world import EMAILS, PHONES, WORDS, World, dump, holds_any

from rlg_backup.core.errors import FAILED, UNVERIFIED

HINT = "hint: raise the limit of this process (ulimit, systemd, the container), or run less beside it"
DEEP = 40


@pytest.fixture
def wide(world: World) -> World:
    """A deep tree with many folders, and a database of many tables."""
    root = world.root / "tree"
    for number in range(150):
        (root / f"folder{number:03d}").mkdir()
        (root / f"folder{number:03d}" / "file").write_bytes(b"%d" % number)
    deep = root
    for number in range(DEEP):
        deep = deep / f"level{number}"
        deep.mkdir()
        (deep / "file").write_bytes(b"deep %d" % number)
    connection = sqlite3.connect(world.root / "app.db")
    for number in range(60):
        connection.execute(f"CREATE TABLE table{number:02d} (a INTEGER PRIMARY KEY, b TEXT)")
        connection.execute(f"INSERT INTO table{number:02d} VALUES (1, 'one')")
    connection.commit()
    connection.close()
    return world


@pytest.mark.parametrize("source", ["app", "tree"])
def test_a_wide_source_needs_few_open_files_at_once(room: Room, wide: World, source: str) -> None:
    """Sixteen are enough to back up, prove and restore 190 folders, 40 deep, and 62 tables."""
    few, copy = {"RLIMIT_NOFILE": 16}, wide.root / "copy"
    given = ("--config", wide.config)
    for command in (
        ["backup", "--source", source],
        ["verify", "--source", source, "--full"],
        ["restore", "--source", source, "--to", str(copy)],
    ):
        done = room.run(*given, *command, limits=few)
        assert (done.code, done.err) == (0, ""), done
    if source == "tree":
        assert_trees_equal(wide.root / "tree", copy)
    else:
        assert_databases_equal(wide.root / "app.db", copy)


@pytest.mark.parametrize(
    "command",
    [["backup"], ["verify", "--full"], ["restore"], ["list"]],
    ids=lambda command: str(command[0]),
)
def test_without_open_files_a_command_ends_in_one_error_and_nothing_half(
    room: Room, world: World, command: list[str]
) -> None:
    copy = world.root / "copy"
    arguments = [*command, "--source", "app", *(["--to", str(copy)] if command == ["restore"] else [])]
    data, listed, failed = dump(world.root / "app.db"), records(room, world), 0
    for limit in range(4, 14):
        done = room.run("--config", world.config, *arguments, limits={"RLIMIT_NOFILE": limit})
        if done.code == 0:
            break
        failed += 1
        assert "Traceback" not in done.err, done.err
        assert done.code in (FAILED, UNVERIFIED)
        if command[0] in ("backup", "restore"):
            assert (done.code, done.out) == (FAILED, "")
            error = done.err[done.err.rindex("error: ") :].lower()
            assert "too many open files" in error or "too many files are open" in error or "sqlite" in error, error
        assert room.holds(world.root / "staging") == []
        assert beside(room, copy) == []
        assert records(room, world)[: len(listed)] == listed
        (world.target("local") / "catalog" / "app" / "lease.json").unlink(
            missing_ok=True
        )  # it may be beyond giving back
    assert failed > 0, "the limit never struck"
    assert dump(world.root / "app.db") == data
    copy.unlink(missing_ok=True)
    works(room, world)


def test_without_threads_a_command_ends_in_one_error_and_nothing_half(
    host: Room, world: World, user: int | None
) -> None:
    if user is None:
        # an error in CI (tests/conftest.py)
        pytest.skip("REQUIRED-IN-CI: who tests runs other processes, which count against the limit")
    copy, struck = world.root / "copy", set()
    cause = "no further thread or process can be started"
    for command, verb in (
        (["backup", "--source", "app"], "back up"),
        (["restore", "--source", "app", "--to", str(copy)], "restore"),
    ):
        for limit in (1, 2, 4):
            with nothing_lost(host, world):
                done = host.run("--config", world.config, *command, limits={"RLIMIT_NPROC": limit}, user=user)
            if done.code == 0:
                break
            struck.add(verb)
            assert "Traceback" not in done.err, done.err
            error = done.err[done.err.rindex("error: ") :]
            assert (done.code, done.out, error) == (FAILED, "", f"error: unable to {verb} 'app': {cause}\n{HINT}\n")
            assert not copy.exists()
        copy.unlink(missing_ok=True)
    assert struck == {"back up", "restore"}
    done = host.run(
        "--config", world.config, "verify", "--source", "app", "--full", limits={"RLIMIT_NPROC": 1}, user=user
    )
    assert done.code == UNVERIFIED
    assert f"unable to verify 'decrypt': {cause}" in done.out
    works(host, world, user=user)


def test_without_memory_a_command_ends_in_one_error_or_as_if_killed(room: Room, world: World) -> None:
    """What Python and Arrow ask for and do not get is told, and so is a thread whose stack finds no room (there Polars
    says a word of its own before; which of the two is met first is chance). A library that ends the process (Polars
    aborts) does what a kill does: nothing is committed, and what it left is ciphertext."""
    connection = sqlite3.connect(world.root / "app.db")
    connection.execute("CREATE TABLE a_large (b BLOB)")
    connection.executemany("INSERT INTO a_large VALUES (zeroblob(?))", [(6 << 20,)] * 6)
    connection.commit()
    connection.close()
    ends: dict[int, list[str]] = {}
    for megabytes in (12, 24, 36, 60, 90, 130):
        listed, staged = records(room, world), room.holds(world.root / "staging")
        done = room.run("--config", world.config, "backup", "--source", "app", limits={"RLIMIT_AS": megabytes << 20})
        ends.setdefault(done.code, []).append(done.err)
        assert "Traceback" not in done.err, done.err
        if done.code == FAILED:
            panic, _, error = done.err.rpartition("error: ")
            missing = ["no memory is left", *(["no further thread or process can be started"] if panic else [])]
            assert done.out == ""
            assert error in [f"unable to back up 'app': {one}\n{HINT}\n" for one in missing]
            assert not panic or re.match(r"\nthread '(<unnamed>|polars-\d+)' \(", panic), panic
            assert room.holds(world.root / "staging") == staged
        assert records(room, world) == listed or done.code == 0
        (world.target("local") / "catalog" / "app" / "lease.json").unlink(missing_ok=True)
    assert FAILED in ends, ends.keys()
    assert all(code in (0, FAILED) or code < 0 for code in ends), ends
    assert holds_any(world.root / "staging", (*EMAILS, *PHONES, *WORDS)) == []


# --- leaks ------------------------------------------------------------------------------------------


def test_no_command_leaves_a_descriptor_open_whether_it_succeeds_or_fails(room: Room, world: World) -> None:
    """Four rounds in one process: the first may open what stays (a thread pool's pipe), later ones nothing."""
    done = room.call("tests.failures.scenes:rounds", config=str(world.config), place=str(world.root / "rounds"))
    assert done.code == 0, done.err
    counts = done.json
    assert counts["failures"] == 4 * 5, "the failing half of each round failed"
    assert len(set(counts["open"][1:])) == 1, counts
