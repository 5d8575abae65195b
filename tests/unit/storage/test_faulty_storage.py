"""The harness of damage tests does what it is ordered, no more, and counts it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.faulty_storage import Damage, Fault, FaultyStorage

from rlg_backup.core.errors import ObjectDamaged, ObjectExists, ObjectMissing, StorageFull, StorageUnavailable
from rlg_backup.storage.local import LocalStorage

DATA = b"0123456789"
FLIPPED = b"0023456789"


@pytest.fixture
def inner(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage("t", tmp_path / "target")
    storage.put_bytes("a", DATA)
    return storage


@pytest.mark.parametrize(("damage", "expected"), [(Damage.FLIP, FLIPPED), (Damage.TRUNCATE, b"0")])
def test_reads_are_changed_as_often_as_ordered_and_the_object_is_not(inner, damage, expected):
    fault = Fault(damage, "a", times=2, at=1)
    storage = FaultyStorage(inner, fault)
    with storage.open("a") as stream:
        assert stream.read() == expected
    assert storage.get_bytes("a", limit=10)[0] == expected
    assert storage.get_bytes("a", limit=10)[0] == DATA
    assert inner.get_bytes("a", limit=10)[0] == DATA
    assert storage.hits(fault) == 2


@pytest.mark.parametrize(("damage", "expected"), [(Damage.FLIP, FLIPPED), (Damage.TRUNCATE, b"0")])
def test_writes_are_changed_on_their_way_in(inner, tmp_path, damage, expected):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    storage = FaultyStorage(inner, Fault(damage, "b/*", at=1))
    storage.put_bytes("b/1", DATA)
    storage.put_file("b/2", source, sha256=hashlib.sha256(DATA).hexdigest())
    storage.put_bytes("c", DATA)
    assert [inner.get_bytes(key, limit=10)[0] for key in ("b/1", "b/2", "c")] == [expected, expected, DATA]
    assert source.read_bytes() == DATA


def test_a_changed_byte_is_met_only_by_the_ranges_that_hold_it(inner):
    fault = Fault(Damage.FLIP, "a", ("read_range",), at=-9)
    storage = FaultyStorage(inner, fault)
    assert (storage.read_range("a", 0, 1), storage.read_range("a", 2, 8)) == (b"0", DATA[2:])
    assert storage.hits(fault) == 0
    assert (storage.read_range("a", 0, 2), storage.read_range("a", 1, 1)) == (b"00", b"0")
    assert storage.hits(fault) == 2


def test_ranges_behind_a_cut_end_early(inner):
    storage = FaultyStorage(inner, Fault(Damage.TRUNCATE, at=5))
    assert storage.read_range("a", 0, 5) == DATA[:5]
    for offset, length in ((4, 2), (7, 1)):
        with pytest.raises(ObjectDamaged) as caught:
            storage.read_range("a", offset, length)
        assert str(caught.value) == f"unable to read 'a': it ends before byte {offset + length}"


def test_a_failure_comes_as_often_as_ordered_and_nothing_is_carried_out(inner):
    fault = Fault(Damage.FAIL, operations=("put_bytes",), times=1, error=StorageFull)
    storage = FaultyStorage(inner, fault)
    with pytest.raises(StorageFull) as caught:
        storage.put_bytes("b", DATA)
    assert str(caught.value) == "unable to put_bytes 'b': ordered by a test; it was not carried out"
    assert [info.key for info in storage.list("")] == ["a"]
    storage.put_bytes("b", DATA)
    assert storage.hits(fault) == 1
    assert storage.calls == [("put_bytes", "b"), ("list", ""), ("put_bytes", "b")]


def test_a_failure_for_ever_is_for_ever(inner):
    storage = FaultyStorage(inner, Fault(Damage.FAIL, "a"))
    for act in (lambda: storage.stat("a"), lambda: storage.open("a"), lambda: storage.delete("a")) * 3:
        with pytest.raises(StorageUnavailable):
            act()


def test_a_fault_can_spare_the_first_ones(inner):
    fault = Fault(Damage.FAIL, "a", ("stat",), times=1, skip=2)
    storage = FaultyStorage(inner, fault)
    storage.stat("a")
    storage.get_bytes("a", limit=10)
    storage.stat("a")
    with pytest.raises(StorageUnavailable):
        storage.stat("a")
    storage.stat("a")
    assert storage.hits(fault) == 1


def test_a_lost_answer_follows_a_deed(inner):
    storage = FaultyStorage(inner, Fault(Damage.LOSE_ANSWER, "b", times=1))
    with pytest.raises(StorageUnavailable) as caught:
        storage.put_bytes("b", DATA)
    assert str(caught.value) == "unable to put_bytes 'b': ordered by a test; it was carried out"
    with pytest.raises(ObjectExists):
        storage.put_bytes("b", DATA)


def test_the_answer_that_is_lost_may_be_a_refusal(inner):
    storage = FaultyStorage(inner, Fault(Damage.LOSE_ANSWER, "a", times=1))
    for error in (StorageUnavailable, ObjectExists):
        with pytest.raises(error):
            storage.put_bytes("a", DATA)


def test_a_hidden_object_is_neither_listed_nor_read(inner):
    inner.put_bytes("b", DATA)
    storage = FaultyStorage(inner, Fault(Damage.HIDE, "a"))
    assert [info.key for info in storage.list("")] == ["b"]
    for act in (lambda: storage.stat("a"), lambda: storage.get_bytes("a", limit=10), lambda: storage.open("a")):
        with pytest.raises(ObjectMissing) as caught:
            act()
        assert str(caught.value) == "unable to read 'a': it is not on target 't'"


def test_a_stream_that_breaks_off_gives_what_came_before_and_then_the_error_every_time(inner):
    fault = Fault(Damage.BREAK_OFF, "a", times=1, at=4)
    storage = FaultyStorage(inner, fault)
    with storage.open("a") as stream:
        assert stream.read(4) == DATA[:4]
        for _ in range(2):
            with pytest.raises(StorageUnavailable) as caught:
                stream.read(4)
            assert str(caught.value) == "unable to open 'a': ordered by a test; it broke off after 4 bytes"
    with storage.open("a") as stream:
        assert stream.read() == DATA
    assert storage.hits(fault) == 1


@pytest.mark.parametrize(("damage", "meanwhile"), [(Damage.ARRIVE_LATE, ["a"]), (Damage.ANSWER_LATE, ["a", "b"])])
def test_a_late_operation_is_carried_out_before_or_after_its_wait(inner, damage, meanwhile):
    fault = Fault(damage, "b", times=1)
    storage = FaultyStorage(inner, fault)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(storage.put_bytes, "b", DATA)
        storage.wait_for(fault)
        assert not late.done()
        assert [info.key for info in inner.list("")] == meanwhile
        fault.until.set()
        assert late.result(60).size == len(DATA)
    assert inner.get_bytes("b", limit=10)[0] == DATA


def test_a_target_that_fills_up_takes_what_fits_in_all_and_nothing_of_what_does_not(inner, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    fault = Fault(Damage.FILL_UP, "b/*", at=25)
    storage = FaultyStorage(inner, fault)
    storage.put_bytes("b/1", DATA)
    storage.put_file("b/2", source, sha256=hashlib.sha256(DATA).hexdigest())
    storage.put_bytes("c", DATA)
    for act in (
        lambda: storage.put_bytes("b/3", DATA),
        lambda: storage.put_file("b/3", source, sha256=hashlib.sha256(DATA).hexdigest()),
    ):
        with pytest.raises(StorageFull) as caught:
            act()
        assert str(caught.value).endswith("'b/3': ordered by a test; 10 bytes do not fit")
    assert storage.put_bytes("b/4", DATA[:5]).size == 5
    assert storage.hits(fault) == 2
    assert [info.key for info in inner.list("")] == ["a", "b/1", "b/2", "b/4", "c"]


def test_a_sweep_is_passed_on_and_can_fail(inner):
    fault = Fault(Damage.FAIL, operations=("sweep",), times=1)
    storage = FaultyStorage(inner, fault)
    with pytest.raises(StorageUnavailable):
        storage.sweep(timedelta(0))
    assert storage.sweep(timedelta(0)) == 0
    assert storage.calls == [("sweep", ""), ("sweep", "")]
