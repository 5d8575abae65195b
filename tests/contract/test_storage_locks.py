"""What every target that keeps locks promises of them: storage/port.py, tried on each driver."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Target

from rlg_backup.core.errors import InvalidSetting, LockUnavailable, ObjectExists, ObjectLocked, ObjectMissing
from rlg_backup.storage.port import Storage

MIB = 1 << 20
UNTIL = datetime(2100, 2, 3, 4, 5, 6, tzinfo=UTC)
LOCKED = "it is locked until 2100-02-03T04:05:06Z"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


def wait_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()) + 0.05)


def refuses_everything(storage: Storage, key: str, content: bytes, cause: str) -> None:
    """Nothing that would delete or overwrite the object is carried out."""
    info = storage.stat(key)
    for verb, act in (
        ("delete", lambda: storage.delete(key)),
        ("erase", lambda: storage.erase(key)),
        ("store", lambda: storage.put_bytes(key, b"other", replacing=info.tag)),
    ):
        with pytest.raises(ObjectLocked) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} '{key}': {cause}"
    with pytest.raises(ObjectExists):
        storage.put_bytes(key, b"other")
    assert storage.get_bytes(key, limit=len(content))[0] == content
    assert storage.stat(key) == info


def test_a_locked_object_is_neither_deleted_nor_overwritten_whoever_asks(target):
    target.locking().put_bytes("a/b", b"kept")
    target.locking().lock("a/b", UNTIL)
    for _ in range(2):
        refuses_everything(target.locking(), "a/b", b"kept", LOCKED)


@pytest.mark.parametrize("size", [0, 3, 11 * MIB])
def test_a_file_stored_with_a_lock_is_locked_from_the_first_moment(vault, file, size):
    data = bytes(size)
    info = vault.put_file("a", file(data), sha256=sha256(data), locked_until=UNTIL)
    assert info.locked_until == UNTIL
    found = vault.stat("a")
    assert (found.size, found.tag, found.locked_until) == (size, info.tag, UNTIL)
    with pytest.raises(ObjectLocked) as caught:
        vault.put_file("a", file(b"other"), sha256=sha256(b"other"), replacing=True)
    assert str(caught.value) == f"unable to store 'a': {LOCKED}"
    refuses_everything(vault, "a", data, LOCKED)


def test_bytes_stored_with_a_lock_are_locked_also_when_they_replace_others(vault):
    tag = vault.put_bytes("a", b"0").tag
    info = vault.put_bytes("a", b"1", replacing=tag, locked_until=UNTIL)
    assert info.locked_until == UNTIL
    assert vault.get_bytes("a", limit=1)[0] == b"1"
    refuses_everything(vault, "a", b"1", LOCKED)
    assert vault.put_bytes("b", b"2", locked_until=UNTIL).locked_until == UNTIL
    refuses_everything(vault, "b", b"2", LOCKED)


def test_a_lock_only_ever_becomes_longer(vault):
    vault.put_bytes("a", b"1")
    assert vault.stat("a").locked_until is None
    vault.lock("a", UNTIL - timedelta(days=2))
    vault.lock("a", UNTIL)
    for other in (UNTIL, UNTIL - timedelta(days=1), soon(), datetime.now(UTC) - timedelta(days=1)):
        vault.lock("a", other)
        assert vault.stat("a").locked_until == UNTIL
    vault.lock("a", UNTIL + timedelta(seconds=1))
    refuses_everything(vault, "a", b"1", "it is locked until 2100-02-03T04:05:07Z")


def test_a_lock_ends_at_its_time_and_the_object_is_as_before(vault):
    moment = soon()
    tag = vault.put_bytes("a", b"1", locked_until=moment).tag
    vault.put_bytes("b", b"1")
    vault.lock("b", moment)
    with pytest.raises(ObjectLocked):
        vault.delete("b")
    wait_until(moment + timedelta(seconds=1))  # it was rounded up
    assert (vault.stat("a").locked_until, vault.stat("b").locked_until) == (None, None)
    tag = vault.put_bytes("a", b"2", replacing=tag).tag
    assert vault.get_bytes("a", limit=1)[0] == b"2"
    vault.delete("a")
    assert vault.erase("b") == 1
    assert list(vault.list("")) == []
    vault.lock(vault.put_bytes("b", b"again").key, UNTIL)
    refuses_everything(vault, "b", b"again", LOCKED)


def test_a_lock_is_rounded_up_to_a_whole_second_of_utc(vault):
    east = timezone(timedelta(hours=3))
    vault.put_bytes("a", b"1")
    vault.lock("a", datetime(2100, 1, 1, 2, 0, 0, 1, tzinfo=east))
    assert vault.stat("a").locked_until == datetime(2099, 12, 31, 23, 0, 1, tzinfo=UTC)


def test_a_time_that_has_passed_locks_nothing(vault, file):
    past = datetime.now(UTC) - timedelta(seconds=5)
    assert vault.put_bytes("a", b"1", locked_until=past).locked_until is None
    assert vault.put_file("b", file(b"1"), sha256=sha256(b"1"), locked_until=past).locked_until is None
    vault.lock("a", past)
    vault.delete("a")
    vault.delete("b")
    assert list(vault.list("")) == []


def test_a_time_without_a_zone_is_refused_before_anything_is_stored(vault, file):
    vault.put_bytes("there", b"1")
    naive = UNTIL.replace(tzinfo=None)
    for verb, key, act in (
        ("store", "a", lambda: vault.put_bytes("a", b"1", locked_until=naive)),
        ("store", "a", lambda: vault.put_file("a", file(b"1"), sha256=sha256(b"1"), locked_until=naive)),
        ("lock", "there", lambda: vault.lock("there", naive)),
    ):
        with pytest.raises(InvalidSetting) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} '{key}': the time of a lock has no zone"
    assert [info.key for info in vault.list("")] == ["there"]


def test_what_is_not_there_cannot_be_locked(vault):
    for until in (UNTIL, datetime.now(UTC) - timedelta(days=1)):
        with pytest.raises(ObjectMissing) as caught:
            vault.lock("no/such", until)
        assert str(caught.value) == "unable to lock 'no/such': it is not on target 't'"


def test_a_lock_keeps_no_other_object(vault):
    for key in ("a/b", "a/c", "a/bb"):
        vault.put_bytes(key, b"1")
    vault.lock("a/b", UNTIL)
    vault.delete("a/c")
    vault.erase("a/bb")
    assert [info.key for info in vault.list("")] == ["a/b"]


@pytest.mark.parametrize("size", [3, 11 * MIB])
def test_a_target_that_keeps_no_locks_says_so_and_stores_nothing(target: Target, file, size):
    target.require("lockless")
    assert target.lockless is not None
    storage, data = target.lockless(), bytes(size)
    storage.put_bytes("there", b"1")
    for verb, key, act in (
        ("store", "a", lambda: storage.put_bytes("a", b"1", locked_until=UNTIL)),
        ("store", "a", lambda: storage.put_file("a", file(data), sha256=sha256(data), locked_until=UNTIL)),
        ("lock", "there", lambda: storage.lock("there", UNTIL)),
    ):
        with pytest.raises(LockUnavailable) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} '{key}': target 't' keeps no locks"
        assert caught.value.exit_code == 2
    assert [info.key for info in storage.list("")] == ["there"]
    storage.delete("there")
