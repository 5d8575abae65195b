"""What a lock of a file holds against, and what a crash leaves of it."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rlg_backup.core.errors import LockUnavailable, ObjectDamaged, ObjectLocked, StorageDenied
from rlg_backup.storage import local_lock
from rlg_backup.storage.local import LocalStorage
from rlg_backup.storage.port import TargetFacts

UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
NOBODY = 65534
SHA256 = hashlib.sha256(b"kept").hexdigest()


def immutable(path: Path) -> bool:
    with path.open("rb") as stream:
        return bool(local_lock._flags(stream.fileno()) & local_lock._IMMUTABLE)


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that other users reach, too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder, "target")
        for path in Path(folder).rglob("*"):
            if path.is_file():
                with path.open("rb") as stream:
                    local_lock.release(stream.fileno())


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage("nas", root)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"kept")
    return path


@pytest.fixture
def binding(storage: LocalStorage) -> None:
    storage.put_bytes("probe", b"")
    if not storage.facts().locks:
        # Not REQUIRED-IN-CI: a container's file system may have no such attribute, whoever asks.
        pytest.skip(
            "the immutable attribute cannot be set here: it takes CAP_LINUX_IMMUTABLE and a file system with it"
        )


def in_child(act: Callable[[], None], *, user: int | None = None) -> int:
    """The exit status of a process of its own, of another user if asked; 0 if ``act`` returned."""
    if (child := os.fork()) == 0:
        status = 1
        try:
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            act()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def attack(path: Path) -> None:
    """Everything that would take a file's bytes away, by whoever runs this."""
    for act in (
        path.unlink,
        lambda: path.write_bytes(b"other"),
        lambda: os.truncate(path, 0),
        lambda: path.rename(path.with_name("elsewhere")),
        lambda: path.with_name("other").rename(path),
        lambda: path.chmod(0o600),
        lambda: os.removexattr(path, local_lock._TIME),
    ):
        path.with_name("other").write_bytes(b"other")
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno in (errno.EPERM, errno.EACCES)


@pytest.mark.parametrize("user", [None, NOBODY])
def test_a_locked_file_resists_every_user_until_the_attribute_is_cleared(binding, storage, root, source, user):
    storage.put_file("a/file", source, sha256=SHA256, locked_until=UNTIL)
    storage.put_bytes("a/bytes", b"kept")
    storage.lock("a/bytes", UNTIL)
    (root / "a").chmod(0o777)
    root.chmod(0o711)
    for path in (root / "a/file", root / "a/bytes"):
        assert in_child(lambda path=path: attack(path), user=user) == 0
        assert path.read_bytes() == b"kept"


def test_a_worker_without_the_privilege_locks_against_mistakes_and_says_that_it_does_no_more(root, source):
    if os.geteuid() != 0:
        pytest.skip("REQUIRED-IN-CI: only root can become another user")  # an error in CI (tests/conftest.py)
    root.mkdir()
    os.chown(root, NOBODY, NOBODY)

    def work() -> None:
        storage = LocalStorage("nas", root)
        storage.put_bytes("a", b"1", locked_until=UNTIL)
        storage.lock("a", UNTIL + timedelta(days=1))
        with pytest.raises(ObjectLocked):
            LocalStorage("nas", root).delete("a")
        assert storage.facts().locks is False
        (root / "a").unlink()  # nothing holds it against its own user

    assert in_child(work, user=NOBODY) == 0


def test_removal_after_the_time_of_a_lock_clears_the_attribute(binding, storage, root):
    until = storage.put_bytes("a", b"1", locked_until=datetime.now(UTC) + timedelta(milliseconds=500)).locked_until
    assert immutable(root / "a")
    time.sleep((until - datetime.now(UTC)).total_seconds() + 0.01)
    assert immutable(root / "a")
    storage.delete("a")
    assert not (root / "a").exists()


def test_an_immutable_attribute_that_is_not_of_a_lock_is_left_alone(binding, storage, root):
    storage.put_bytes("a", b"1")
    with (root / "a").open("rb") as stream:
        local_lock.hold(stream.fileno())
    with pytest.raises(StorageDenied) as caught:
        storage.delete("a")
    assert str(caught.value) == "unable to delete 'a': Operation not permitted on target 'nas'"
    assert immutable(root / "a")


# --- crashes --------------------------------------------------------------------------------------


def killed_at(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """Runs ``act`` in a process that is killed when it comes to that function of local_lock."""
    with monkeypatch.context() as patch:
        patch.setattr(local_lock, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        assert in_child(act) == -signal.SIGKILL


def test_a_writer_killed_before_the_attribute_leaves_a_file_locked_by_its_time_and_lock_makes_up_for_it(
    binding, storage, root, source, monkeypatch
):
    killed_at(monkeypatch, "hold", lambda: storage.put_file("a", source, sha256=SHA256, locked_until=UNTIL))
    assert not immutable(root / "a")
    assert storage.stat("a").locked_until == UNTIL
    with pytest.raises(ObjectLocked):
        storage.delete("a")
    storage.lock("a", UNTIL)
    assert immutable(root / "a")


def test_a_writer_killed_while_it_locks_leaves_nothing_that_is_listed_or_that_sweep_cannot_remove(
    storage, root, source, monkeypatch
):
    storage.put_bytes("a", b"1")
    killed_at(monkeypatch, "note", lambda: storage.put_file("b", source, sha256=SHA256, locked_until=UNTIL))
    with monkeypatch.context() as patch:
        patch.setattr("rlg_backup.storage.local.write", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        assert in_child(lambda: storage.put_file("c", source, sha256=SHA256, locked_until=UNTIL)) == -signal.SIGKILL
    assert [info.key for info in storage.list("")] == ["a"]
    assert storage.sweep(timedelta(0)) == 2


def test_one_killed_while_he_makes_a_lock_longer_leaves_the_shorter_one(storage, root, monkeypatch):
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    killed_at(monkeypatch, "note", lambda: storage.lock("a", UNTIL + timedelta(days=1)))
    assert storage.stat("a").locked_until == UNTIL
    storage.lock("a", UNTIL + timedelta(days=1))
    assert storage.stat("a").locked_until == UNTIL + timedelta(days=1)


def test_a_lock_that_lost_its_mode_is_told_again_once_it_is_locked_again(storage, root):
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    with (root / "a").open("rb") as stream:
        local_lock.release(stream.fileno())
    (root / "a").chmod(0o600)
    storage.lock("a", UNTIL)
    assert storage.stat("a").locked_until == UNTIL


# --- where there is no place for a lock -----------------------------------------------------------


@pytest.mark.parametrize("error", [errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_extended_attributes_keeps_no_locks_and_stores_nothing(
    storage, source, monkeypatch, error
):
    storage.put_bytes("there", b"1")

    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "setxattr", refuse)
    for verb, key, act in (
        ("store", "a", lambda: storage.put_bytes("a", b"1", locked_until=UNTIL)),
        ("store", "a", lambda: storage.put_file("a", source, sha256=SHA256, locked_until=UNTIL)),
        ("lock", "there", lambda: storage.lock("there", UNTIL)),
    ):
        with pytest.raises(LockUnavailable) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} '{key}': target 'nas' keeps no locks"
    assert [info.key for info in storage.list("")] == ["there"]
    assert storage.facts().locks is False
    assert storage.sweep(timedelta(0)) == 0


def test_a_lock_whose_time_cannot_be_read_is_no_permission(storage, root):
    storage.put_bytes("a", b"1")
    os.setxattr(root / "a", local_lock._TIME, b"tomorrow")
    with pytest.raises(ObjectDamaged) as caught:
        storage.delete("a")
    assert str(caught.value) == "unable to delete 'a': the time of its lock cannot be read"
    assert (root / "a").exists()


def test_a_lock_holds_also_when_somebody_made_the_file_writable(storage, root):
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    with (root / "a").open("rb") as stream:
        local_lock.release(stream.fileno())
    (root / "a").chmod(0o600)
    for remove in (storage.delete, storage.erase):
        with pytest.raises(ObjectLocked):
            remove("a")


# --- what a folder says of itself -----------------------------------------------------------------


def test_a_folder_never_written_to_says_nothing_and_is_not_made(storage, root):
    assert storage.facts() == TargetFacts()
    assert not root.exists()


def test_a_folder_that_others_may_enter_is_public(storage, root):
    storage.put_bytes("a", b"1")
    assert storage.facts().public is False
    root.chmod(0o755)
    assert storage.facts().public is True


def test_a_folder_that_may_not_be_written_to_says_that_nothing_may_be_deleted(root):
    if os.geteuid() != 0:
        pytest.skip("REQUIRED-IN-CI: only root can become another user")  # an error in CI (tests/conftest.py)
    root.mkdir(mode=0o755)

    def work() -> None:
        assert LocalStorage("nas", root).facts().may_delete is False

    assert in_child(work, user=NOBODY) == 0
