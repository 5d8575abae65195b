"""What only a folder can do wrong: modes, links, full disks, killed writers."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

import rlg_backup
from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.storage.local import LocalStorage

EMPTY = hashlib.sha256(b"").hexdigest()
PLUGINS = str(Path(rlg_backup.__file__).parents[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "target"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage("nas", root)


# --- modes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_folders_are_0700_and_files_0600_whatever_the_umask(storage, root, tmp_path, mask):
    source = tmp_path / "source"
    source.write_bytes(b"")
    before = os.umask(mask)
    try:
        storage.put_file("a/b/file", source, sha256=EMPTY)
        tag = storage.put_bytes("a/c/bytes", b"1").tag
        storage.put_bytes("a/c/bytes", b"2", replacing=tag)
    finally:
        os.umask(before)
    modes = {p.relative_to(root.parent).as_posix(): stat.S_IMODE(p.stat().st_mode) for p in root.parent.rglob("*")}
    assert modes == {
        "target": 0o700,
        "target/.lock": 0o600,
        "target/a": 0o700,
        "target/a/b": 0o700,
        "target/a/b/file": 0o600,
        "target/a/c": 0o700,
        "target/a/c/bytes": 0o600,
    }
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700


def test_a_folder_that_exists_keeps_its_mode(storage, root):
    root.mkdir(parents=True, mode=0o755)
    root.chmod(0o755)
    storage.put_bytes("a", b"")
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_reading_makes_no_folder_and_no_file(storage, root):
    assert list(storage.list("")) == []
    storage.delete("a")
    assert storage.sweep(timedelta(0)) == 0
    with pytest.raises(ObjectMissing):
        storage.stat("a")
    assert not root.parent.exists()


def test_deleting_the_last_object_of_a_folder_removes_the_folder_but_never_the_root(storage, root):
    storage.put_bytes("a/b/c", b"")
    storage.put_bytes("a/d", b"")
    storage.delete("a/b/c")
    assert sorted(p.name for p in root.rglob("*")) == [".lock", "a", "d"]
    storage.delete("a/d")
    assert sorted(p.name for p in root.rglob("*")) == [".lock"]


# --- links and strangers --------------------------------------------------------------------------

LINK = "a symbolic link, device or pipe stands in its path on target 'nas'"


@pytest.mark.parametrize("inside", [False, True])
def test_a_symbolic_link_is_never_followed_neither_as_a_folder_nor_as_an_object(storage, root, tmp_path, inside):
    storage.put_bytes("real/secret", b"s")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    place = root / "real" if inside else outside
    (root / "folder").symlink_to(place)
    (root / "object").symlink_to(place / "secret")
    source = tmp_path / "source"
    source.write_bytes(b"")
    for verb, act in (
        ("read", lambda key: storage.stat(key)),
        ("read", lambda key: storage.open(key)),
        ("read", lambda key: storage.get_bytes(key, limit=9)),
        ("read", lambda key: storage.read_range(key, 0, 1)),
        ("store", lambda key: storage.put_bytes(key, b"", replacing="0-0-0")),
        ("store", lambda key: storage.put_file(key, source, sha256=EMPTY)),
        ("delete", lambda key: storage.delete(key)),
    ):
        for key in ("folder/secret", "object"):
            with pytest.raises(StorageDenied) as caught:
                act(key)
            assert str(caught.value) == f"unable to {verb} '{key}': {LINK}"
    with pytest.raises(StorageDenied) as caught:
        storage.put_bytes("folder/new", b"")
    assert str(caught.value) == f"unable to store 'folder/new': {LINK}"
    for prefix in ("", "folder", "object"):
        with pytest.raises(StorageDenied) as caught:
            list(storage.list(prefix))
        assert str(caught.value) == f"unable to list '{prefix}': {LINK}"
    assert [info.key for info in storage.list("real/")] == ["real/secret"]
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == b"s"


def test_the_root_itself_may_be_a_symbolic_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "target").symlink_to(tmp_path / "disk")
    LocalStorage("nas", tmp_path / "target").put_bytes("a/b", b"1")
    assert (tmp_path / "disk" / "a" / "b").read_bytes() == b"1"


@pytest.mark.timeout(10)
def test_a_pipe_in_place_of_an_object_is_refused_and_does_not_hang(storage, root):
    storage.put_bytes("a", b"")
    os.mkfifo(root / "pipe")
    with pytest.raises(StorageDenied) as caught:
        storage.open("pipe")
    assert str(caught.value) == f"unable to read 'pipe': {LINK}"


def test_what_others_leave_in_the_folder_is_not_listed(storage, root):
    storage.put_bytes("a", b"")
    (root / "lost+found").mkdir()
    (root / "lost+found" / "x").touch()
    (root / ".DS_Store").touch()
    (root / "empty").mkdir()
    assert [info.key for info in storage.list("")] == ["a"]


def test_a_key_cannot_be_another_keys_folder(storage):
    storage.put_bytes("a/b", b"")
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a/b/c", b"")
    assert str(caught.value) == "unable to store 'a/b/c': a part of its path is an object of target 'nas'"
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"")
    assert str(caught.value) == "unable to store 'a': target 'nas' has it already"


def test_a_file_in_place_of_the_root_is_a_configuration_error(storage, root):
    root.parent.mkdir()
    root.touch()
    for verb, act in (
        ("store", lambda: storage.put_bytes("a", b"")),
        ("read", lambda: storage.stat("a")),
        ("list", lambda: list(storage.list(""))),
    ):
        with pytest.raises(InvalidSetting) as caught:
            act()
        subject = "" if verb == "list" else "a"
        assert str(caught.value) == f"unable to {verb} '{subject}': the folder of target 'nas' is a file"


# --- errors of the operating system ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOSPC, StorageFull, "No space left on device"),
        (errno.EDQUOT, StorageFull, "Disk quota exceeded"),
        (errno.EFBIG, StorageFull, "File too large"),
        (errno.EACCES, StorageDenied, "Permission denied"),
        (errno.EPERM, StorageDenied, "Operation not permitted"),
        (errno.EROFS, StorageDenied, "Read-only file system"),
        (errno.EIO, StorageUnavailable, "Input/output error"),
        (errno.ESTALE, StorageUnavailable, "Stale file handle"),
        (errno.EMFILE, StorageUnavailable, "Too many open files"),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync", "utime", "open", "mkdir"])
def test_errors_of_the_system_have_their_class_and_leave_nothing(storage, root, monkeypatch, number, kind, said, call):
    storage.put_bytes("a/x", b"")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/a/path/nobody/needs/to/see")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(kind) as caught:
        storage.put_bytes("b/x", b"1")
    monkeypatch.undo()
    assert type(caught.value) is kind
    assert str(caught.value) == f"unable to store 'b/x': {said} on target 'nas'"
    assert [info.key for info in storage.list("")] == ["a/x"]
    assert not list(root.glob(".tmp-*"))


def test_a_read_error_in_mid_stream_is_the_ports_own(storage, monkeypatch):
    storage.put_bytes("a", bytes(100))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "gone")

    with storage.open("a") as stream:
        monkeypatch.setattr(os, "readv", fail)
        with pytest.raises(StorageUnavailable) as caught:
            stream.read(10)
    assert str(caught.value) == "unable to read 'a': Input/output error on target 'nas'"


def test_an_object_cut_short_under_a_reader_is_damage(storage, root, monkeypatch):
    storage.put_bytes("a", b"12345")
    real = os.pread
    monkeypatch.setattr(
        os, "pread", lambda file, length, offset: real(file, min(length, 2), offset) if offset < 4 else b""
    )
    with pytest.raises(ObjectDamaged) as caught:
        storage.read_range("a", 0, 5)
    assert str(caught.value) == "unable to read 'a': it ends before byte 5"


# --- odd file systems -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_without_hard_links_a_taken_key_is_still_never_overwritten(storage, monkeypatch, number):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    storage.put_bytes("a/b", b"1")
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a/b", b"2")
    assert str(caught.value) == "unable to store 'a/b': target 'nas' has it already"
    assert storage.get_bytes("a/b", limit=1)[0] == b"1"


def test_a_link_request_repeated_by_a_network_file_system_is_still_our_success(storage, monkeypatch):
    real = os.link

    def twice(*place: str, **folders: int) -> None:
        real(*place, **folders)
        real(*place, **folders)

    monkeypatch.setattr(os, "link", twice)
    storage.put_bytes("a", b"1")
    with pytest.raises(ObjectExists):
        storage.put_bytes("a", b"2")
    assert storage.get_bytes("a", limit=1)[0] == b"1"


def test_folders_that_cannot_be_synced_do_not_stop_a_write(storage, monkeypatch):
    real = os.fsync

    def refuse_folders(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not for folders")
        real(file)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    storage.put_bytes("a/b", b"1")
    assert storage.get_bytes("a/b", limit=1)[0] == b"1"


def test_a_write_syncs_the_file_before_its_name_and_the_folder_after(storage, monkeypatch):
    storage.put_bytes("a/0", b"")
    done: list[str] = []
    real_sync, real_link = os.fsync, os.link
    monkeypatch.setattr(
        os, "fsync", lambda f: done.append("folder" if stat.S_ISDIR(os.fstat(f).st_mode) else "file") or real_sync(f)
    )
    monkeypatch.setattr(os, "link", lambda *a, **k: done.append("link") or real_link(*a, **k))
    storage.put_bytes("a/1", b"1")
    assert done == ["file", "link", "folder"]


@pytest.mark.parametrize("grain", [1, 1_000_000_000, 2_000_000_000])
def test_tags_differ_even_when_inodes_come_back_and_file_times_are_coarse(storage, monkeypatch, grain):
    real = os.utime
    monkeypatch.setattr(os, "utime", lambda f, ns: real(f, ns=tuple(t // grain * grain for t in ns)))
    tags = [storage.put_bytes("lease", b"0").tag]
    for _ in range(20):
        tags.append(storage.put_bytes("lease", b"0", replacing=tags[-1]).tag)
    assert len(set(tags)) == len(tags)
