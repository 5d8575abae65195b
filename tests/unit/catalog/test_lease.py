"""The lease: one holder, clocks that lie, and files that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from tests.unit.catalog.world import SOURCE, START, TRUSTED, TTL, FakeClock, MemoryStorage, Watched, Worker

from rlg_backup.catalog import Lease
from rlg_backup.catalog.lease_file import LEASE_LIMIT, LeaseFile, Pending
from rlg_backup.core.errors import (
    BackupError,
    DocumentDamaged,
    FormatUnsupported,
    InvalidSetting,
    LeaseHeld,
    LeaseLost,
    ObjectExists,
    StorageUnavailable,
)
from rlg_backup.format.canonical import serialize

KEY = f"catalog/{SOURCE}/lease.json"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock=clock)


@pytest.fixture
def alpha(store: MemoryStorage, clock: FakeClock) -> Worker:
    return Worker(store, clock, "alpha/1/run")


@pytest.fixture
def beta(store: MemoryStorage, clock: FakeClock) -> Worker:
    return Worker(store, clock, "beta/2/run")


def fails(use: Callable[[], object], error: type[BackupError], text: str) -> None:
    with pytest.raises(BackupError) as caught:
        use()
    assert (type(caught.value), str(caught.value)) == (error, text)


def held(worker: str = "alpha/1/run", until: str = "2026-11-23T02:10:00Z") -> str:
    return (
        f"unable to lease '{SOURCE}': '{worker}' holds it on target 'nas' until {until}\n"
        "hint: wait until that run ends, or its lease runs out"
    )


def on_file(store: MemoryStorage) -> LeaseFile:
    return LeaseFile.parse(store.data(KEY), KEY)


def test_a_lease_is_held_against_everybody_else_until_it_runs_out(
    alpha: Worker, beta: Worker, clock: FakeClock
) -> None:
    assert alpha.acquire().token == 1
    clock.advance(TTL - SECOND)
    fails(beta.acquire, LeaseHeld, held())
    assert LeaseHeld.transient
    clock.advance(SECOND)
    assert beta.acquire().token == 2


def test_renewing_extends_a_lease_by_its_whole_length(alpha: Worker, beta: Worker, clock: FakeClock) -> None:
    lease = alpha.acquire()
    clock.advance(TTL - SECOND)
    assert lease.renew() == START + TTL - SECOND + TTL
    clock.advance(TTL - SECOND)
    fails(beta.acquire, LeaseHeld, held(until="2026-11-23T02:19:59Z"))


def test_a_lease_that_ran_out_and_was_not_taken_can_be_renewed(alpha: Worker, beta: Worker, clock: FakeClock) -> None:
    lease = alpha.acquire()
    clock.advance(TTL + HOUR)
    lease.renew()
    with pytest.raises(LeaseHeld):
        beta.acquire()


def test_a_lease_that_was_taken_is_lost_for_renewing_and_its_release_takes_nothing(
    alpha: Worker, beta: Worker, clock: FakeClock, store: MemoryStorage
) -> None:
    lease = alpha.acquire()
    clock.advance(TTL)
    taken = beta.acquire()
    text = (
        f"unable to renew '{SOURCE}': the lease of 'alpha/1/run' on target 'nas' ran out and was taken by 'beta/2/run'"
    )
    fails(lease.renew, LeaseLost, text)
    before = store.data(KEY)
    lease.release()
    assert store.data(KEY) == before
    taken.release()
    fails(lease.renew, LeaseLost, text.replace("by 'beta/2/run'", "and released"))


def test_a_released_lease_is_free_at_once_and_releasing_twice_changes_nothing(
    alpha: Worker, beta: Worker, store: MemoryStorage
) -> None:
    lease = alpha.acquire()
    lease.release()
    before = store.data(KEY)
    lease.release()
    assert store.data(KEY) == before
    fails(
        lease.renew, LeaseLost, f"unable to renew '{SOURCE}': the lease of 'alpha/1/run' on target 'nas' was released"
    )
    assert beta.acquire().token == 2


def test_a_lease_goes_on_in_another_process_from_its_json_state(
    alpha: Worker, store: MemoryStorage, clock: FakeClock
) -> None:
    state = json.loads(json.dumps(alpha.acquire().state()))
    assert state.keys() == {"target", "source", "token", "nonce", "holder"}
    resumed = Lease.resume(store, state, trusted=TRUSTED, clock=clock)
    clock.advance(TTL - SECOND)
    resumed.renew()
    resumed.release()
    assert on_file(store).holder is None


def test_a_state_that_is_none_or_of_another_target_is_refused(alpha: Worker) -> None:
    state = alpha.acquire().state()
    fails(
        lambda: Lease.resume(MemoryStorage("s3"), state, trusted=TRUSTED),
        LeaseLost,
        f"unable to resume '{SOURCE}': its state is not of target 's3'",
    )
    for name in ("source", "token", "nonce", "holder"):
        short = {field: value for field, value in state.items() if field != name}
        text = "unable to resume 'lease': its state is incomplete"
        fails(partial(Lease.resume, MemoryStorage(), short, trusted=TRUSTED), LeaseLost, text)


def test_a_lease_whose_file_was_removed_is_lost_even_when_its_token_is_given_out_again(
    alpha: Worker, beta: Worker, store: MemoryStorage
) -> None:
    lease = alpha.acquire()
    store.remove(KEY)
    fails(lease.renew, LeaseLost, f"unable to renew '{SOURCE}': the lease file on target 'nas' is gone")
    lease.release()
    assert beta.acquire().token == lease.token
    with pytest.raises(LeaseLost):
        lease.renew()
    lease.release()
    assert on_file(store).holder == "beta/2/run"


def test_of_two_that_acquire_at_once_one_gets_the_lease(store: MemoryStorage, clock: FakeClock, beta: Worker) -> None:
    def beta_is_faster(operation: str, key: str) -> None:
        if operation == "put" and beta.lease is None:
            beta.acquire()

    alpha = Worker(Watched(store, before=beta_is_faster), clock, "alpha/1/run")
    fails(alpha.acquire, LeaseHeld, held("beta/2/run"))


def test_a_swap_that_arrived_although_its_answer_was_lost_is_recognised(store: MemoryStorage, clock: FakeClock) -> None:
    def conflict(operation: str, key: str) -> None:
        # As a client that repeats a request by itself: the first one arrived, the second meets it.
        if operation == "put":
            raise ObjectExists("write", key, "it has changed")

    lost = Watched(store, after=conflict)
    alpha = Worker(lost, clock)
    lease = alpha.acquire()
    assert (lease.token, on_file(store).holder) == (1, "alpha/1/run")


def test_a_file_that_never_stays_the_same_ends_in_a_transient_error(store: MemoryStorage, clock: FakeClock) -> None:
    lease = Worker(store, clock).acquire()

    def interfere(operation: str, key: str) -> None:
        if operation == "put":
            file = on_file(store)
            store.overwrite(KEY, replace(file, change=file.change + 1).to_bytes(KEY))

    other = Lease.resume(Watched(store, before=interfere), lease.state(), trusted=TRUSTED, clock=clock)
    text = f"unable to {{}} '{SOURCE}': the lease on target 'nas' kept changing"
    fails(other.renew, StorageUnavailable, text.format("renew"))
    fails(other.release, StorageUnavailable, text.format("release"))


@pytest.mark.parametrize("holder", ["", "a\nb", "x" * 201, "é", "\x1b[2J"])
def test_a_holder_that_would_spoil_other_peoples_logs_is_refused(holder: str, store: MemoryStorage) -> None:
    fails(
        lambda: Lease.acquire(store, SOURCE, holder, TTL, trusted=TRUSTED),
        InvalidSetting,
        f"unable to lease '{SOURCE}': a holder is 1 to 200 printable ASCII characters",
    )
    assert store.objects == {}


@pytest.mark.parametrize("ttl", [timedelta(0), -SECOND, timedelta(days=367)])
def test_a_length_that_is_none_is_refused(ttl: timedelta, store: MemoryStorage) -> None:
    text = f"unable to lease '{SOURCE}': a lease is one second to a year long"
    fails(lambda: Lease.acquire(store, SOURCE, "a", ttl, trusted=TRUSTED), InvalidSetting, text)


# --- clocks ---------------------------------------------------------------------------------------


def worker(store: MemoryStorage, now: datetime, name: str) -> Worker:
    return Worker(store, FakeClock(now), name)


def test_a_clock_set_back_does_not_take_a_living_lease_nor_end_its_own(store: MemoryStorage, clock: FakeClock) -> None:
    late = worker(store, START - 5 * HOUR, "late/1/run")
    lease = late.acquire()  # ends in the past, by everybody else's clock
    clock.advance(TTL - SECOND)
    with pytest.raises(LeaseHeld):
        worker(store, clock.now, "right/2/run").acquire()
    assert lease.require_live(lease.look(), "commit").holder == "late/1/run"
    clock.advance(SECOND)
    assert worker(store, clock.now, "right/2/run").acquire().token == 2


def test_a_clock_that_is_behind_waits_for_a_lease_and_never_takes_it_early(
    store: MemoryStorage, clock: FakeClock
) -> None:
    worker(store, START, "right/1/run").acquire()
    clock.advance(2 * HOUR)
    with pytest.raises(LeaseHeld):
        worker(store, START - HOUR, "late/2/run").acquire()


def test_a_lease_written_by_a_clock_far_ahead_blocks_nobody_for_longer_than_its_length_and_the_skew(
    store: MemoryStorage, clock: FakeClock
) -> None:
    worker(store, START + timedelta(days=3650), "ahead/1/run").acquire()
    clock.advance(TTL + timedelta(minutes=5) - SECOND)
    with pytest.raises(LeaseHeld):
        worker(store, clock.now, "right/2/run").acquire()
    clock.advance(SECOND)
    assert worker(store, clock.now, "right/2/run").acquire().token == 2


# --- files that are none --------------------------------------------------------------------------

HINT = "hint: when no run is at work on this source, remove the file; catalog records are not affected"
DAMAGED = f"unable to read '{KEY}': it is not a lease\n{HINT}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", 0),
        ("token", True),
        ("token", "1"),
        ("change", None),
        ("nonce", "x"),
        ("nonce", None),
        ("holder", ""),
        ("holder", "a\nb"),
        ("holder", 7),
        ("holder", None),
        ("seconds", 0),
        ("seconds", 10**12),
        ("expires_at", None),
        ("expires_at", "2026-11-23T02:00:00+00:00"),
        ("expires_at", "2026-13-23T02:00:00Z"),
        ("pending", {}),
        ("pending", "x"),
        ("pending", {"key": 1, "record": ""}),
        ("more", 1),
    ],
)
def test_a_file_that_is_no_lease_is_an_error_with_a_way_out(
    alpha: Worker, beta: Worker, store: MemoryStorage, field: str, value: object
) -> None:
    lease = alpha.acquire()
    store.overwrite(KEY, serialize({**json.loads(store.data(KEY)), field: value}, KEY))
    for use in (beta.acquire, lease.renew, lease.release):
        fails(use, DocumentDamaged, DAMAGED)


def test_a_lease_of_a_later_release_is_told_apart_from_damage(alpha: Worker, store: MemoryStorage) -> None:
    lease = alpha.acquire()
    store.overwrite(KEY, store.data(KEY).replace(b'"version":1', b'"version":2'))
    fails(lease.renew, FormatUnsupported, f"unable to read '{KEY}': it has version 2, this release reads 1")


def test_no_change_of_a_byte_of_the_file_ends_in_a_traceback(alpha: Worker, beta: Worker, store: MemoryStorage) -> None:
    lease = alpha.acquire()
    good = store.data(KEY)
    for position in range(len(good)):
        for flip in (0x01, 0x10, 0x80):
            store.overwrite(KEY, good[:position] + bytes([good[position] ^ flip]) + good[position + 1 :])
            for use in (lease.renew, beta.acquire):
                try:
                    use()
                except BackupError:
                    continue


def test_the_largest_record_fits_into_the_lease() -> None:
    pending = Pending("k" * 200, b'"' * (1 << 20))
    file = LeaseFile(2**53 - 1, "0" * 16, "h" * 200, 366 * 86400, START, pending)
    data = file.to_bytes(KEY)
    assert len(data) <= LEASE_LIMIT
    assert LeaseFile.parse(data, KEY) == file
