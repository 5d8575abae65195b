"""Files that change, vanish or are exchanged while a tree is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rlg_backup.core.errors import SourceChanged, SourceUnreadable
from rlg_backup.sources.files import FileSource


def read_while(root: Path, change: Callable[[Path], object]) -> bool:
    """Whether ``unchanged`` says so after ``change`` was made to root/file half way."""
    with FileSource(root).snapshot() as snapshot:
        (entry,) = (entry for entry in snapshot.entries() if entry.path == b"file")
        with snapshot.open(entry) as reader:
            reader.read(5)
            change(root / "file")
            while reader.read(1000):
                pass
            return reader.unchanged()


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(7)
        file.write(b"X")


def rewrite_and_hide(path: Path) -> None:
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"0123456789")
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        rewrite_and_hide,
        replace,
        lambda path: path.unlink(),
        lambda path: os.truncate(path, 3),
        lambda path: path.open("ab").write(b"more"),
        lambda path: path.chmod(0o600),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert not read_while(tmp_path, change)


def test_a_file_nobody_touches_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert read_while(tmp_path, lambda path: None)


def test_a_change_right_after_the_last_one_cannot_hide_behind_a_coarse_clock(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileSource(tmp_path).snapshot() as snapshot:
        (_, entry) = snapshot.entries()
        for number in range(20):
            (tmp_path / "file").write_bytes(b"%010d" % number)
            with snapshot.open(snapshot.restat(entry)) as reader:
                reader.read(100)
                rewrite(tmp_path / "file")
                assert not reader.unchanged()


def test_a_file_changed_since_it_was_listed_is_not_its_entry_until_it_is_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileSource(tmp_path).snapshot() as snapshot:
        (_, entry) = snapshot.entries()
        (tmp_path / "file").write_bytes(b"longer than before")
        for seen, expected in ((entry, False), (snapshot.restat(entry), True)):
            with snapshot.open(seen) as reader:
                assert reader.read(100) == b"longer than before"
                assert reader.unchanged() is expected


def test_a_growing_file_is_read_to_the_size_it_had(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileSource(tmp_path).snapshot() as snapshot:
        (_, entry) = snapshot.entries()
        with snapshot.open(entry) as reader, (tmp_path / "file").open("ab", buffering=0) as file:
            content = b""
            while piece := reader.read(4):
                content += piece
                file.write(b"grow" * 10)
    assert content == b"0123456789"


def swap(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: None,
    ],
)
def test_what_takes_the_place_of_a_file_is_never_read(tmp_path: Path, make: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with FileSource(tmp_path).snapshot() as snapshot:
        (_, entry) = snapshot.entries()
        swap(tmp_path / "file", make)
        with pytest.raises(SourceChanged) as caught:
            snapshot.open(entry)
        assert str(caught.value) == "unable to read 'file': it is gone, or no file any more"


def test_a_link_that_takes_the_place_of_a_folder_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").write_bytes(b"mine")
    with FileSource(root).snapshot() as snapshot:
        *_, entry = snapshot.entries()
        (root / "folder").rename(root / "moved")
        (root / "folder").symlink_to(outside)
        for attempt in (snapshot.open, snapshot.restat):
            with pytest.raises(SourceChanged):
                attempt(entry)
        listed = {found.path for found in snapshot.entries()}
        assert b"folder/file" not in listed


def test_a_folder_that_vanishes_while_the_tree_is_walked_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a" / "folder").mkdir(parents=True)
    with FileSource(tmp_path / "a").snapshot() as snapshot:
        walking = snapshot.entries()
        assert next(walking).path == b""
        assert next(walking).path == b"folder"
        (tmp_path / "a" / "folder").rmdir()
        with pytest.raises(SourceChanged) as caught:
            list(walking)
        assert str(caught.value) == "unable to list 'folder': it was replaced or removed while it was being listed"


def test_a_file_that_may_not_be_read_is_named_and_not_skipped(powerless: Path) -> None:
    (powerless / "secret").write_bytes(b"x")
    (powerless / "secret").chmod(0)
    with FileSource(powerless).snapshot() as snapshot:
        (_, entry) = snapshot.entries()
        with pytest.raises(SourceUnreadable) as caught:
            snapshot.open(entry)
    assert str(caught.value) == "unable to read 'secret': permission denied"


def test_a_folder_that_may_not_be_listed_is_named_and_not_skipped(powerless: Path) -> None:
    (powerless / "locked").mkdir(0)
    with pytest.raises(SourceUnreadable) as caught, FileSource(powerless).snapshot():
        pass
    assert str(caught.value) == "unable to list 'locked': permission denied"
