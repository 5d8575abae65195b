"""Incremental backups of trees: what is read again, what is stored again, and what cannot be gone on with."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.support.compare import assert_trees_equal
from tests.support.tree_torture import make_tree
from tests.support.verbs import flip
from tests.support.world import World

from rlg_backup.core.errors import MemberDamaged, ObjectDamaged
from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine.archives import ARCHIVE, STATE, Archive, index_of, open_remote
from rlg_backup.engine.backup import BackupResult, backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import choose
from rlg_backup.engine.tree_contents import TreeContents
from rlg_backup.engine.trees import TreeSaver
from rlg_backup.engine.verify import verify
from rlg_backup.engine.warnings import UNSTABLE
from rlg_backup.engine.wiring import Wiring
from rlg_backup.format.age import SeekableAgeReader
from rlg_backup.format.container import ZipReader
from rlg_backup.format.profile import Profile, TreeChange
from rlg_backup.format.tree_index import IndexRow, content_member, content_place
from rlg_backup.format.tree_state import UNSURE, read_files

LARGE = 50_000_000


def settled() -> datetime:
    """Two minutes from now: what was written by now is not so new that it must be read again."""
    return datetime.now(UTC) + timedelta(minutes=2)


@pytest.fixture
def tree(world: World) -> Path:
    """A source of three small files, two of them of one size."""
    folder = world.root / "tree"
    folder.mkdir()
    for name, content in (("one", b"1"), ("two", b"22"), ("other two", b"44")):
        (folder / name).write_bytes(content)
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.save()
    return folder


def saved(wiring: Wiring, kind: Kind = Kind.INCREMENTAL) -> str:
    """Backs up as the kind that was asked for, and restores it; returns its id."""
    done = backup(wiring, "app", kind)
    assert (done.complete, done.kind) == (True, kind.value), done.warnings
    place = wiring.settings.staging.folder.parent / f"back-{done.backup_id}"
    restore(wiring, "app", done.backup_id, str(place))
    assert_trees_equal(wiring.settings.staging.folder.parent / "tree", place)
    return done.backup_id


def opened(wiring: Wiring, backup_id: str) -> tuple[Archive, Profile]:
    archive = open_remote(wiring, choose(wiring, "app", backup_id), wiring.identities())
    return archive, archive.profile()


def stored(wiring: Wiring, backup_id: str) -> dict[bytes, tuple[str | None, str | None]]:
    """Of each file the backup that has its content, None for this one, and the path whose member that is."""
    archive, profile = opened(wiring, backup_id)
    rows = [row for row in index_of(archive) if row.kind == "file"]
    names = {content_member(content_place(row.path)): os.fsdecode(row.path) for row in rows}
    here = [row for row in rows if row.backup is None]
    if profile.tree is not None and profile.tree.change is not None:
        assert profile.tree.change == TreeChange(files=len(here), bytes=sum(row.size for row in here))
    assert {row.member for row in here} == {name for name in archive.names if re.match("files/../", name)}
    return {row.path: (row.backup, names.get(row.member or "", "another")) for row in rows}


def bytes_read(call: Callable[[], Any]) -> int:
    """How many bytes this process read while it was in ``call``."""
    before = _read()
    call()
    return _read() - before


def _read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_an_unchanged_tree_costs_its_index_alone_and_no_file_is_read(world: World, tree: Path) -> None:
    (tree / "large").write_bytes(os.urandom(LARGE))
    full = backup(world.wiring(), "app", Kind.FULL).backup_id
    wiring = world.wiring(clock=settled)
    backup(wiring, "app", Kind.INCREMENTAL)  # what was new at the full one is read once more
    done: list[BackupResult] = []
    read = bytes_read(lambda: done.append(backup(wiring, "app", Kind.INCREMENTAL)))
    assert read < LARGE // 10
    assert done[0].kind == "incremental"
    assert {backup_id for backup_id, _ in stored(wiring, done[0].backup_id).values()} == {full}
    assert (world.target() / "app" / done[0].backup_id / ARCHIVE).stat().st_size < 40_000


def test_what_was_new_at_the_backup_before_is_read_again_and_not_stored_again(world: World, tree: Path) -> None:
    (tree / "new").write_bytes(os.urandom(LARGE))
    wiring = world.wiring()
    full = backup(wiring, "app", Kind.FULL).backup_id
    done: list[BackupResult] = []
    assert bytes_read(lambda: done.append(backup(wiring, "app", Kind.INCREMENTAL))) > LARGE
    assert {backup_id for backup_id, _ in stored(wiring, done[0].backup_id).values()} == {full}


def test_where_times_are_not_trusted_every_file_is_read_and_what_changed_is_stored(world: World, tree: Path) -> None:
    world.source["trust_times"] = False
    world.save()
    (tree / "large").write_bytes(os.urandom(LARGE))
    wiring = world.wiring(clock=settled)
    full = backup(wiring, "app", Kind.FULL).backup_id
    backup(wiring, "app", Kind.INCREMENTAL)
    (tree / "one").write_bytes(b"2")
    done: list[BackupResult] = []
    assert bytes_read(lambda: done.append(backup(wiring, "app", Kind.INCREMENTAL))) > LARGE
    found = stored(wiring, done[0].backup_id)
    assert [path for path, (backup_id, _) in found.items() if backup_id != full] == [b"one"]


def test_a_file_rewritten_with_its_size_and_time_put_back_is_saved(world: World, tree: Path) -> None:
    wiring = world.wiring(clock=settled)
    full = saved(wiring, Kind.FULL)
    state = (tree / "two").stat()
    (tree / "two").write_bytes(b"33")
    os.utime(tree / "two", ns=(state.st_atime_ns, state.st_mtime_ns))
    found = stored(wiring, saved(wiring))
    assert found == {b"one": (full, "one"), b"other two": (full, "other two"), b"two": (None, "two")}


def test_a_file_replaced_by_another_of_its_size_and_time_is_saved(world: World, tree: Path) -> None:
    wiring = world.wiring(clock=settled)
    saved(wiring, Kind.FULL)
    (tree / "new").write_bytes(b"33")
    os.utime(tree / "new", ns=(0, (tree / "two").stat().st_mtime_ns))
    (tree / "new").rename(tree / "two")
    assert stored(wiring, saved(wiring))[b"two"] == (None, "two")


def test_a_file_under_another_name_is_not_stored_again(world: World, tree: Path) -> None:
    wiring = world.wiring(clock=settled)
    full = saved(wiring, Kind.FULL)
    (tree / "one").rename(tree / "renamed")
    for old, new in (("two", "between"), ("other two", "two"), ("between", "other two")):
        (tree / old).rename(tree / new)
    found = stored(wiring, saved(wiring))
    assert found == {b"other two": (full, "two"), b"renamed": (full, "another"), b"two": (full, "other two")}


def test_of_a_file_whose_first_name_is_gone_the_next_one_has_the_content(world: World, tree: Path) -> None:
    os.link(tree / "one", tree / "second name")
    wiring = world.wiring(clock=settled)
    full = saved(wiring, Kind.FULL)
    (tree / "one").unlink()
    assert stored(wiring, saved(wiring))[b"second name"] == (full, "another")


def test_a_content_is_found_in_the_backup_that_stored_it_however_many_lie_between(world: World, tree: Path) -> None:
    wiring = world.wiring(clock=settled)
    full = saved(wiring, Kind.FULL)
    (tree / "two").write_bytes(b"33")
    first = saved(wiring)
    (tree / "one").write_bytes(b"4")
    second = saved(wiring)
    expected: dict[bytes, tuple[str | None, str]]
    expected = {b"one": (second, "one"), b"other two": (full, "other two"), b"two": (first, "two")}
    assert stored(wiring, saved(wiring)) == expected
    found = stored(wiring, saved(wiring, Kind.DIFFERENTIAL))
    assert found == {b"one": (None, "one"), b"other two": (full, "other two"), b"two": (None, "two")}


def test_what_the_state_knows_of_a_file_that_never_rested_or_is_new_is_no_identity(world: World, tree: Path) -> None:
    """And of those that rested there is one, which tells no name."""
    begun = datetime.now(UTC)
    (tree / "restless").write_bytes(os.urandom(1 << 20))
    with touching(tree / "restless"):
        done = backup(world.wiring(clock=settled), "app", Kind.FULL)
    assert [warning.startswith(UNSTABLE) for warning in done.warnings] == [True]
    identities = noted(world, done.backup_id)["identity"]
    assert [one.tobytes() == UNSURE for one in identities] == [False, False, True, False]
    new = backup(world.wiring(clock=lambda: begun), "app", Kind.FULL)
    assert {one.tobytes() for one in noted(world, new.backup_id)["identity"]} == {UNSURE}


def noted(world: World, backup_id: str) -> dict[str, Any]:
    """The files that a backup's state knows."""
    data = (world.target() / "app" / backup_id / STATE).read_bytes()
    reader = SeekableAgeReader(lambda at, length: data[at : at + length], len(data), world.wiring().state_identities)
    members = ZipReader.locate(reader.read_at, reader.size)
    assert list(members.members) == ["files/part-00000.parquet", "state.json"]
    return read_files(BytesIO(members.read("files/part-00000.parquet", limit=1 << 20)), "part")


@contextmanager
def touching(path: Path) -> Iterator[None]:
    """Writes to a file without end."""
    over = threading.Event()

    def touch() -> None:
        while not over.is_set():
            with path.open("r+b") as file:
                file.write(os.urandom(16))

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_of_files_that_are_rewritten_unseen_while_they_are_saved_nothing_is_lost(world: World, tree: Path) -> None:
    """Even where what was written a moment ago is taken for old. The writer rests somewhere in the midst of a backup:
    what that one has wrong the next would have too."""
    chance = random.Random(11)
    paths = [tree / f"{number:02d}" for number in range(12)]
    for path in paths:
        path.write_bytes(chance.randbytes(5000))

    def rewrite(times: int) -> None:
        for _ in range(times):
            path = chance.choice(paths)
            state = path.stat()
            with path.open("r+b") as file:
                file.write(chance.randbytes(5000))
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
            time.sleep(chance.random() / 100)

    wiring = world.wiring(clock=settled)
    backup(wiring, "app", Kind.FULL)
    for times in (10, 20, 30, 40, 50, 60):
        writer = threading.Thread(target=rewrite, args=(times,))
        writer.start()
        assert backup(wiring, "app", Kind.INCREMENTAL).kind == "incremental"
        writer.join()
        saved(wiring)


def test_everything_a_copy_of_files_can_get_wrong_comes_back_from_pointers_alone(world: World, tree: Path) -> None:
    make_tree(tree / "torture", others=False)
    wiring = world.wiring(clock=settled)
    full = saved(wiring, Kind.FULL)
    second = saved(wiring)
    assert {backup_id for backup_id, _ in stored(wiring, second).values()} == {full}
    assert verify(wiring, "app", second, full=True).verdict is Verdict.PASS


def test_an_incremental_without_files_after_one_without_files(world: World, tree: Path) -> None:
    for path in tree.iterdir():
        path.unlink()
    wiring = world.wiring(clock=settled)
    empty = "the folder is empty: is the disk that belongs there mounted?"
    for kind in (Kind.FULL, Kind.INCREMENTAL):
        done = backup(wiring, "app", kind)
        assert (done.kind, done.warnings) == (kind.value, (empty,))
    (tree / "one").write_bytes(b"1")
    assert stored(wiring, saved(wiring)) == {b"one": (None, "one")}


# --- what cannot be gone on with ------------------------------------------------------------------


def test_another_folder_under_the_same_name_is_saved_whole(world: World, tree: Path) -> None:
    backup(world.wiring(), "app", Kind.FULL)
    tree.rename(world.root / "moved")
    world.source["path"] = "moved"
    world.save()
    done = backup(world.wiring(), "app", Kind.INCREMENTAL)
    told = "full instead of incremental: the source is another database or folder than that of the backup before"
    assert (done.kind, done.warnings) == ("full", (told,))
    assert {backup_id for backup_id, _ in stored(world.wiring(), done.backup_id).values()} == {None}


def test_a_damaged_state_makes_the_next_backup_a_full_one(world: World, tree: Path) -> None:
    first = backup(world.wiring(), "app", Kind.FULL).backup_id
    flip(world.target() / "app" / first / STATE, 500)
    done = backup(world.wiring(), "app", Kind.INCREMENTAL)
    told = (
        f"full instead of incremental: unable to fetch 'app/{first}/{STATE}': "
        "target 'local' holds other bytes than the manifest names"
    )
    assert (done.kind, done.warnings) == ("full", (told,))


def test_a_lost_state_makes_the_next_backup_a_full_one(world: World, tree: Path) -> None:
    first = backup(world.wiring(), "app", Kind.FULL).backup_id
    (world.target() / "app" / first / STATE).unlink()
    done = backup(world.wiring(), "app", Kind.INCREMENTAL)
    told = f"full instead of incremental: no target holds the change state of backup '{first}'"
    assert (done.kind, done.warnings) == ("full", (told,))


def test_a_restore_over_a_damaged_ancestor_is_refused_and_leaves_nothing(world: World, tree: Path) -> None:
    wiring = world.wiring(clock=settled)
    full = backup(wiring, "app", Kind.FULL).backup_id
    backup(wiring, "app", Kind.INCREMENTAL)
    flip(world.target() / "app" / full / ARCHIVE, 1000)
    with pytest.raises(ObjectDamaged) as caught:
        restore(wiring, "app", "latest", str(world.root / "back"))
    cause = "target 'local' holds other bytes than the manifest names"
    assert str(caught.value) == f"unable to fetch 'app/{full}/{ARCHIVE}': {cause}"
    assert not (world.root / "back").exists()


# --- contents that are not where the index says ---------------------------------------------------

OTHER = "20200101T000000Z-00000000"
MEMBER = content_member(content_place(b"two"))
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a backup of another chain": (
        {"backup": OTHER},
        MEMBER,
        f"a file of the tree has it in the backup '{OTHER}', which is none of its chain",
    ),
    "a member that is not there": (
        {"member": "files/none"},
        "files/none",
        "the archive of the backup '{full}' has no such member",
    ),
    "another size": (
        {"size": 3},
        MEMBER,
        "in the archive of the backup '{full}' it is not the content that the index names",
    ),
    "another digest": (
        {"sha256": bytes(32)},
        MEMBER,
        "in the archive of the backup '{full}' it is not the content that the index names",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_content_that_is_not_where_the_index_says_is_refused(world: World, tree: Path, what: str) -> None:
    changed, member, cause = WRONG[what]
    wiring = world.wiring(clock=settled)
    ids = [backup(wiring, "app", kind).backup_id for kind in (Kind.FULL, Kind.INCREMENTAL)]
    contents = TreeContents(ids[1], {one: opened(wiring, one)[0] for one in ids})
    rows: dict[bytes, IndexRow] = {row.path: row for row in contents.index()}
    with contents.open(rows[b"two"]) as stream:
        assert stream.read() == b"22"
    with pytest.raises(MemberDamaged) as caught:
        contents.open(replace(rows[b"two"], **changed))
    assert str(caught.value) == f"unable to read '{member}': {cause.format(full=ids[0])}"


def test_verify_of_an_incremental_backup_looks_for_every_content_in_the_backups_before(
    world: World, tree: Path
) -> None:
    wiring = world.wiring(clock=settled)
    full = backup(wiring, "app", Kind.FULL).backup_id
    (tree / "one").write_bytes(b"4")
    backup(wiring, "app", Kind.INCREMENTAL)
    checks = {(check.group, check.name): check for check in verify(wiring, "app", full=True).checks}
    assert {check.verdict for check in checks.values()} == {Verdict.PASS}
    told = "2 files in 1 backups before, each of its size and SHA-256"
    assert checks["chain", "contents"].measured == told
    flip(world.target() / "app" / full / ARCHIVE, (world.target() / "app" / full / ARCHIVE).stat().st_size - 300)
    checks = {(check.group, check.name): check for check in verify(wiring, "app", full=True).checks}
    assert checks["members", "tree"].verdict is Verdict.PASS
    assert checks["chain", "contents"].verdict is Verdict.FAIL


def test_an_archive_that_holds_other_contents_than_its_profile_counts_fails(
    world: World, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of ours cannot; another writer's may."""
    wiring = world.wiring(clock=settled)
    backup(wiring, "app", Kind.FULL)
    monkeypatch.setattr(TreeSaver, "_change", lambda saver: {"files": 1, "bytes": 0})
    backup(wiring, "app", Kind.INCREMENTAL)
    verdicts = {(check.group, check.name): check.verdict for check in verify(wiring, "app", full=True).checks}
    assert [name for name, verdict in verdicts.items() if verdict is not Verdict.PASS] == [("members", "tree")]


def test_a_drill_of_an_incremental_backup_is_green(world: World, tree: Path) -> None:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    wiring = world.wiring(clock=settled)
    backup(wiring, "app", Kind.FULL)
    (tree / "one").write_bytes(b"4")
    backup(wiring, "app", Kind.INCREMENTAL)
    done = world.run("drill", "--json")
    assert done.code == 0, done.out + done.err
