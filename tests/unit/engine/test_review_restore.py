"""Restores of awkward backups: files with several names that change, a bad copy, a drill's scratch."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from tests.support.world import World

from rlg_backup.core.errors import DestinationUnsuitable, InvalidSetting
from rlg_backup.engine.drill import ABANDONED, MARK, make_scratch, remove_scratch, restore_block
from rlg_backup.engine.places import require_allowed
from rlg_backup.sources.files import FileReader, FileTreeSnapshot
from rlg_backup.sources.port import Entry

NOBODY = 65534


@pytest.fixture
def tree(world: World) -> Iterator[Path]:
    """The tree ``files``: one file of three names."""
    root = world.root / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"first")
    os.link(root / "a", root / "b")
    os.link(root / "a", root / "c")
    world.settings["sources"] = {"files": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.save()
    yield root


def restored(world: World) -> Path:
    to = world.root / "restored"
    done = world.run("restore", "latest", "--to", to)
    assert (done.code, done.err) == (0, "")
    return to


@pytest.mark.parametrize("gone", [("a",), ("a", "b"), ("a", "b", "c")])
def test_a_file_whose_first_names_vanish_is_restored_by_the_names_left(
    world: World, tree: Path, gone: tuple[str, ...]
) -> None:
    real = FileTreeSnapshot.open

    def remove_then_open(self: FileTreeSnapshot, entry: Entry) -> FileReader:
        for name in gone:
            (tree / name).unlink(missing_ok=True)
        return real(self, entry)

    with patch.object(FileTreeSnapshot, "open", remove_then_open):
        done = world.run("backup")
    warned = [f"  warning: a file vanished after it was listed, and is not saved: {name}" for name in gone]
    assert (done.code, done.out.splitlines()[1:]) == (0, warned)
    to = restored(world)
    left = [name for name in ("a", "b", "c") if name not in gone]
    assert [name for name in ("a", "b", "c") if (to / name).exists()] == left
    assert {(to / name).stat().st_ino for name in left} == {(to / name).stat().st_ino for name in left[:1]}
    assert all((to / name).read_bytes() == b"first" for name in left)


def test_a_file_of_several_names_that_changes_while_it_is_read_can_be_restored(world: World, tree: Path) -> None:
    real, opened = FileTreeSnapshot.open, []

    def change_once(self: FileTreeSnapshot, entry: Entry) -> FileReader:
        reader = real(self, entry)
        if not opened:
            (tree / "a").write_bytes(b"changed meanwhile")
        opened.append(entry.path)
        return reader

    with patch.object(FileTreeSnapshot, "open", change_once):
        world.back_up()
    to = restored(world)
    assert (to / "c").read_bytes() == b"changed meanwhile"
    assert len({(to / name).stat().st_ino for name in ("a", "b", "c")}) == 1


def test_verify_by_id_does_not_pass_over_a_copy_that_is_damaged(world: World) -> None:
    backup_id = world.back_up()
    manifest = world.target() / "app" / backup_id / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    done = world.run("verify", backup_id, "--json")
    assert (done.code, done.json["verdict"], done.json["target"]) == (1, "FAIL", "second")
    wrong = [(check["name"], check["measured"]) for check in done.json["checks"] if check["verdict"] == "FAIL"]
    why = f"unable to verify 'app/{backup_id}/manifest.json': its SHA-256 is not the one that was committed"
    assert wrong == [("target local", why)]
    done = world.run("restore", backup_id, "--to", world.root / "out.db")
    assert (done.code, f"  note: the copy on target 'local' was not used: {why}" in done.out.splitlines()) == (0, True)


@pytest.mark.parametrize("which", ["0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00"])
def test_the_first_day_there_is_is_a_time_like_any_other(world: World, which: str) -> None:
    world.back_up()
    done = world.run("show", which)
    assert (done.code, "has no backup on local, second that old" in done.err) == (2, True)


def drilling(world: World, **given: str) -> World:
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports", **given}
    world.save()
    return world


def test_a_drill_that_could_not_ask_every_target_for_a_newer_backup_is_not_green(world: World) -> None:
    drilling(world).back_up()
    shutil.rmtree(world.target("second"))
    world.target("second").write_text("a file where a folder should be")
    done = world.run("drill", "--json")
    assert (done.code, done.json["verdict"]) == (3, "COULD-NOT-VERIFY")
    first = done.json["sources"][0]["checks"][0]
    assert (first["name"], first["measured"]) == (
        "target second",
        "unable to list 'catalog/app/': the folder of target 'second' is a file",
    )


def test_a_scratch_folder_that_cannot_be_made_is_an_error_of_its_setting(world: World) -> None:
    done = drilling(world, scratch="app.db/scratch").run("drill")
    assert (done.code, done.err) == (
        2,
        "error: unable to use 'drill.scratch': no folder can be made in it (not a directory)\n"
        "hint: name a folder this user may write to\n",
    )


def test_what_a_killed_drill_left_in_the_clear_is_removed_by_the_next(world: World) -> None:
    wiring = drilling(world).wiring()
    dead, living = make_scratch(wiring, "dead"), make_scratch(wiring, "living")
    (dead / "app").write_bytes(b"restored")
    (dead / MARK).touch()
    long_ago = (dead / MARK).stat().st_mtime - ABANDONED - 1
    os.utime(dead / MARK, (long_ago, long_ago))
    theirs = dead.parent / "drill-press"
    theirs.mkdir()
    os.utime(theirs, (long_ago, long_ago))
    mine = make_scratch(wiring, "mine")
    assert sorted(dead.parent.iterdir()) == sorted([theirs, living, mine])
    assert stat.S_IMODE(mine.stat().st_mode) == 0o700


def test_scratch_is_removed_whatever_modes_were_restored_into_it(world: World) -> None:
    with TemporaryDirectory() as place:  # unlike tmp_path, in a folder that is open to other users
        wiring = drilling(world, scratch=f"{place}/scratch").wiring()
        scratch, outside = make_scratch(wiring, "modes"), Path(place, "outside")
        closed = scratch / "files" / "closed"
        (closed / "inner").mkdir(parents=True)
        (closed / "inner" / "file").write_bytes(b"restored")
        outside.mkdir()
        (closed / "link").symlink_to(outside)
        for folder, mode in ((closed / "inner", 0), (closed, 0o500), (outside, 0o500)):
            folder.chmod(mode)
        identity, group = os.geteuid(), os.getegid()
        if identity == 0:  # root may do anything: look as somebody else
            for path in (Path(place), *Path(place).rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        try:
            remove_scratch(wiring, str(scratch))
        finally:
            os.seteuid(identity)
            os.setegid(group)
        assert not scratch.exists()
        assert stat.S_IMODE(outside.stat().st_mode) == 0o500


def test_a_drill_restores_into_no_folder_but_a_drills(world: World) -> None:
    wiring = drilling(world).wiring()
    place = world.root / "elsewhere" / "app"
    place.mkdir(parents=True)
    with pytest.raises(InvalidSetting) as caught:
        restore_block(wiring, "app", str(place.parent))
    assert str(caught.value) == (f"unable to restore into '{place.parent}': it is not a scratch folder of a drill")
    assert place.is_dir()


def test_the_ui_restores_only_into_folders_that_are_open_to_it(world: World, tmp_path: Path) -> None:
    opened, closed = tmp_path / "open", tmp_path / "closed"
    opened.mkdir()
    closed.mkdir()
    (opened / "way_out").symlink_to(closed)
    world.settings["restore_folders"] = [str(opened)]
    world.save()
    assert require_allowed(world.wiring(), "app", str(opened / "a.db")) == str(opened / "a.db")
    for place in (closed / "a.db", opened, opened / ".." / "closed" / "a.db", opened / "way_out" / "a.db"):
        with pytest.raises(DestinationUnsuitable) as raised:
            require_allowed(world.wiring(), "app", str(place))
        assert str(raised.value) == (
            f"unable to restore to '{place}': it is in none of the folders that are open to this\n"
            f"hint: name a path below {opened}"
        )
    world.settings["restore_folders"] = []
    world.save()
    with pytest.raises(DestinationUnsuitable) as raised:
        require_allowed(world.wiring(), "app", str(opened / "a.db"))
    assert raised.value.hint == "set 'restore_folders'"
