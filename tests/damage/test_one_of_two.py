"""One of two targets goes wrong in any operation: the other gets its copy, and the run never says that all is well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.damage.runs import RUNS, calls_of, fault_of
from tests.damage.tiny import Tiny, WiringTo, undone
from tests.damage.trials import BROKEN
from tests.support.faulty_storage import Damage, FaultyStorage

from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import list_points
from rlg_backup.engine.verify import verify


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    tiny = Tiny.make(tmp_path_factory.mktemp("two") / "world", "local", "second")
    tiny.back_up()
    return tiny


@pytest.mark.parametrize(
    ("target", "damage"),
    [
        ("local", Damage.FAIL),
        ("second", Damage.FLIP),
        pytest.param("local", Damage.FLIP, marks=pytest.mark.soak),
        pytest.param("second", Damage.FAIL, marks=pytest.mark.soak),
    ],
)
def test_a_target_that_goes_wrong_for_ever_leaves_the_copy_on_the_other_and_a_run_that_is_not_complete(
    two: Tiny, target: str, damage: Damage
) -> None:
    other = "second" if target == "local" else "local"
    unnoticed = []
    operations = [call for call in calls_of(two, RUNS["backup"]) if damage is Damage.FAIL or call[0] in CHANGING]
    assert len(operations) >= 8
    for call in operations:
        with undone(two):
            fault = fault_of(call, damage, None)
            faulty = FaultyStorage(two.wiring.given[target], fault)
            done = backup(WiringTo(two.world, {**two.wiring.given, target: faulty}), "app", Kind.FULL)
            assert faulty.hits(fault), call
            assert done.committed[other] == 2, call
            if done.complete and call[0] not in TIDYING and call != LEDGER:
                unnoticed.append(call)
            assert verify(two.wiring, "app", done.backup_id, target=other, full=True).verdict == "PASS", call
            assert two.world.staged() == []
            if damage is Damage.FLIP and call == ("put_bytes", "lease"):
                two.wiring.given[target].delete("catalog/app/lease.json")  # as its error says
            later = WiringTo(two.world, two.wiring.given, clock=lambda: datetime.now(UTC) + timedelta(days=1))
            assert backup(later, "app", Kind.FULL).complete, call
            for point in list_points(two.wiring, "app").points:
                for copy in point.copies:
                    found = verify(two.wiring, "app", point.backup_id, target=copy.target, full=True)
                    assert found.verdict == "PASS", (call, found)
    assert not unnoticed, f"{BROKEN}: {unnoticed}"


CHANGING = ("put_file", "put_bytes", "get_bytes", "open")
LEDGER = ("list", "ledger")  # no backup depends on requests to erase: restores, replicate and doctor tell
TIDYING = ("sweep", "delete")  # what it takes away may stay: no run depends on it
