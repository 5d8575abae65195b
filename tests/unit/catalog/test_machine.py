"""Any sequence of acquiring, renewing, committing, dying and waiting by three runs with clocks that disagree."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.catalog.world import (
    TTL,
    FakeClock,
    MemoryStorage,
    Watched,
    Worker,
    assert_whole,
    backup_id,
)

from rlg_backup.core.errors import LeaseHeld, LeaseLost

RUNS = st.integers(0, 2)
STEPS = st.integers(1, 12)


class Died(BaseException):
    """The process is gone."""


class _Fuse:
    """Burns at the n-th operation, ahead of it or behind it."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, operation: str, key: str) -> None:
        self.steps -= 1
        if self.steps == 0:
            raise Died


class Runs(RuleBasedStateMachine):
    """``promised`` are backups whose commit was reported; ``refused`` those reported lost."""

    @initialize(skews=st.tuples(*[st.integers(-900, 900)] * 3))
    def begin(self, skews: tuple[int, int, int]) -> None:
        self.clock = FakeClock()
        self.store = MemoryStorage(clock=self.clock)
        self.offsets = [timedelta(seconds=skew) for skew in skews]
        self.workers: list[Worker | None] = [None, None, None]
        self.next = 0
        self.open: dict[int, int] = {}  # run -> number of the backup it is about
        self.promised: set[str] = set()
        self.refused: set[str] = set()
        self.tokens: list[int] = []

    def _clock(self, run: int) -> FakeClock:
        return FakeClock(self.clock.now + self.offsets[run])

    @rule(run=RUNS)
    def acquire(self, run: int) -> None:
        worker = Worker(self.store, self._clock(run), f"host/{run}/run")
        try:
            lease = worker.acquire()
        except LeaseHeld:
            return
        assert all(lease.token > token for token in self.tokens)
        self.tokens.append(lease.token)
        self.workers[run] = worker
        self.next += 1
        self.open[run] = self.next

    def _resumed(self, run: int, store: MemoryStorage | Watched) -> Worker | None:
        worker = self.workers[run]
        if worker is None:
            return None
        worker.clock = self._clock(run)
        return worker.twin(store)

    @rule(run=RUNS)
    def renew(self, run: int) -> None:
        worker = self._resumed(run, self.store)
        if worker is not None and worker.lease is not None:
            try:
                worker.lease.renew()
            except LeaseLost:
                assert self.tokens[-1] != worker.lease.token or self._released()

    def _released(self) -> bool:
        worker = next(worker for worker in self.workers if worker is not None)
        assert worker.lease is not None
        file = worker.lease.look().file
        return file is not None and file.holder is None

    @rule(run=RUNS)
    def release(self, run: int) -> None:
        worker = self._resumed(run, self.store)
        if worker is not None and worker.lease is not None:
            worker.lease.release()

    @rule(run=RUNS)
    def commit(self, run: int) -> None:
        worker = self._resumed(run, self.store)
        if worker is None:
            return
        try:
            point = worker.commit(self.open[run])
        except LeaseLost:
            self.refused.add(backup_id(self.open[run]))
        else:
            assert point.backup_id == backup_id(self.open[run])
            self.promised.add(point.backup_id)

    @rule(run=RUNS, steps=STEPS, behind=st.booleans())
    def die_while_committing(self, run: int, steps: int, behind: bool) -> None:
        fuse = _Fuse(steps)
        worker = self._resumed(run, Watched(self.store, **{"after" if behind else "before": fuse}))
        if worker is None:
            return
        try:
            self.promised.add(worker.commit(self.open[run]).backup_id)
        except Died:
            pass
        except LeaseLost:
            self.refused.add(backup_id(self.open[run]))

    @rule(run=RUNS, other=RUNS, steps=STEPS, wait=st.integers(0, 3000))
    def freeze_while_committing(self, run: int, other: int, steps: int, wait: int) -> None:
        """The run sleeps at one step; meanwhile another one does all it can."""

        def asleep(operation: str, key: str) -> None:
            nonlocal steps
            steps -= 1
            if steps == 0:
                self.clock.advance(timedelta(seconds=wait))
                self.acquire(other)
                self.commit(other)

        worker = self._resumed(run, Watched(self.store, before=asleep))
        if worker is None or other == run:
            return
        number = self.open[run]
        try:
            self.promised.add(worker.commit(number).backup_id)
        except LeaseLost:
            self.refused.add(backup_id(number))

    @rule(run=RUNS, steps=STEPS)
    def die_while_acquiring(self, run: int, steps: int) -> None:
        try:
            worker = Worker(Watched(self.store, after=_Fuse(steps)), self._clock(run), f"dead/{run}/run")
            self.tokens.append(worker.acquire().token)
        except (Died, LeaseHeld):
            pass

    @rule(seconds=st.integers(1, 3000))
    def wait(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(run=RUNS, seconds=st.integers(-3600, 3600))
    @precondition(lambda self: self.next > 0)
    def set_a_clock(self, run: int, seconds: int) -> None:
        self.offsets[run] = timedelta(seconds=seconds)

    @invariant()
    def the_catalog_is_whole_and_holds_what_was_promised(self) -> None:
        if not hasattr(self, "store"):
            return
        listed = [point.backup_id for point in assert_whole(self.store)]
        assert self.promised <= set(listed)
        # A refusal is final: such a backup appears only if its run asked again, with success.
        assert not (self.refused - self.promised) & set(listed)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.clock.advance(10 * TTL + timedelta(days=1))
        last = Worker(self.store, FakeClock(self.clock.now), "last/9/run")
        last.acquire()
        assert last.commit(999).sequence == len(assert_whole(self.store))


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
