"""A request to erase that ends at any operation on a target, killed or refused: it is in the ledger once or not at all,
and the next one finishes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.dying_storage import Died, DyingStorage
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.forgotten import with_erasures
from tests.support.memory_storage import MemoryStorage
from tests.support.shelf import Shelves

from rlg_backup.core.errors import BackupError, ErasureIncomplete
from rlg_backup.engine.erasure import known, record

MOST = 100  # operations


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    """A ledger of one request, and one that only the first target got."""
    shelves = Shelves.make(tmp_path / "world", "first", "second")
    with_erasures(shelves.world)
    shelves.back_up()
    record(shelves.wiring(), "person", ["1"], "request")
    full = FaultyStorage(shelves.memory["second"], Fault(Damage.FAIL, operations=("put_bytes",)))
    with pytest.raises(ErasureIncomplete):
        record(shelves.wiring({**shelves.memory, "second": full}), "person", ["2"], "request")
    return shelves


def finish(shelves: Shelves) -> None:
    """The next try, by another process; then both targets have the three requests."""
    record(shelves.wiring(), "person", ["3"], "request")
    ledger = known(shelves.wiring())
    assert (len(ledger.entries), len({one.entry.subject for one in ledger.entries})) == (3, 3)
    assert ledger.lengths == {"first": 3, "second": 3}


def erasures(memory: MemoryStorage) -> dict[str, bytes]:
    return {key: memory.bytes_of(key) for key in memory.keys("erasures/")}


@pytest.mark.parametrize("target", ["first", "second"])
@pytest.mark.parametrize("behind", [False, True], ids=["ahead of it", "behind it"])
def test_a_request_killed_at_any_operation(shelves: Shelves, target: str, behind: bool) -> None:
    bring_back, stages = shelves.save(), set()
    for at in range(1, MOST):
        bring_back()
        dying = DyingStorage(shelves.memory[target], at, behind=behind)
        try:
            record(shelves.wiring({**shelves.memory, target: dying}), "person", ["3"], "request")
        except Died:
            stages.add(tuple(len(erasures(memory)) for memory in shelves.memory.values()))
            finish(shelves)
        else:
            assert at > 6
            assert len(stages) > 1, "it was not killed between two requests that it wrote"
            return
    pytest.fail("a request has more operations than the test tried")


@pytest.mark.parametrize("target", ["first", "second"])
@pytest.mark.parametrize("damage", [Damage.FAIL, Damage.LOSE_ANSWER])
def test_a_request_refused_at_any_operation(shelves: Shelves, target: str, damage: Damage) -> None:
    bring_back = shelves.save()
    for at in range(MOST):
        bring_back()
        fault = Fault(damage, times=1, skip=at)
        faulty = FaultyStorage(shelves.memory[target], fault)
        try:
            record(shelves.wiring({**shelves.memory, target: faulty}), "person", ["3"], "request")
        except BackupError as error:
            assert error.transient, error
        if not faulty.hits(fault):
            assert at > 6
            return
        finish(shelves)
    pytest.fail("a request has more operations than the test tried")
