"""A whole run over a target that goes wrong on order, and what must be true whatever became of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.damage.tiny import Tiny, WiringTo, undone
from tests.support.compare import assert_databases_equal
from tests.support.faulty_storage import Damage, Fault, FaultyStorage

from rlg_backup.core.errors import BackupError
from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import list_points
from rlg_backup.engine.verify import verify
from rlg_backup.engine.wiring import Wiring

# What a key is of, and a pattern for it.
KINDS = {
    "lease": "catalog/app/lease.json",
    "record": "catalog/app/0*.json",
    "catalog": "catalog/app/",
    "every catalog": "catalog/",
    "ledger": "erasures/",
    "manifest": "app/*/manifest.json",
    "archive": "app/*/default.zip.age",
    "state": "app/*/state.zip.age",
    "all": "",
}
Run = Callable[[Wiring, Path], str]
Call = tuple[str, str]  # an operation, and what its key is of


def run_backup(wiring: Wiring, _: Path) -> str:
    done = backup(wiring, "app", Kind.FULL)
    return "complete" if done.complete else f"incomplete: {done.missing}"


def run_verify(wiring: Wiring, _: Path) -> str:
    return verify(wiring, "app", full=True).verdict.value


def run_restore(wiring: Wiring, folder: Path) -> str:
    """A restore that succeeds is the source; of one that fails nothing is left at its destination."""
    try:
        restore(wiring, "app", "latest", str(folder / "out.db"))
    except BackupError:
        assert list(folder.iterdir()) == []
        raise
    assert_databases_equal(wiring.settings.sources["app"].path or Path(), folder / "out.db")
    return "restored"


RUNS: dict[str, Run] = {"backup": run_backup, "verify": run_verify, "restore": run_restore}


@dataclass(frozen=True)
class Outcome:
    """What became of a run: a word, or the class and text of its error; and how many backups are listed after it."""

    said: str
    text: str
    listed: int


def kind_of(key: str) -> str:
    name = key.rsplit("/", 1)[-1]
    known = {"lease.json": "lease", "manifest.json": "manifest", "default.zip.age": "archive", "state.zip.age": "state"}
    listed = {"": "all", "catalog/app/": "catalog", "catalog/": "every catalog", "erasures/": "ledger"}
    return listed.get(key) or known.get(name, "record")


def calls_of(tiny: Tiny, run: Run) -> Counter[Call]:
    """What a run without a fault asks of its target."""
    with undone(tiny), tempfile.TemporaryDirectory() as folder:
        storage = FaultyStorage(tiny.storage)
        run(WiringTo(tiny.world, {**tiny.wiring.given, "local": storage}), Path(folder))
        return Counter((operation, kind_of(key)) for operation, key in storage.calls)


def with_fault(
    tiny: Tiny,
    run: Run,
    fault: Fault,
    *,
    repaired: Callable[[Tiny], None] = lambda _: None,
    listed_damaged: bool = False,
) -> Outcome:
    """Runs with a fault, and checks what must hold afterwards, on the target as it was left and without the fault:

    every backup that is listed is verified in full; staging is empty; the next run succeeds, a day later, when
    leases that could not be given back have run out, and all that is listed then is verified. ``repaired`` is what a
    person has to do before; ``listed_damaged`` where a target lists, until the next run, a record it cannot give back.
    """
    with undone(tiny), tempfile.TemporaryDirectory() as folder:
        outcome = _faulty(tiny, run, fault, Path(folder))
        assert tiny.world.staged() == []
        listed = verdicts(tiny)
        assert set(listed.values()) <= ({"PASS", "FAIL"} if listed_damaged else {"PASS"}), listed
        repaired(tiny)
        later = WiringTo(tiny.world, {"local": tiny.storage}, clock=lambda: datetime.now(UTC) + timedelta(days=1))
        assert backup(later, "app", Kind.FULL).complete
        after = verdicts(tiny)
        assert after.keys() > listed.keys() and set(after.values()) == {"PASS"}, after
        assert tiny.world.staged() == []
    return Outcome(outcome[0], outcome[1], len(listed))


def verdicts(tiny: Tiny) -> dict[str, str]:
    """What a full verification says of every backup that is listed."""
    listing = list_points(tiny.wiring, "app")
    assert not listing.unreadable, listing.unreadable
    ids = [point.backup_id for point in listing.points]
    return {name: verify(tiny.wiring, "app", name, full=True).verdict.value for name in ids}


def _faulty(tiny: Tiny, run: Run, fault: Fault, folder: Path) -> tuple[str, str]:
    storage = FaultyStorage(tiny.storage, fault)
    wiring = WiringTo(tiny.world, {"local": storage})
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, wiring, folder)
        try:
            if fault.damage in (Damage.ARRIVE_LATE, Damage.ANSWER_LATE):
                storage.wait_for(fault)
                assert not future.done()
        finally:
            fault.until.set()
        try:
            said, text = future.result(120), ""
        except BackupError as error:
            said, text = type(error).__name__, str(error)
    assert storage.hits(fault), f"the fault was never met: {fault}"
    return said, text


def damages(operation: str) -> list[Damage]:
    """What can go wrong with an operation."""
    found = [Damage.FAIL, Damage.LOSE_ANSWER, Damage.ANSWER_LATE, Damage.ARRIVE_LATE]
    if operation in ("put_file", "put_bytes", "get_bytes", "open", "read_range"):
        found += [Damage.FLIP, Damage.TRUNCATE]
    if operation in ("put_file", "put_bytes"):
        found += [Damage.FILL_UP]
    if operation == "open":
        found += [Damage.BREAK_OFF]
    if operation in ("get_bytes", "open", "read_range", "stat", "list"):
        found += [Damage.HIDE]
    return found


def fault_of(call: Call, damage: Damage, times: int | None, *, skip: int = 0) -> Fault:
    operation, kind = call
    keys = KINDS["record"] if (operation, damage) == ("list", Damage.HIDE) else KINDS[kind]
    # A byte inside, for what is changed or cut; of a target that fills up, no byte fits.
    at = 0 if damage is Damage.FILL_UP else 9
    return Fault(damage, keys, (operation,), times=times, at=at, skip=skip)
