"""A run that dies, or freezes and wakes up, at each single step: the catalog stays whole, nothing is in doubt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.catalog.world import (
    SOURCE,
    STRANGER,
    TTL,
    FakeClock,
    MemoryStorage,
    Watched,
    Worker,
    add,
    assert_whole,
    backup_id,
    digest,
    fill,
)

from rlg_backup.catalog import Lease, RestorePoint
from rlg_backup.catalog.lease_file import Pending
from rlg_backup.core.errors import CatalogForged, DamageError, LeaseHeld, LeaseLost, SignerUnknown, StorageUnavailable

MOST = 40  # operations of one run; the tests prove that they reach the end


class Crash(BaseException):
    """The process is gone; nothing may catch it."""


class Counter:
    """Calls ``act`` ahead of, or behind, the n-th operation."""

    def __init__(self, at: int, act: Callable[[], object]) -> None:
        self.at, self.act, self.count, self.reached = at, act, 0, False

    def __call__(self, operation: str, key: str) -> None:
        self.count += 1
        if self.count == self.at:
            self.reached = True
            self.act()


def crash() -> None:
    raise Crash


def world(records: int = 2) -> tuple[MemoryStorage, FakeClock]:
    clock = FakeClock()
    store = MemoryStorage(clock=clock)
    fill(store, records)
    return store, clock


def run(worker: Worker, number: int) -> RestorePoint:
    worker.acquire()
    point = worker.commit(number)
    assert worker.lease is not None
    worker.lease.release()
    return point


@pytest.mark.parametrize("records", [0, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_crash_at_any_step_the_next_run_finds_the_catalog_whole(when: str, records: int) -> None:
    for at in range(1, MOST):
        store, clock = world(records)
        counter = Counter(at, crash)
        with suppress(Crash):
            run(Worker(Watched(store, **{when: counter}), clock, "dead/1/run"), 50)
        listed = [point.backup_id for point in assert_whole(store)]
        assert listed[records:] in ([], [backup_id(50)])
        clock.advance(TTL)
        run(Worker(store, clock, "next/2/run"), 51)
        after = [point.backup_id for point in assert_whole(store)]
        assert after[records:] in ([backup_id(51)], [backup_id(50), backup_id(51)])
        assert set(listed) <= set(after)
        if not counter.reached:
            return
    pytest.fail("a run has more operations than the test tried")


@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_crash_at_any_step_the_same_run_goes_on_and_commits_once(when: str) -> None:
    for at in range(1, MOST):
        store, clock = world()
        first = Worker(store, clock)
        first.acquire()
        counter = Counter(at, crash)
        with suppress(Crash):
            first.twin(Watched(store, **{when: counter})).commit(50)
        clock.advance(timedelta(seconds=1))  # the record that is built now differs from the first
        assert first.twin(store).commit(50).sequence == 3
        assert [point.backup_id for point in assert_whole(store)][2:] == [backup_id(50)]
        if not counter.reached:
            return
    pytest.fail("a commit has more operations than the test tried")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_was_decided_before_a_crash_succeeds_also_after_the_lease_ran_out(when: str) -> None:
    decided = 0
    for at in range(1, MOST):
        store, clock = world()
        first = Worker(store, clock)
        first.acquire()
        counter = Counter(at, crash)
        with suppress(Crash):
            first.twin(Watched(store, **{when: counter})).commit(50)
        clock.advance(TTL)
        try:
            first.twin(store).commit(50)
            decided += 1
        except LeaseLost:
            assert len(assert_whole(store)) == 2
        else:
            assert len(assert_whole(store)) == 3
        if not counter.reached:
            assert 0 < decided < at
            return
    pytest.fail("a commit has more operations than the test tried")


def test_a_target_that_fails_once_at_any_step_costs_another_try_and_nothing_else() -> None:
    for at in range(1, MOST):
        store, clock = world()
        first = Worker(store, clock)
        first.acquire()

        def fail() -> None:
            raise StorageUnavailable("write", "x", "the target does not answer")

        counter = Counter(at, fail)
        twin = first.twin(Watched(store, after=counter))
        try:
            twin.commit(50)
        except StorageUnavailable:
            assert twin.commit(50).sequence == 3
        assert len(assert_whole(store)) == 3
        if not counter.reached:
            return
    pytest.fail("a commit has more operations than the test tried")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=1)], ids=["right clock", "fast clock"])
def test_a_holder_frozen_at_any_step_wakes_up_and_commits_only_what_it_had_decided(when: str, skew: timedelta) -> None:
    """While it sleeps its lease runs out (or the other's clock is fast), and another run commits and releases."""
    lost = kept = 0
    for at in range(1, MOST):
        store, clock = world()

        def meanwhile(store: MemoryStorage = store, clock: FakeClock = clock) -> None:
            if skew:
                run(Worker(store, FakeClock(clock.now + skew), "other/2/run"), 51)
            else:
                clock.advance(TTL)
                run(Worker(store, clock, "other/2/run"), 51)

        first = Worker(store, clock)
        first.acquire()
        counter = Counter(at, meanwhile)
        try:
            point = first.twin(Watched(store, **{when: counter})).commit(50)
        except LeaseLost:
            lost += 1
            assert [item.backup_id for item in assert_whole(store)][2:] == [backup_id(51)]
        else:
            kept += 1
            points = assert_whole(store)
            assert point in points
            assert [item.backup_id for item in points][2:4] in ([backup_id(50), backup_id(51)], [backup_id(50)])
        if not counter.reached:
            assert lost > 2
            assert kept > 2
            return
    pytest.fail("a commit has more operations than the test tried")


@pytest.mark.parametrize("beside", ["releases", "renews"])
def test_a_commit_frozen_at_any_step_survives_what_its_own_run_does_beside_it_and_what_comes_after(beside: str) -> None:
    """The run's other process renews or releases the lease; then it runs out, and another run commits."""
    for at in range(1, MOST):
        store, clock = world()
        first = Worker(store, clock)
        lease = first.acquire()

        def meanwhile(store: MemoryStorage = store, clock: FakeClock = clock, lease: Lease = lease) -> None:
            clock.advance(timedelta(seconds=1))
            if beside == "releases":
                lease.release()
            else:
                lease.renew()
                clock.advance(TTL)
            run(Worker(store, clock, "other/2/run"), 51)

        counter = Counter(at, meanwhile)
        try:
            first.twin(Watched(store, before=counter)).commit(50)
        except LeaseLost:
            expected = [backup_id(51)]
        else:
            expected = [backup_id(50), backup_id(51)] if counter.reached else [backup_id(50)]
        assert [point.backup_id for point in assert_whole(store)][2:] == expected
        if not counter.reached:
            return
    pytest.fail("a commit has more operations than the test tried")


@pytest.mark.parametrize("when", ["before", "after"])
def test_releasing_after_a_crash_finishes_what_was_decided(when: str) -> None:
    for at in range(1, MOST):
        store, clock = world()
        first = Worker(store, clock)
        lease = first.acquire()
        counter = Counter(at, crash)
        with suppress(Crash):
            first.twin(Watched(store, **{when: counter})).commit(50)
        pending = lease.look().file
        assert pending is not None
        lease.release()
        released = lease.look().file
        assert released is not None
        assert (released.holder, released.pending) == (None, None)
        if pending.pending is not None:
            assert [point.backup_id for point in assert_whole(store)][2:] == [backup_id(50)]
        if not counter.reached:
            return
    pytest.fail("a commit has more operations than the test tried")


def test_a_run_that_froze_while_it_acquired_does_not_take_the_lease_of_the_faster_one() -> None:
    for at in range(1, MOST):
        store, clock = world()
        faster = Worker(store, clock, "faster/2/run")
        counter = Counter(at, faster.acquire)
        try:
            Worker(Watched(store, before=counter), clock, "slow/1/run").acquire()
        except LeaseHeld:
            assert faster.lease is not None
            assert faster.commit(51).sequence == 3
        if not counter.reached:
            return
        assert len(assert_whole(store)) in (2, 3)
    pytest.fail("acquiring has more operations than the test tried")


# --- a lease file that was tampered with ----------------------------------------------------------


def pend(store: MemoryStorage, clock: FakeClock, key: str, record: bytes) -> None:
    """Leaves a lease that ran out with this commit under way."""
    lease = Worker(store, clock, "dead/1/run").acquire()
    found = lease.look()
    assert found.file is not None
    lease.swap(found, replace(found.file, pending=Pending(key, record)))
    clock.advance(TTL)


def test_a_pending_record_by_a_stranger_is_not_written() -> None:
    store, clock = world()
    key = add(store, 3, digest(store.data(assert_whole(store)[1].key)), key=STRANGER)
    pend(store, clock, key, store.remove(key))
    with pytest.raises(SignerUnknown):
        Worker(store, clock).acquire()
    assert len(assert_whole(store)) == 2


def test_a_pending_record_under_another_name_is_not_written() -> None:
    store, clock = world()
    key = add(store, 3, digest(store.data(assert_whole(store)[1].key)))
    record = store.remove(key)
    pend(store, clock, f"{SOURCE}/manifest.json", record)
    with pytest.raises(CatalogForged) as caught:
        Worker(store, clock).acquire()
    assert str(caught.value) == (
        f"unable to list '{SOURCE}/manifest.json': its name on target 'nas' is not that of a commit record\n"
        "hint: find out who wrote it, then remove it"
    )
    assert len(assert_whole(store)) == 2


@pytest.mark.parametrize("sequence", [1, 2, 4])
def test_a_genuine_record_that_is_not_the_next_one_is_not_written_from_the_lease(sequence: int) -> None:
    store, clock = world()
    previous = None if sequence == 1 else digest(b"another")
    key = add(store, sequence, previous, number=40)
    pend(store, clock, key, store.remove(key))
    with pytest.raises(CatalogForged) as caught:
        Worker(store, clock).acquire()
    assert str(caught.value) == (
        f"unable to commit '{key}': the commit under way on target 'nas' does not follow the newest record\n"
        "hint: compare with the source's other targets before restoring from this one"
    )
    assert len(assert_whole(store)) == 2


def test_a_pending_record_that_was_changed_is_not_written() -> None:
    store, clock = world()
    worker = Worker(store, clock)
    worker.acquire()
    worker.commit(50)
    key = assert_whole(store)[2].key
    data = store.remove(key)
    assert worker.lease is not None
    worker.lease.release()
    pend(store, clock, key, data.replace(b"T02:00:00Z", b"T02:00:01Z"))
    with pytest.raises(DamageError):
        Worker(store, clock).acquire()
    assert len(assert_whole(store)) == 2
