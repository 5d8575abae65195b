"""Every order that the operations of two runs on a target can take: one commits, both agree on what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from tests.unit.catalog.turns import Actor, Pause, every_order
from tests.unit.catalog.world import (
    KEY,
    TTL,
    FakeClock,
    MemoryStorage,
    Watched,
    Worker,
    assert_whole,
    backup_id,
    build,
)

from rlg_backup.catalog.lease_file import Pending
from rlg_backup.core.errors import LeaseHeld, LeaseLost

World = tuple[Sequence[Actor], Callable[[], None]]
AHEAD = TTL + timedelta(minutes=1)


def listed(store: MemoryStorage) -> list[str]:
    return [point.backup_id for point in assert_whole(store)]


def test_the_orders_are_all_orders() -> None:
    seen: set[str] = set()

    def world() -> World:
        steps: list[str] = []

        def actor(name: str, count: int) -> Actor:
            def act(pause: Pause) -> None:
                for _ in range(count):
                    pause("get", name)
                    steps.append(name)

            return act

        return [actor("a", 3), actor("b", 2)], lambda: seen.add("".join(steps))

    assert every_order(world) == 10
    assert len(seen) == 10
    assert every_order(world, switches=0) == 2


def test_of_two_that_acquire_a_free_lease_one_holds_it() -> None:
    def world() -> World:
        clock, outcome = FakeClock(), list[str]()
        store = MemoryStorage(clock=clock)

        def actor(name: str) -> Actor:
            def act(pause: Pause) -> None:
                try:
                    Worker(Watched(store, before=pause), clock, name).acquire()
                    outcome.append("held")
                except LeaseHeld:
                    outcome.append("refused")

            return act

        return [actor("alpha/1/run"), actor("beta/2/run")], lambda: _equal(sorted(outcome), ["held", "refused"])

    assert every_order(world) > 5


def test_of_two_that_take_over_a_half_done_commit_one_holds_the_lease_and_the_commit_is_finished() -> None:
    def world() -> World:
        clock, outcome = FakeClock(), list[str]()
        store = MemoryStorage(clock=clock)
        dead = Worker(store, clock, "dead/0/run").acquire()
        found = dead.look()
        record = build("nas", 1, clock)(None)
        assert found.file is not None
        dead.swap(found, replace(found.file, pending=Pending(record.path, record.sign(KEY))))
        clock.advance(TTL)

        def actor(name: str) -> Actor:
            def act(pause: Pause) -> None:
                try:
                    Worker(Watched(store, before=pause), clock, name).acquire()
                    outcome.append("held")
                except LeaseHeld:
                    outcome.append("refused")

            return act

        def check() -> None:
            assert sorted(outcome) == ["held", "refused"]
            assert listed(store) == [backup_id(1)]

        return [actor("alpha/1/run"), actor("beta/2/run")], check

    assert every_order(world) > 50


def test_a_commit_against_a_run_that_takes_the_lease_over_and_commits_too() -> None:
    """The second run's clock is ahead: it takes a lease that its holder believes to be alive."""

    def world() -> World:
        clock = FakeClock()
        store = MemoryStorage(clock=clock)
        holder = Worker(store, clock, "alpha/1/run")
        holder.acquire()
        said: dict[int, str] = {}

        def commits(pause: Pause) -> None:
            try:
                holder.twin(Watched(store, before=pause)).commit(1)
                said[1] = "committed"
            except LeaseLost:
                said[1] = "lost"

        def takes_over(pause: Pause) -> None:
            other = Worker(Watched(store, before=pause), FakeClock(clock.now + AHEAD), "beta/2/run")
            other.acquire()
            other.commit(2)
            said[2] = "committed"

        def check() -> None:
            found = listed(store)
            assert said[2] == "committed"
            assert found == ([backup_id(1), backup_id(2)] if said[1] == "committed" else [backup_id(2)])

        return [commits, takes_over], check

    assert every_order(world, switches=2) > 100


def test_two_overlapping_tries_of_one_run_commit_one_record() -> None:
    """Both go on from one lease; their records differ, since each took the time of its own clock."""

    def world() -> World:
        clock = FakeClock()
        store = MemoryStorage(clock=clock)
        holder = Worker(store, clock)
        holder.acquire()
        points: list[int] = []

        def attempt(seconds: int) -> Actor:
            def act(pause: Pause) -> None:
                twin = holder.twin(Watched(store, before=pause))
                twin.clock = FakeClock(clock.now + timedelta(seconds=seconds))
                points.append(twin.commit(1).sequence)

            return act

        def check() -> None:
            assert points == [1, 1]
            assert listed(store) == [backup_id(1)]

        return [attempt(0), attempt(1)], check

    assert every_order(world, switches=2) > 50


def test_a_heartbeat_beside_a_commit_disturbs_neither() -> None:
    def world() -> World:
        clock = FakeClock()
        store = MemoryStorage(clock=clock)
        holder = Worker(store, clock)
        lease = holder.acquire()
        clock.advance(timedelta(seconds=5))

        def commits(pause: Pause) -> None:
            holder.twin(Watched(store, before=pause)).commit(1)

        def beats(pause: Pause) -> None:
            twin = holder.twin(Watched(store, before=pause))
            assert twin.lease is not None
            twin.lease.renew()

        def check() -> None:
            file = lease.look().file
            assert file is not None
            assert (file.pending, file.expires_at) == (None, clock.now + TTL)
            assert listed(store) == [backup_id(1)]

        return [commits, beats], check

    assert every_order(world, switches=3) > 30


def test_a_release_beside_a_commit_leaves_a_whole_commit_or_none() -> None:
    def world() -> World:
        clock = FakeClock()
        store = MemoryStorage(clock=clock)
        holder = Worker(store, clock)
        lease = holder.acquire()
        said: list[str] = []

        def commits(pause: Pause) -> None:
            try:
                holder.twin(Watched(store, before=pause)).commit(1)
                said.append("committed")
            except LeaseLost:
                said.append("lost")

        def releases(pause: Pause) -> None:
            twin = holder.twin(Watched(store, before=pause))
            assert twin.lease is not None
            twin.lease.release()

        def check() -> None:
            file = lease.look().file
            assert file is not None
            assert (file.pending, file.holder) == (None, None)
            assert listed(store) == ([backup_id(1)] if said == ["committed"] else [])

        return [commits, releases], check

    assert every_order(world, switches=2) > 30


def _equal(found: object, expected: object) -> None:
    assert found == expected
