"""File trees through the engine: the index in parts, short lists of names, leftovers, seen heads."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
from tests.support.compare import assert_trees_equal
from tests.support.verbs import run_through
from tests.support.world import World

from rlg_backup.core.errors import DocumentDamaged, MemberDamaged
from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine import steps
from rlg_backup.engine.archives import index_of, open_remote
from rlg_backup.engine.backup import backup
from rlg_backup.engine.leftovers import sweep_leftovers
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import choose
from rlg_backup.engine.verify import verify
from rlg_backup.engine.warnings import EXCLUDED, UNSTABLE, VANISHED, capped
from rlg_backup.engine.workspace import Workspace
from rlg_backup.format import tree_index

LONG_AGO = time.time() - 72 * 3600


@pytest.fixture
def tree(world: World) -> World:
    """A source of 12 entries: the root, a folder and ten files."""
    folder = world.root / "tree" / "in"
    folder.mkdir(parents=True)
    for number in range(10):
        (folder / f"file {number}").write_text(f"content {number}")
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.save()
    return world


@pytest.mark.parametrize(("rows", "parts"), [(1, 12), (5, 3), (6, 2), (11, 2), (12, 1), (1_000_000, 1)])
def test_the_index_is_in_parts_and_every_reader_takes_them_all(
    tree: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, parts: int
) -> None:
    monkeypatch.setattr(tree_index, "ROWS_IN_A_PART", rows)
    wiring = tree.wiring()
    assert backup(wiring, "app", Kind.FULL).complete
    archive = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities())
    names = [name for name in archive.names if name.startswith("files/index")]
    assert names == [f"files/index/part-{number:05d}.parquet" for number in range(parts)]
    files = [f"in/file {number}".encode() for number in range(10)]
    assert [row.path for row in index_of(archive)] == [b"", b"in", *files]
    assert verify(wiring, "app", full=True).verdict == Verdict.PASS
    assert restore(wiring, "app", "latest", str(tmp_path / "back")).entries == 12
    assert_trees_equal(tree.root / "tree", tmp_path / "back")


def test_an_empty_tree_has_one_part(tree: World) -> None:
    for path in (tree.root / "tree" / "in").iterdir():
        path.unlink()
    (tree.root / "tree" / "in").rmdir()
    wiring = tree.wiring()
    backup(wiring, "app", Kind.FULL)
    archive = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities())
    assert archive.names == ["README.txt", "files/index/part-00000.parquet", "profile.json"]
    assert [row.path for row in index_of(archive)] == [b""]


def test_personal_data_in_a_name_is_found_in_the_last_part_too(tree: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_index, "ROWS_IN_A_PART", 5)
    (tree.root / "tree" / "in" / "to mary.smith@example.org").touch()
    wiring = tree.wiring()
    reference = run_through(wiring, "anonymize")
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    (warning,) = workspace.record("anonymize")["warnings"]
    assert warning.startswith("personal data: ")
    assert "files.path" in warning


def test_a_part_left_out_is_damage(tree: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of ours cannot lack one; another writer's may."""
    monkeypatch.setattr(tree_index, "_PREFIX", "files/other/part-")
    wiring = tree.wiring()
    backup(wiring, "app", Kind.FULL)
    monkeypatch.undo()
    archive = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities())
    with pytest.raises(MemberDamaged) as caught:
        list(index_of(archive))
    assert str(caught.value) == ("unable to read 'files/index/part-00000.parquet': the archive has no such member")


# --- lists of names -------------------------------------------------------------------------------


def test_of_many_file_names_a_result_has_twenty_and_how_many_more() -> None:
    gone = [f"{VANISHED}g{number}" for number in range(25)]
    moved = [f"{UNSTABLE}3 attempts to read it: m: {number}" for number in range(21)]
    mixed = [line for pair in zip(gone, moved, strict=False) for line in pair]  # 21 of each, in turn
    other = [f"the table 't{number}' is odd" for number in range(30)]
    assert capped([*mixed, *other]) == (
        *mixed[:40],
        f"{VANISHED}and 1 more",
        f"{UNSTABLE}3 attempts to read it: and 1 more",
        *other,
    )
    assert capped([*other, *gone]) == (*other, *gone[:20], f"{VANISHED}and 5 more")
    assert capped(gone[:20]) == tuple(gone[:20])


def test_excluded_files_are_cut_in_the_warnings_of_a_restore_and_whole_in_the_profile(
    tree: World, tmp_path: Path
) -> None:
    for number in range(30):
        (tree.root / "tree" / f"{number:02d}.tmp").touch()
    tree.settings["sources"]["app"]["exclude"] = ["*.tmp"]
    tree.save()
    wiring = tree.wiring()
    backup(wiring, "app", Kind.FULL)
    warnings = restore(wiring, "app", "latest", str(tmp_path / "back")).warnings
    reason = "(excluded by the configuration: *.tmp)"
    assert warnings == (*(f"{EXCLUDED}{number:02d}.tmp {reason}" for number in range(20)), f"{EXCLUDED}and 10 more")
    archive = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities())
    assert len(archive.profile().excluded) == 30


def test_files_that_vanish_are_cut_in_the_result_and_whole_in_the_profile(tree: World) -> None:
    for number in range(30):
        (tree.root / "tree" / f"x{number:02d}").touch()

    def lose(what: str, done: int, total: int) -> None:
        if what == "snapshot files" and done:  # the root is listed by then
            for number in range(30):
                (tree.root / "tree" / f"x{number:02d}").unlink(missing_ok=True)

    wiring = tree.wiring(progress=lose)
    result = backup(wiring, "app", Kind.FULL)
    archive = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities())
    told = archive.profile().warnings
    assert list(told) == [f"{VANISHED}x{number:02d}" for number in range(30)]
    assert result.warnings == (*told[:20], f"{VANISHED}and 10 more")


# --- before anything is read ----------------------------------------------------------------------


def test_a_damaged_file_of_seen_heads_stops_the_run_before_anything_is_read(world: World) -> None:
    path = world.root / "state" / "seen.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    wiring = world.wiring()
    with pytest.raises(DocumentDamaged) as caught:
        steps.stage(wiring, "app", Kind.FULL, run="run-1")
    assert str(caught.value) == (
        f"unable to read '{path}': it is not a file of seen heads\n"
        "hint: restore the file from a copy; without one, compare the targets with each other before removing it"
    )
    assert (world.targets, world.staged()) == ([], [])  # no lease either


def test_a_restore_begins_with_what_killed_ones_left(tree: World, tmp_path: Path) -> None:
    wiring = tree.wiring()
    backup(wiring, "app", Kind.FULL)
    staging = tree.root / "staging"
    for name in ("restore-0123456789ab", "restore-ba9876543210"):
        (staging / name).mkdir()
        (staging / name / "archive").write_bytes(b"of a killed one")
    for path in (staging / "restore-0123456789ab" / "archive", staging / "restore-0123456789ab"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    restore(wiring, "app", "latest", str(tmp_path / "back"))
    assert [path.name for path in staging.iterdir()] == ["restore-ba9876543210"]  # may be at work


def test_a_sweep_that_cannot_look_is_logged_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sweep_leftovers(tmp_path / ("x" * 300), 60)
    assert caplog.messages == ["what dead runs left in the staging folder stays there for now: File name too long"]
