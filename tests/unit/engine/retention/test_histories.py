"""Any history of backups, failed runs, holds, drills, damage, clocks that are set, and expiries that break off: after
each step every rule holds, and every backup that was kept has its whole chain."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.support.dying_storage import Died, DyingStorage
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.shelf import DAY, Shelves

from rlg_backup.core.errors import ClockImplausible
from rlg_backup.core.model import Kind, Verdict
from rlg_backup.engine.retention import expire, hold, list_holds, note_drill, release
from rlg_backup.storage.port import Storage

RULES = {"full": "20 days", "incremental": "8 days", "differential": "8 days", "grace": "3 days"}
AGES = {Kind.FULL: 20 * DAY, Kind.INCREMENTAL: 8 * DAY, Kind.DIFFERENTIAL: 8 * DAY}
GRACE, AT_LEAST, GAP = 3 * DAY, 2, 15 * DAY
PICK = st.integers(0, 10**6)


class History(RuleBasedStateMachine):
    """``taken`` are committed backups; ``damaged`` those whose archive was taken away; ``marked`` when this machine's
    clock stood when a mark was first seen; ``latest`` is the farthest it ever was."""

    quota: str | None = None

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="retention-"))
        rules: dict[str, Any] = {**RULES, "at_least": {"full": AT_LEAST}, "longest_gap": "15 days"}
        self.shelves = Shelves.make(self.folder / "world", rules=rules)
        if self.quota:
            self.shelves.world.settings["targets"]["local"]["quota"] = self.quota
            self.shelves.world.save()
        self.memory = self.shelves.memory["local"]
        self.kinds: dict[str, Kind] = {}
        self.taken: dict[str, datetime] = {}
        self.damaged: set[str] = set()
        self.marked: dict[str, datetime] = {}
        self.holds: dict[str, str | None] = {}
        self.drilled: str | None = None
        self.listed: list[str] = []
        self.latest = self.shelves.clock.now

    def _catalog(self) -> Any:
        return self.shelves.wiring(self.shelves.memory).catalog("local", "app")

    def _restorable(self, names: list[str]) -> list[str]:
        return [name for name in names if not self.damaged & set(self.shelves.chain(name))]

    @rule(
        kind=st.sampled_from([Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.DIFFERENTIAL]), days=st.integers(0, 6)
    )
    def back_up(self, kind: Kind, days: int) -> None:
        """As the engine does it: after the newest one, or the newest full one, that is offered."""
        self.shelves.pass_time(days)
        offered = [point.backup_id for point in self._catalog().offered()]
        parents = offered[-1:] if kind is Kind.INCREMENTAL else []
        if kind is Kind.DIFFERENTIAL:
            parents = [name for name in offered if self.kinds[name] is Kind.FULL][-1:]
        if not parents or self.damaged & set(self.shelves.chain(parents[0])):
            kind, parents = Kind.FULL, []
        made = self.shelves.back_up(kind, *parents)
        self.kinds[made], self.taken[made] = kind, self.shelves.clock.now
        self.latest = max(self.latest, self.shelves.clock.now)
        self.listed.append(made)

    @rule(days=st.integers(7, 13), weeks=st.integers(1, 3))
    def pass_weeks(self, days: int, weeks: int) -> None:
        for _ in range(weeks):
            self.back_up(Kind.FULL, days)

    @rule(committed=st.booleans())
    def fail_to_back_up(self, committed: bool) -> None:
        """A run that ends before its commit."""
        self.shelves.upload()

    @precondition(lambda self: self.listed)
    @rule(which=PICK, everything=st.integers(0, 5))
    def hold_one(self, which: int, everything: int) -> None:
        name = None if everything == 0 else self.listed[which % len(self.listed)]
        given = {"backup": name} if name else {"subject": "case"}
        self.latest = max(self.latest, self.shelves.clock.now)
        done = hold(self.shelves.wiring(), "app", reason="a claim", **given)
        assert done.targets == ["local"]
        self.holds[done.hold.hold_id] = name

    @precondition(lambda self: self.holds)
    @rule(which=PICK)
    def release_one(self, which: int) -> None:
        self.latest = max(self.latest, self.shelves.clock.now)
        ended = sorted(self.holds)[which % len(self.holds)]
        release(self.shelves.wiring(), "app", ended, "settled")
        del self.holds[ended]

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def drill(self, which: int) -> None:
        restorable = self._restorable(self.listed)
        if restorable:
            self.latest = max(self.latest, self.shelves.clock.now)
            self.drilled = restorable[which % len(restorable)]
            note_drill(self.shelves.wiring(), "app", "local", self.drilled, self.shelves.manifests[self.drilled])

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def damage_one(self, which: int) -> None:
        name = self.listed[which % len(self.listed)]
        self.memory.delete(f"app/{name}/default.zip.age")
        self.damaged.add(name)

    @rule(days=st.sampled_from([-300.0, -2.0, -0.1, 1.0, 4.0, 16.0, 400.0]))
    def set_the_clock(self, days: float) -> None:
        self.shelves.pass_time(days)

    @rule(days=st.sampled_from([0.0, 1.0, 3.0, 4.0]))
    def expire(self, days: float) -> None:
        self.shelves.pass_time(days)
        self._expire(self.memory)

    @rule(at=st.integers(1, 120), behind=st.booleans(), damage=st.sampled_from([None, Damage.FAIL, Damage.LOSE_ANSWER]))
    def expire_and_break_off(self, at: int, behind: bool, damage: Damage | None) -> None:
        if damage is None:
            self._expire(DyingStorage(self.memory, at, behind=behind))
        else:
            self._expire(FaultyStorage(self.memory, Fault(damage, times=1, skip=at)))
        self.shelves.pass_time(0.1)  # a lease that was left ends

    def _expire(self, storage: Storage | DyingStorage) -> None:
        now, before = self.shelves.clock.now, list(self.listed)
        self.latest = max(self.latest, now)
        restorable = self._restorable(before)
        try:
            outcome = expire(self.shelves.wiring({"local": storage}), "app", "local")
        except Died:
            pass
        else:
            if isinstance(outcome.error, ClockImplausible):
                assert [point.backup_id for point in self._catalog().points()] == before
            elif storage is self.memory:
                assert (outcome.error, outcome.failures) == (None, [])
        self._check(now, before, restorable)

    def _check(self, now: datetime, before: list[str], restorable: list[str]) -> None:
        catalog = self._catalog()
        state, self.listed = catalog.state(), [point.backup_id for point in catalog.points()]
        gone = [name for name in before if name not in self.listed]
        for name in gone:
            self._may_go(name, now, before, restorable)
        for name in self._restorable(self.listed):
            self._is_whole(name)
        if restorable:
            assert restorable[-1] in self.listed
        fulls = [name for name in restorable if self.kinds[name] is Kind.FULL]
        assert set(fulls[-AT_LEAST:]) <= set(self.listed)
        assert {one.hold_id for one, _ in list_holds(self.shelves.wiring(), "app")} == set(self.holds)
        assert (state.drilled and state.drilled.backup_id) == self.drilled
        marks = {mark.backup_id for mark in state.marks}
        self.marked = {name: self.marked.get(name, now) for name in marks}

    def _may_go(self, name: str, now: datetime, before: list[str], restorable: list[str]) -> None:
        assert name in self.marked, "it was not marked by a run before"
        assert now - self.marked[name] >= GRACE
        assert not any(held in (None, name) for held in self.holds.values())
        assert name != self.drilled
        assert self.quota or now - self.taken[name] >= AGES[self.kinds[name]]
        for other in self.listed:
            assert name not in self.shelves.chain(other)[1:]

    def _is_whole(self, name: str) -> None:
        assert set(self.shelves.chain(name)) <= set(self.listed)
        for link in self.shelves.chain(name):
            assert self.memory.bytes_of(f"app/{link}/default.zip.age") == link.encode() * 3
            assert self.memory.keys(f"app/{link}/manifest.json")

    def teardown(self) -> None:
        """In the end a run finishes: nothing that is being removed is left, and nothing lies about."""
        if not hasattr(self, "folder"):
            return
        self.shelves.clock.now = self.latest + 100 * DAY
        for _ in range(2):
            self.back_up(Kind.FULL, 4)
        self._expire(self.memory)
        outcome = expire(self.shelves.wiring(), "app", "local")
        assert outcome.verdict is Verdict.PASS
        assert {key.split("/")[1] for key in self.shelves.objects()} <= {*self.listed, *self._young()}
        shutil.rmtree(self.folder)

    def _young(self) -> list[str]:
        limit = f"{self.shelves.clock.now - timedelta(days=2):%Y%m%dT%H%M%SZ}"
        return [name for name in self.shelves.manifests if name > limit]


class Crowded(History):
    """On a folder whose quota is soon reached: what its age alone would keep may go, and nothing else."""

    quota = "8 kB"


@pytest.mark.parametrize("histories", [History, Crowded])
@pytest.mark.parametrize(
    ("examples", "derandomize"),
    [(20, True), pytest.param(1000, False, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
)
def test_any_history(examples: int, derandomize: bool, histories: type[History]) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    given = settings(
        max_examples=examples, derandomize=derandomize, database=None, stateful_step_count=25, deadline=None,
        suppress_health_check=checks,
    )  # fmt: skip
    run_state_machine_as_test(histories, settings=given)
