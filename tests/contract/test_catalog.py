"""The catalog over real targets: what unit tests show in memory holds on a folder and on S3."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.s3_server import S3Server

from rlg_backup.catalog import Catalog, Lease, RestorePoint, SeenHeads, commit, commit_backup, compare_heads
from rlg_backup.catalog.records import Head
from rlg_backup.catalog.writing import NO_ERASURES
from rlg_backup.core.errors import BackupNotFound, CatalogGap, LeaseHeld, LeaseLost
from rlg_backup.core.model import Kind, new_backup_id
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.keys import SigningKey
from rlg_backup.format.manifest import Parent
from rlg_backup.storage.local import LocalStorage
from rlg_backup.storage.port import Storage
from rlg_backup.storage.s3 import S3Storage

KEY = SigningKey.generate()
TRUSTED = [KEY.signer]
SOURCE = "rlg_data"
TTL = timedelta(minutes=5)
MANIFEST_SHA256 = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"  # of b"0"
Open = Callable[[str], Storage]


@pytest.fixture(params=["local", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the target of a name; each call is another client of the same place."""
    if request.param == "local":
        return lambda name: LocalStorage(name, tmp_path / name)
    server: S3Server = request.getfixturevalue("s3_server")
    buckets: dict[str, str] = {}

    def s3(name: str) -> Storage:
        client = server.client()
        if name not in buckets:
            buckets[name] = f"catalog-{secrets.token_hex(6)}"
            client.create_bucket(Bucket=buckets[name])
        return S3Storage(name, client, buckets[name], prefix="backups", emulator=True)

    return s3


def acquire(store: Storage, holder: str, ttl: timedelta = TTL) -> Lease:
    return Lease.acquire(store, SOURCE, holder, ttl, trusted=TRUSTED)


def builder(target: str, backup_id: str) -> Callable[[Head | None], CommitRecord]:
    def build(head: Head | None) -> CommitRecord:
        return CommitRecord(
            source=SOURCE,
            backup_id=backup_id,
            kind=Kind.FULL,
            sequence=head.entry.sequence + 1 if head else 1,
            manifest_sha256=MANIFEST_SHA256,
            previous_sha256=head.sha256 if head else None,
            committed_at=datetime.now(UTC),
            target=target,
            erasures=NO_ERASURES,
            witnesses={},
        )

    return build


def patiently(store: Storage, holder: str, ttl: timedelta = TTL) -> Lease:
    until = time.monotonic() + 60
    while True:
        try:
            return acquire(store, holder, ttl)
        except LeaseHeld:
            assert time.monotonic() < until, "the lease was never free"
            time.sleep(0.01)


def test_a_run_acquires_renews_commits_and_releases_and_readers_agree(target: Open, tmp_path: Path) -> None:
    store = target("nas")
    catalog = Catalog(store, SOURCE, trusted=TRUSTED, seen=SeenHeads(tmp_path / "seen.json"))
    ids = [f"20261123T02000{number}Z-0000000{number}" for number in range(3)]
    for number, backup_id in enumerate(ids):
        lease = acquire(store, f"host/{number}/run")
        store.put_bytes(f"{SOURCE}/{backup_id}/manifest.json", b"0")
        lease.renew()
        point = commit_backup(
            Lease.resume(target("nas"), lease.state(), trusted=TRUSTED),
            catalog,
            key=KEY,
            backup_id=backup_id,
            kind=Kind.INCREMENTAL if number else Kind.FULL,
            parent=Parent(backup_id=ids[number - 1], manifest_sha256=MANIFEST_SHA256) if number else None,
            manifest_sha256=MANIFEST_SHA256,
        )
        assert point.sequence == number + 1
        lease.release()
    fresh = Catalog(target("nas"), SOURCE, trusted=TRUSTED, seen=SeenHeads(tmp_path / "fresh.json"))
    assert [point.backup_id for point in fresh.points()] == ids
    assert fresh.latest() == catalog.latest()
    assert compare_heads({"nas": fresh}) == []


def test_a_second_run_is_refused_until_the_lease_ran_out_and_then_the_first_commits_nothing(target: Open) -> None:
    store = target("nas")
    first = acquire(store, "slow/1/run", timedelta(seconds=1))
    with pytest.raises(LeaseHeld):
        acquire(target("nas"), "next/2/run")
    second = patiently(target("nas"), "next/2/run")
    with pytest.raises(LeaseLost):
        commit(first, KEY, builder("nas", "20261123T020000Z-0000000a"))
    assert commit(second, KEY, builder("nas", "20261123T020000Z-0000000b")).sequence == 1


def test_a_hidden_record_is_noticed_on_a_real_target(target: Open, tmp_path: Path) -> None:
    store = target("nas")
    catalog = Catalog(store, SOURCE, trusted=TRUSTED, seen=SeenHeads(tmp_path / "seen.json"))
    lease = acquire(store, "host/1/run")
    points = [commit(lease, KEY, builder("nas", f"20261123T02000{number}Z-0000000a")) for number in range(2)]
    catalog.latest()
    store.delete(points[1].key)
    with pytest.raises(CatalogGap):
        catalog.latest()


def test_runs_that_race_for_the_lease_each_commit_once_and_in_a_chain(target: Open, tmp_path: Path) -> None:
    def run(number: int) -> RestorePoint:
        store = target("nas")
        lease = patiently(store, f"host/{number}/run")
        point = commit(lease, KEY, builder("nas", f"20261123T02000{number}Z-0000000{number}"))
        lease.release()
        return point

    target("nas")
    with ThreadPoolExecutor(4) as pool:
        points = list(pool.map(run, range(6)))
    catalog = Catalog(target("nas"), SOURCE, trusted=TRUSTED, seen=SeenHeads(tmp_path / "seen.json"))
    assert sorted(point.sequence for point in points) == [1, 2, 3, 4, 5, 6]
    assert sorted(points) == catalog.points()
    assert catalog.latest().sequence == 6


def test_overlapping_tries_of_one_run_commit_one_record(target: Open, tmp_path: Path) -> None:
    state = acquire(target("nas"), "host/1/run").state()

    def attempt(number: int) -> RestorePoint:
        lease = Lease.resume(target("nas"), state, trusted=TRUSTED)
        return commit(lease, KEY, builder("nas", "20261123T020000Z-0000000a"))

    with ThreadPoolExecutor(4) as pool:
        points = set(pool.map(attempt, range(4)))
    catalog = Catalog(target("nas"), SOURCE, trusted=TRUSTED, seen=SeenHeads(tmp_path / "seen.json"))
    assert points == set(catalog.points())
    assert catalog.latest().sequence == 1


def _commit_for_ever(root: Path) -> None:
    store = LocalStorage("nas", root)
    while True:
        lease = patiently(store, f"host/{os.getpid()}/run", timedelta(seconds=1))
        commit(lease, KEY, builder("nas", new_backup_id(datetime.now(UTC))))
        lease.release()


def test_processes_killed_at_any_moment_leave_a_whole_catalog_that_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "nas"
    store = LocalStorage("nas", root)
    seen = SeenHeads(tmp_path / "seen.json")
    context = multiprocessing.get_context("fork")
    for round_number in range(3):
        children = [context.Process(target=_commit_for_ever, args=(root,)) for _ in range(2)]
        for child in children:
            child.start()
        time.sleep(0.4 + 0.07 * round_number)
        for child in children:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join(10)
            assert child.exitcode == -signal.SIGKILL, "it ended before it was killed"
        catalog = Catalog(store, SOURCE, trusted=TRUSTED, seen=seen)
        before = len(catalog.points())
        catalog.verify_chain()
        lease = patiently(store, "after/1/run")
        point = commit(lease, KEY, builder("nas", new_backup_id(datetime.now(UTC))))
        lease.release()
        assert before < point.sequence <= before + 2  # one that was decided may have been finished
        assert catalog.latest() == point


def test_ten_thousand_points_are_listed_in_two_seconds(tmp_path: Path) -> None:
    folder = tmp_path / "nas" / "catalog" / SOURCE
    folder.mkdir(parents=True)
    for number in range(1, 10_001):
        (folder / f"{number:08d}-20261123T020000Z-{number:08x}-full.json").touch()
    catalog = Catalog(LocalStorage("nas", tmp_path / "nas"), SOURCE, trusted=TRUSTED, seen=SeenHeads(tmp_path / "s"))
    started = time.process_time()
    points = catalog.points()
    assert time.process_time() - started < 2
    assert len(points) == 10_000
    started = time.process_time()
    with pytest.raises(BackupNotFound):  # the slow way: it looks for ids that are near
        catalog.find("20261123T020000Z-ffffffff")
    assert time.process_time() - started < 2
