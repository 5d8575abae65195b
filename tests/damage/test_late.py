"""Answers that come late, and targets that fill up: a run is slow or fails, and commits once or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.damage.runs import KINDS, verdicts
from tests.damage.tiny import Tiny, WiringTo, undone
from tests.support.faulty_storage import Damage, Fault, FaultyStorage
from tests.support.memory_storage import MemoryStorage

from rlg_backup.core.errors import BackupError, BackupIncomplete
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.archives import ARCHIVE, fetch
from rlg_backup.engine.backup import BackupResult, backup
from rlg_backup.engine.restore_points import choose
from rlg_backup.format.commit import CommitRecord
from rlg_backup.storage.port import ObjectInfo, Storage

LATE = (Damage.ARRIVE_LATE, Damage.ANSWER_LATE)


@contextmanager
def held_up(tiny: Tiny, fault: Fault) -> Iterator[tuple[Future[BackupResult], FaultyStorage]]:
    """A backup that hangs in one operation while the block runs, and goes on after it."""
    storage = FaultyStorage(tiny.storage, fault)
    wiring = WiringTo(tiny.world, {"local": storage})
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(backup, wiring, "app", Kind.FULL, run="slow")
        try:
            storage.wait_for(fault)
            yield future, storage
        finally:
            fault.until.set()


def another_host(tiny: Tiny) -> BackupResult:
    """The next run, after the lease of the one before ran out."""
    later = WiringTo(tiny.world, {"local": tiny.storage}, clock=lambda: datetime.now(UTC) + timedelta(hours=12))
    with tempfile.TemporaryDirectory() as folder:
        return backup(later.elsewhere(Path(folder)), "app", Kind.FULL, run="next")


def committed(tiny: Tiny) -> list[CommitRecord]:
    """Every record there is: read, and in one chain."""
    tiny.wiring.catalog("local", "app").verify_chain(down_to=1)
    catalog = tiny.wiring.catalog("local", "app")
    return [catalog.record(point) for point in catalog.points()]


@pytest.mark.parametrize("damage", LATE)
@pytest.mark.parametrize("kind", ["lease", "record"])
def test_a_commit_whose_answer_is_late_is_finished_by_the_next_holder_and_committed_once(
    tiny: Tiny, kind: str, damage: Damage
) -> None:
    """The lease ran out while it waited: another run takes it, finishes what was decided, and commits its own."""
    # Of the lease's writes: taken, renewed by each step's heartbeat, and then the one that decides.
    skip = decides(tiny) if kind == "lease" else 0
    fault = Fault(damage, KINDS[kind], ("put_bytes",), times=1, skip=skip)
    with held_up(tiny, fault) as (slow, _):
        assert not slow.done()
        other = another_host(tiny)
        assert other.complete
    decided = not (kind == "lease" and damage is Damage.ARRIVE_LATE)
    if decided:
        assert slow.result(60).complete
        mine = slow.result().backup_id
    else:  # the decision itself came too late: the fence refuses it
        with pytest.raises(BackupIncomplete) as caught:
            slow.result(60)
        mine = caught.value.subject
        cause = "the lease of"
        assert cause in str(caught.value) and "ran out and was taken" in str(caught.value)
    ids = [record.backup_id for record in committed(tiny)]
    assert len(ids) == len(set(ids))
    assert ids[1:] == ([mine, other.backup_id] if decided else [other.backup_id])
    assert set(verdicts(tiny).values()) == {"PASS"}
    assert tiny.world.staged() == []


def decides(tiny: Tiny) -> int:
    """How many writes of the lease come before the one that decides a commit."""
    with undone(tiny):
        storage = FaultyStorage(tiny.storage)
        backup(WiringTo(tiny.world, {"local": storage}), "app", Kind.FULL)
        puts = [key for operation, key in storage.calls if operation == "put_bytes"]
        record = next(index for index, key in enumerate(puts) if "/0" in key)
        return sum(key == KINDS["lease"] for key in puts[:record]) - 1


@pytest.mark.parametrize("damage", LATE)
@pytest.mark.parametrize("kind", ["archive", "manifest"])
def test_an_upload_whose_answer_is_late_commits_nothing_after_its_lease_was_taken(
    tiny: Tiny, kind: str, damage: Damage
) -> None:
    operation = "put_file" if kind == "archive" else "put_bytes"
    with held_up(tiny, Fault(damage, KINDS[kind], (operation,), times=1)) as (slow, _):
        other = another_host(tiny)
    with pytest.raises(BackupIncomplete):
        slow.result(60)
    assert [record.backup_id for record in committed(tiny)][1:] == [other.backup_id]
    assert set(verdicts(tiny).values()) == {"PASS"}
    assert tiny.world.staged() == []


def test_a_download_that_begins_late_is_whole(tiny: Tiny, place: Path) -> None:
    fault = Fault(Damage.ANSWER_LATE, KINDS["archive"], ("open",), times=1)
    storage = FaultyStorage(tiny.storage, fault)
    wiring = WiringTo(tiny.world, {"local": storage})
    chosen = choose(wiring, "app")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(fetch, wiring, chosen, chosen.manifest.archives[0], place)
        storage.wait_for(fault)
        assert not future.done()
        fault.until.set()
        future.result(60)
    assert place.read_bytes() == tiny.archive(chosen)


# --- a target that fills up ----------------------------------------------------------------------------


def test_wherever_a_target_fills_up_nothing_half_is_listed_and_nothing_is_lost(tiny: Tiny) -> None:
    """Each write in turn is the first that does not fit: with no room left for it, and with half of what it needs."""
    sizes = stored_sizes(tiny)
    assert len(sizes) > 10
    edges = [sum(sizes[:number]) + spare for number in range(len(sizes)) for spare in (0, sizes[number] // 2)]
    outcomes: set[str] = set()
    before = verdicts(tiny)
    for room in sorted(set(edges)):
        with undone(tiny):
            fault = Fault(Damage.FILL_UP, "*", at=room)
            storage = FaultyStorage(tiny.storage, fault)
            try:
                done = backup(WiringTo(tiny.world, {"local": storage}), "app", Kind.FULL)
            except BackupError as error:
                outcomes.add(type(error).__name__)
            else:
                outcomes.add("complete" if done.complete else "incomplete")
            assert storage.hits(fault), room
            listed = verdicts(tiny)
            assert before.items() <= listed.items() and set(listed.values()) == {"PASS"}, room
            assert tiny.world.staged() == []
            assert another_host(tiny).complete, room
    # Full before the decision fails the run; after it only the lease could not be given back.
    assert outcomes == {"StorageFull", "BackupIncomplete", "complete"}


class Weighing(FaultyStorage):
    """Notes the bytes of each write, in their order."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.sizes: list[int] = []

    def put_file(self, key: str, path: Path, **options: Any) -> ObjectInfo:
        self.sizes.append(path.stat().st_size)
        return super().put_file(key, path, **options)

    def put_bytes(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
        self.sizes.append(len(data))
        return super().put_bytes(key, data, **options)


def stored_sizes(tiny: Tiny) -> list[int]:
    with undone(tiny):
        storage = Weighing(tiny.storage)
        backup(WiringTo(tiny.world, {"local": storage}), "app", Kind.FULL)
        return storage.sizes


def test_one_of_two_targets_that_is_full_leaves_the_copy_on_the_other(tiny: Tiny) -> None:
    tiny.world.source["targets"] = ["local", "second"]
    tiny.world.settings["targets"]["second"] = {"type": "local", "path": "backups-second"}
    tiny.world.save()
    full = FaultyStorage(MemoryStorage("second"), Fault(Damage.FILL_UP, KINDS["archive"], at=0))
    wiring = WiringTo(tiny.world, {"local": tiny.storage, "second": full})
    del tiny.world.settings["targets"]["second"]
    tiny.world.source["targets"] = ["local"]
    tiny.world.save()
    done = backup(wiring, "app", Kind.FULL)
    size = len(tiny.storage.bytes_of(f"app/{done.backup_id}/{ARCHIVE}"))
    key = f"app/{done.backup_id}/{ARCHIVE}"
    assert done.missing == {"second": f"unable to put_file '{key}': ordered by a test; {size} bytes do not fit"}
    assert (list(done.committed), done.complete) == (["local"], False)
    assert list(full.list("catalog/app/0")) == []
    assert set(verdicts(tiny).values()) == {"PASS"}
    assert tiny.world.staged() == []


def test_a_run_that_a_step_left_on_a_full_target_is_wiped_and_its_lease_runs_out(tiny: Tiny) -> None:
    """The lease cannot even be given back there: the wipe says so and goes on."""
    reference = steps.stage(tiny.wiring, "app", Kind.FULL, run="full")
    full = FaultyStorage(tiny.storage, Fault(Damage.FILL_UP, "*", at=0))
    steps.wipe(WiringTo(tiny.world, {"local": full}), reference)
    assert tiny.world.staged() == []
    assert another_host(tiny).complete
