"""Tiers, thawing, erasing, and what a target says of itself: storage/port.py, tried on each driver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Target

from rlg_backup.core.errors import InvalidSetting, ObjectFrozen, ObjectMissing
from rlg_backup.core.model import Tier
from rlg_backup.storage.port import Storage

UNTIL = datetime(2100, 2, 3, 4, 5, 6, tzinfo=UTC)


def listed(storage: Storage) -> dict[str, Tier]:
    return {info.key: info.tier for info in storage.list("")}


# --- tiers ----------------------------------------------------------------------------------------


def test_what_is_stored_lies_hot_and_can_be_read(storage):
    info = storage.put_bytes("a", b"1")
    for one in (info, storage.stat("a"), storage.get_bytes("a", limit=1)[1], *storage.list("")):
        assert (one.tier, one.readable) == (Tier.HOT, True)


def test_an_object_moves_to_each_colder_tier_and_stays_what_it_was(target: Target):
    storage = target.open()
    for tier in target.tiers:
        key = f"s/{tier}"
        storage.put_bytes(key, b"content")
        storage.put_bytes(f"{key}-beside", b"other")
        info = storage.move_to(key, tier)
        assert (info.key, info.size, info.tier) == (key, 7, tier)
        assert storage.stat(key) == info
        assert listed(storage)[key] is tier
        assert listed(storage)[f"{key}-beside"] is Tier.HOT
        if info.readable:
            assert storage.get_bytes(key, limit=7)[0] == b"content"
            assert storage.read_range(key, 2, 3) == b"nte"


def test_moving_is_idempotent_and_never_goes_back_to_a_warmer_tier(target: Target):
    storage = target.open()
    storage.put_bytes("a", b"1")
    for tier in target.tiers:
        cold = storage.move_to("a", tier)
        for warmer in target.tiers[: target.tiers.index(tier) + 1]:
            assert storage.move_to("a", warmer) == cold
    assert storage.stat("a").tier is target.tiers[-1]


def test_a_tier_that_the_target_has_not_is_refused(target: Target):
    storage = target.open()
    storage.put_bytes("a", b"1")
    for tier in set(Tier) - set(target.tiers):
        with pytest.raises(InvalidSetting) as caught:
            storage.move_to("a", tier)
        assert str(caught.value) == f"unable to move 'a': target 't' has no tier '{tier}'"
    assert listed(storage) == {"a": Tier.HOT}


def test_a_moved_object_keeps_its_lock(target: Target):
    target.require("tiers")
    vault = target.locking()
    vault.put_bytes("a", b"1", locked_until=UNTIL)
    info = vault.move_to("a", Tier.COOL)
    assert (info.tier, info.locked_until) == (Tier.COOL, UNTIL)
    assert vault.stat("a") == info
    assert vault.get_bytes("a", limit=1)[0] == b"1"


def test_a_moved_object_is_replaced_and_deleted_like_any_other(target: Target):
    target.require("tiers")
    storage = target.open()
    storage.put_bytes("a", b"1")
    tag = storage.move_to("a", Tier.COOL).tag
    storage.put_bytes("a", b"2", replacing=tag)
    assert storage.get_bytes("a", limit=1)[0] == b"2"
    storage.move_to("a", Tier.COLD)
    storage.delete("a")
    assert listed(storage) == {}


def test_what_is_not_there_is_neither_moved_nor_thawed(storage):
    for verb, act in (
        ("move", lambda: storage.move_to("no/such", Tier.HOT)),
        ("thaw", lambda: storage.thaw("no/such", 1)),
    ):
        with pytest.raises(ObjectMissing) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} 'no/such': it is not on target 't'"


# --- thawing --------------------------------------------------------------------------------------


def test_a_frozen_object_is_read_once_it_is_thawed_and_not_before(target: Target):
    target.require("thaw")
    assert target.thawed is not None
    storage = target.open()
    storage.put_bytes("a", b"content")
    frozen = storage.move_to("a", target.tiers[-1])
    assert not frozen.readable
    assert not storage.stat("a").readable
    refuses_to_be_read(storage)
    for _ in range(2):
        assert storage.thaw("a", 2) is False
        refuses_to_be_read(storage)
    target.thawed()
    for _ in range(2):
        assert storage.thaw("a", 2) is True
    assert storage.stat("a").readable
    assert storage.get_bytes("a", limit=7)[0] == b"content"
    assert storage.read_range("a", 2, 3) == b"nte"
    with storage.open("a") as stream:
        assert stream.read() == b"content"
    storage.delete("a")


def refuses_to_be_read(storage: Storage) -> None:
    for read in (
        lambda: storage.get_bytes("a", limit=7),
        lambda: storage.open("a"),
        lambda: storage.read_range("a", 0, 1),
    ):
        with pytest.raises(ObjectFrozen) as caught:
            read()
        said = "it lies frozen on target 't'\nhint: ask for it with 'rlg-backup thaw'; it may take hours"
        assert str(caught.value) == f"unable to read 'a': {said}"


def test_what_is_not_frozen_is_thawed_already(target: Target):
    storage = target.open()
    storage.put_bytes("a", b"1")
    assert storage.thaw("a", 1) is True
    if Tier.COOL in target.tiers:
        storage.move_to("a", Tier.COOL)
        assert storage.thaw("a", 1) is True


@pytest.mark.parametrize("days", [0, -1])
def test_thawing_for_no_time_is_refused(storage, days):
    storage.put_bytes("a", b"1")
    with pytest.raises(InvalidSetting) as caught:
        storage.thaw("a", days)
    assert str(caught.value) == f"unable to thaw 'a': {days} is not a number of days"


# --- erasing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("deleted", [False, True])
def test_erasing_leaves_nothing_of_an_object_and_touches_no_other(target: Target, deleted):
    for storage in (target.open(), target.locking()):
        kept = ["a/xx", "a/y", "a/z"]
        tag = None
        for i in range(3):
            tag = storage.put_bytes("a/x", b"%d" % i, replacing=tag).tag
        for key in kept:
            storage.put_bytes(key, b"1")
        if deleted:
            storage.delete("a/x")
        # Deleted, or replaced, and yet there: in versions, or softly deleted.
        assert storage.erase("a/x") >= (3 if storage.facts().versioned else not deleted)
        assert list(listed(storage)) == kept
        assert storage.erase("a/x") == 0
        storage.put_bytes("a/x", b"again")
        assert storage.get_bytes("a/x", limit=5)[0] == b"again"
        for key in ("a/x", *kept):
            storage.erase(key)
        assert listed(storage) == {}


def test_erasing_what_never_was_is_fine(storage):
    assert storage.erase("never/was") == 0


# --- what a target says of itself -----------------------------------------------------------------


def test_a_target_says_what_is_so_and_leaves_nothing_behind(target: Target):
    for storage in (target.open(), target.locking()):
        storage.put_bytes("a", b"1")
        facts = storage.facts()
        assert facts.clock_skew is not None
        assert abs(facts.clock_skew) <= timedelta(seconds=5)
        assert facts.public is not True
        assert facts.may_delete is True
        assert list(listed(storage)) == ["a"]
        assert storage.erase("a") == 1


def test_a_target_says_whether_it_keeps_locks(target: Target):
    target.locking().put_bytes("a", b"1")
    assert target.locking().facts().locks in (True, None)
    target.require("lockless")
    assert target.lockless is not None
    assert target.lockless().facts().locks is False
