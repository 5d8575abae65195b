"""Manifest, commit records, the memory of seen heads, the lease: every byte of each, every length."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.damage.tiny import Tiny, undone
from tests.damage.trials import BITS, Trial, all_refused, cuts, every_damage, flips, growths
from tests.unit.format.documents import RETENTION

from rlg_backup.catalog import Lease
from rlg_backup.catalog.lease_file import LeaseFile, Pending
from rlg_backup.catalog.points import lease_key
from rlg_backup.core.errors import (
    BackupError,
    CatalogForged,
    DocumentDamaged,
    FormatUnsupported,
    LeaseHeld,
    ObjectDamaged,
    SignatureInvalid,
    SignerUnknown,
)
from rlg_backup.engine.restore_points import Chosen, choose
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.manifest import Manifest
from rlg_backup.format.retention import RetentionRecord

UNSIGNED = (DocumentDamaged, SignatureInvalid, SignerUnknown, FormatUnsupported)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
Planted = Callable[[str, bytes], None]


@pytest.fixture(scope="module")
def history(template: Tiny, backups: dict[str, Chosen]) -> list[Chosen]:
    """Three backups of one source, oldest first, all seen by this machine."""
    return [backups["app"], template.back_up(), template.back_up()]


@pytest.fixture
def tiny(template: Tiny, history: list[Chosen]) -> Iterator[Tiny]:
    with undone(template):
        yield template


def manifest_key(chosen: Chosen) -> str:
    return f"{chosen.folder}/manifest.json"


def planted(tiny: Tiny, key: str, use: Callable[[], object]) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        tiny.storage.plant(key, data)
        return use()

    return run


# --- manifest and commit record: what a signature covers ----------------------------------------------


@pytest.mark.parametrize("which", ["id", "latest"])
def test_every_flipped_byte_cut_and_growth_of_a_manifest_is_refused_before_the_archive_is_looked_at(
    tiny: Tiny, history: list[Chosen], which: str
) -> None:
    newest = history[-1]
    key, asked = manifest_key(newest), newest.point.backup_id if which == "id" else which
    trials: Iterator[Trial] = every_damage(tiny.storage.bytes_of(key))
    if which == "latest":  # the same check behind the whole chain
        trials = itertools.islice(trials, 0, None, 10)
    all_refused(trials, planted(tiny, key, lambda: choose(tiny.wiring, "app", asked)), ObjectDamaged)


def test_a_manifest_alone_has_no_bit_that_can_be_changed(tiny: Tiny, history: list[Chosen]) -> None:
    """As if no commit record named its digest: the signature and the one spelling speak for themselves."""
    newest = history[-1]
    sound, backup_id = tiny.storage.bytes_of(manifest_key(newest)), newest.point.backup_id

    def load(data: bytes) -> Manifest:
        return Manifest.load(data, tiny.wiring.trusted, source="app", backup_id=backup_id)

    assert load(sound) == newest.manifest
    counts = all_refused(every_damage(sound, BITS), load, UNSIGNED)
    assert set(counts) == {error.__name__ for error in UNSIGNED}


def test_a_commit_record_alone_has_no_bit_that_can_be_changed(tiny: Tiny, history: list[Chosen]) -> None:
    point = history[1].point
    sound = tiny.storage.bytes_of(point.key)

    def load(data: bytes) -> CommitRecord:
        return CommitRecord.load(data, tiny.wiring.trusted, path=point.key, target="local")

    assert load(sound).backup_id == point.backup_id
    counts = all_refused(every_damage(sound, BITS), load, UNSIGNED)
    assert set(counts) == {error.__name__ for error in UNSIGNED}


def test_a_retention_record_alone_has_no_bit_that_can_be_changed(tiny: Tiny) -> None:
    record = RetentionRecord.from_dict({**RETENTION, "source": "app"}, "record")
    sound = record.sign(tiny.wiring.signing_key)

    def load(data: bytes) -> RetentionRecord:
        return RetentionRecord.load(data, tiny.wiring.trusted, path=record.path, target="local")

    assert load(sound) == record
    counts = all_refused(every_damage(sound, BITS[1:2]), load, UNSIGNED)
    assert set(counts) == {error.__name__ for error in UNSIGNED}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_flipped_byte_cut_and_growth_of_a_commit_record_is_refused_to_who_asks_for_its_backup(
    tiny: Tiny, history: list[Chosen], number: int
) -> None:
    point = history[number - 1].point
    use = planted(tiny, point.key, lambda: choose(tiny.wiring, "app", point.backup_id))
    all_refused(every_damage(tiny.storage.bytes_of(point.key)), use, UNSIGNED)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_machine_that_has_seen_nothing_notices_damage_to_any_record_when_it_asks_for_the_latest(
    tiny: Tiny, history: list[Chosen], number: int
) -> None:
    """It reads the chain to its first record; what has seen record 3 relies on that alone (the next test)."""
    key, state = history[number - 1].point.key, tiny.world.root / "state" / "seen.json"

    def use() -> Chosen:
        state.unlink(missing_ok=True)
        return choose(tiny.wiring, "app")

    trials = itertools.islice(every_damage(tiny.storage.bytes_of(key)), number, None, 7)
    all_refused(trials, planted(tiny, key, use), UNSIGNED)
    assert not state.exists()


def test_a_machine_that_has_seen_the_newest_record_gets_the_latest_although_an_older_record_is_damaged(
    tiny: Tiny, history: list[Chosen]
) -> None:
    tiny.storage.plant(history[0].point.key, b"rotten")
    assert choose(tiny.wiring, "app").point == history[2].point


# --- what this machine has seen -----------------------------------------------------------------------


def test_every_change_of_the_file_of_seen_heads_is_an_error_and_nothing_is_forgotten(
    tiny: Tiny, history: list[Chosen]
) -> None:
    """All bits: also those that make another name of a target or a source, or another white space."""
    path = tiny.world.root / "state" / "seen.json"
    sound = path.read_bytes()

    def get(data: bytes) -> object:
        path.write_bytes(data)
        return tiny.wiring.seen.get("local", "app")

    def latest(data: bytes) -> Chosen:
        path.write_bytes(data)
        return choose(tiny.wiring, "app")

    assert latest(sound).point == history[2].point
    all_refused(every_damage(sound, BITS), get, DocumentDamaged)
    all_refused(itertools.islice(every_damage(sound, BITS), 0, None, 20), latest, DocumentDamaged)


# --- the lease: not signed, and nothing is believed that it says ----------------------------------------


def test_the_lease_is_read_by_nobody_who_chooses_verifies_or_restores(tiny: Tiny, tmp_path: Path) -> None:
    from rlg_backup.engine.restore import restore
    from rlg_backup.engine.verify import verify

    tiny.storage.plant(lease_key("app"), b"rotten")
    assert choose(tiny.wiring, "app").point.sequence == 3
    assert verify(tiny.wiring, "app", full=True).verdict == "PASS"
    assert restore(tiny.wiring, "app", "latest", str(tmp_path / "out.db")).rows == 3


def lease_file(tiny: Tiny, pending: Pending | None) -> bytes:
    """Somebody's lease that ran out, with a commit decided or without one."""
    expired = LeaseFile(7, "0123456789abcdef", "host/1/run", 600, datetime(2026, 11, 23, tzinfo=UTC), pending, 12)
    return expired.to_bytes(lease_key("app"))


def take(tiny: Tiny) -> Lease:
    """As the next run does, long after."""
    return Lease.acquire(
        tiny.storage, "app", "host/2/next", timedelta(minutes=1), trusted=tiny.wiring.trusted, clock=lambda: LATER
    )


LEASE_ERRORS = (DocumentDamaged, FormatUnsupported, LeaseHeld, CatalogForged, SignatureInvalid, SignerUnknown)


@pytest.mark.parametrize("pending", [False, True], ids=["no commit under way", "a commit under way"])
def test_whatever_a_damaged_lease_says_the_catalog_holds_what_was_committed_or_decided_and_nothing_else(
    tiny: Tiny, history: list[Chosen], pending: bool
) -> None:
    """A lease may be taken with a changed holder, nonce or end: that is who may commit, not what is believed."""
    newest = history[2].point
    record = tiny.storage.bytes_of(newest.key)
    sound = {key: tiny.storage.bytes_of(key) for key in tiny.storage.keys("catalog/app/0")}
    if pending:  # record 3 is decided and not yet written
        tiny.storage.delete(newest.key)
        (tiny.world.root / "state" / "seen.json").unlink()
    data = lease_file(tiny, Pending(newest.key, record) if pending else None)
    outcomes = {"taken": 0, "refused": 0}
    trials = itertools.chain(flips(data, BITS[:1] if pending else BITS), cuts(data), growths(data))
    for trial in trials:
        tiny.storage.plant(lease_key("app"), trial.data)
        try:
            lease = take(tiny)
        except BackupError as error:
            assert type(error) in LEASE_ERRORS, (trial.what, error)
            outcomes["refused"] += 1
        else:
            assert lease.look().file is not None
            outcomes["taken"] += 1
        found = {key: tiny.storage.bytes_of(key) for key in tiny.storage.keys("catalog/app/0")}
        assert found.items() <= sound.items(), trial.what
        assert {point.key for point in (history[0].point, history[1].point)} <= found.keys()
        if pending:
            tiny.storage.delete(newest.key)
    assert min(outcomes.values()) > 10, outcomes


@pytest.mark.parametrize("length", ["cut", "grown", "empty"])
def test_a_run_that_finds_a_lease_that_is_none_writes_nothing(tiny: Tiny, length: str) -> None:
    data = lease_file(tiny, None)
    tiny.storage.plant(lease_key("app"), {"cut": data[:-1], "grown": data + b"\n", "empty": b""}[length])
    before = tiny.storage.keys()
    with pytest.raises(DocumentDamaged) as caught:
        tiny.back_up()
    cause = {"grown": "its bytes are not canonical JSON"}.get(length, "it is not JSON that has a canonical form")
    hint = "when no run is at work on this source, remove the file; catalog records are not affected"
    assert str(caught.value) == f"unable to read 'catalog/app/lease.json': {cause}\nhint: {hint}"
    assert tiny.storage.keys() == before
    assert tiny.world.staged() == []


def test_the_sound_lease_is_taken_and_the_commit_under_way_finished(tiny: Tiny, history: list[Chosen]) -> None:
    newest = history[2].point
    record = tiny.storage.bytes_of(newest.key)
    tiny.storage.delete(newest.key)
    tiny.storage.plant(lease_key("app"), lease_file(tiny, Pending(newest.key, record)))
    assert take(tiny).token == 8
    assert tiny.storage.bytes_of(newest.key) == record


def test_a_decided_commit_that_was_changed_for_another_signed_record_does_not_take_its_place(
    tiny: Tiny, history: list[Chosen]
) -> None:
    """The owner of the target puts an old record, or its key, into the lease: neither is what comes next."""
    newest, older = history[2].point, history[1].point
    record, old = tiny.storage.bytes_of(newest.key), tiny.storage.bytes_of(older.key)
    tiny.storage.delete(newest.key)
    elsewhere = replace(newest, sequence=4)
    for pending in (Pending(newest.key, old), Pending(older.key, record), Pending(elsewhere.key, record)):
        tiny.storage.plant(lease_key("app"), lease_file(tiny, pending))
        with pytest.raises(CatalogForged):
            take(tiny)
        assert tiny.storage.keys("catalog/app/0") == [history[0].point.key, older.key]
