"""commit_backup: what must be true before a backup is listed, and that it is listed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.catalog.world import (
    KEY,
    ROOT,
    SOURCE,
    STRANGER,
    TTL,
    FakeClock,
    MemoryStorage,
    Watched,
    Worker,
    add,
    assert_whole,
    backup_id,
    build,
    catalog,
    digest,
    fill,
)

from rlg_backup.catalog import Catalog, RestorePoint, SeenHead, commit, commit_backup, compare_heads
from rlg_backup.catalog.heads import witnesses_for
from rlg_backup.core.errors import (
    BackupError,
    CatalogForged,
    CatalogGap,
    InvalidSetting,
    LeaseLost,
    ObjectDamaged,
    ObjectMissing,
    SignerUnknown,
    StorageUnavailable,
)
from rlg_backup.core.model import Kind
from rlg_backup.format.chained import Witness
from rlg_backup.format.manifest import Parent

MOVED = "hint: compare with the source's other targets before restoring from this one"
RENEWED = f"{MOVED}; a target that was emptied or put back on purpose needs a new name in the configuration"


def fails(use: Callable[[], object], error: type[BackupError], text: str) -> None:
    with pytest.raises(BackupError) as caught:
        use()
    assert (type(caught.value), str(caught.value)) == (error, text)


class Site:
    """A target with a worker that holds its lease."""

    def __init__(self, folder: Path, name: str = "nas") -> None:
        self.clock = FakeClock()
        self.store = MemoryStorage(name, self.clock)
        self.catalog = catalog(self.store, folder)
        self.worker = Worker(self.store, self.clock)
        self.lease = self.worker.acquire()

    def commit(
        self,
        number: int,
        kind: Kind = Kind.FULL,
        parent: str | None = None,
        others: list[Catalog] | None = None,
        manifest: bytes | None = b"the manifest",
        parent_manifest: bytes = b"the manifest",
    ) -> RestorePoint:
        if manifest is not None:
            self.store.overwrite(f"{SOURCE}/{backup_id(number)}/manifest.json", manifest)
        return commit_backup(
            self.lease,
            self.catalog,
            key=KEY,
            backup_id=backup_id(number),
            kind=kind,
            parent=Parent(backup_id=parent, manifest_sha256=digest(parent_manifest)) if parent else None,
            manifest_sha256=digest(b"the manifest"),
            others=others or [],
        )


@pytest.fixture
def nas(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def s3(tmp_path: Path) -> Site:
    return Site(tmp_path, "s3")


def test_backups_are_committed_in_a_chain_and_the_head_is_remembered(nas: Site) -> None:
    nas.commit(1)
    nas.commit(2, Kind.INCREMENTAL, backup_id(1))
    point = nas.commit(3, Kind.DIFFERENTIAL, backup_id(1))
    assert [(p.sequence, p.kind) for p in assert_whole(nas.store)] == [
        (1, Kind.FULL),
        (2, Kind.INCREMENTAL),
        (3, Kind.DIFFERENTIAL),
    ]
    assert point == nas.catalog.latest()
    assert nas.catalog.seen.get("nas", SOURCE) == SeenHead(3, digest(nas.store.data(point.key)))


def test_committing_a_backup_again_gives_the_same_point_also_after_the_lease_was_lost(nas: Site) -> None:
    point = nas.commit(1)
    assert nas.commit(1) == point
    nas.lease.release()
    assert nas.commit(1) == point
    assert len(assert_whole(nas.store)) == 1
    text = f"unable to commit '{SOURCE}': the lease of 'alpha/1/run' on target 'nas' was released"
    fails(lambda: nas.commit(2), LeaseLost, text)


def test_a_lease_that_ran_out_commits_nothing(nas: Site) -> None:
    nas.clock.advance(TTL)
    text = (
        f"unable to commit '{SOURCE}': the lease of 'alpha/1/run' on target 'nas' ran out at 2026-11-23T02:10:00Z\n"
        "hint: start the run again; a longer lease_minutes outlives pauses"
    )
    fails(lambda: nas.commit(1), LeaseLost, text)
    assert assert_whole(nas.store) == []


def test_a_backup_already_committed_with_another_manifest_is_forged(nas: Site) -> None:
    key = add(nas.store, 1, None)
    text = (
        f"unable to commit '{key}': the backup is in the catalog of target 'nas' with another kind or manifest\n{MOVED}"
    )
    fails(lambda: nas.commit(1), CatalogForged, text)


def test_without_its_manifest_on_the_target_nothing_is_committed(nas: Site) -> None:
    path = f"{SOURCE}/{backup_id(1)}/manifest.json"
    with pytest.raises(ObjectMissing):
        nas.commit(1, manifest=None)
    fails(
        lambda: nas.commit(1, manifest=b"another"),
        ObjectDamaged,
        f"unable to commit '{path}': the manifest on target 'nas' is not the one to commit",
    )
    assert assert_whole(nas.store) == []


def test_without_its_parent_in_the_catalog_an_incremental_is_not_committed(nas: Site) -> None:
    text = (
        f"unable to commit '{backup_id(2)}': its parent '{backup_id(1)}' is not in the catalog of target 'nas'\n"
        "hint: make a full backup to this target"
    )
    fails(lambda: nas.commit(2, Kind.INCREMENTAL, backup_id(1)), CatalogGap, text)
    wrong = f"unable to commit '{backup_id(2)}': a full backup has no parent, any other kind has one"
    fails(lambda: nas.commit(2, Kind.INCREMENTAL), InvalidSetting, wrong)
    fails(lambda: nas.commit(2, Kind.FULL, backup_id(1)), InvalidSetting, wrong)
    assert assert_whole(nas.store) == []


def test_a_parent_with_another_manifest_on_the_target_is_none(nas: Site) -> None:
    nas.commit(1)
    text = (
        f"unable to commit '{backup_id(2)}': its parent '{backup_id(1)}' has another manifest on target 'nas'\n"
        "hint: make a full backup to this target"
    )
    fails(lambda: nas.commit(2, Kind.INCREMENTAL, backup_id(1), parent_manifest=b"other"), CatalogForged, text)
    assert len(assert_whole(nas.store)) == 1


def test_nothing_is_committed_after_a_head_that_was_rolled_back(nas: Site) -> None:
    nas.commit(1)
    nas.store.remove(nas.commit(2).key)
    text = (
        f"unable to read 'catalog/{SOURCE}': it ends at record 00000001 on target 'nas', but this machine saw record "
        f"00000002: a backup is hidden, or the target was rolled back\n{RENEWED}"
    )
    fails(lambda: nas.commit(3), CatalogGap, text)


def test_a_key_that_readers_do_not_trust_commits_nothing(nas: Site) -> None:
    with pytest.raises(SignerUnknown):
        commit(nas.lease, STRANGER, build("nas", 1, nas.clock))
    assert [key for key in nas.store.objects if key != nas.lease.key] == []
    assert nas.worker.commit(1).sequence == 1


def test_a_record_that_does_not_follow_the_head_is_not_committed(nas: Site) -> None:
    nas.worker.commit(1)
    stale = build("nas", 2, nas.clock)
    text = (
        f"unable to commit '{ROOT}00000001-{backup_id(2)}-full.json': "
        "it does not follow the newest record on target 'nas'"
    )
    fails(lambda: commit(nas.lease, KEY, lambda head: stale(None)), CatalogForged, text)


def test_a_record_of_another_source_is_not_committed_under_this_lease(nas: Site) -> None:
    with pytest.raises(CatalogForged):
        commit(nas.lease, KEY, build("nas", 1, nas.clock, source="rlg_fans"))


def test_lease_and_catalog_must_be_of_one_target(nas: Site, s3: Site) -> None:
    nas.catalog = s3.catalog
    text = f"unable to commit '{backup_id(1)}': the lease and the catalog are not of one source and target"
    fails(lambda: nas.commit(1), InvalidSetting, text)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_another_record_of_the_same_name_on_the_target_is_forged_and_not_overwritten(
    nas: Site, elsewhere: bool
) -> None:
    """Two records of one name can only come from someone who writes beside the lease, or moves them."""
    key = f"{ROOT}00000001-{backup_id(1)}-full.json"
    other = MemoryStorage("nas")
    intruder = other.data(
        add(other, 1, None, number=2 if elsewhere else 1, witnesses={"s3": Witness(sequence=1, sha256="a" * 64)})
    )

    def intrude(operation: str, name: str) -> None:
        if operation == "put" and name == key:
            nas.store.overwrite(key, intruder)

    twin = nas.worker.twin(Watched(nas.store, before=intrude))
    text = f"unable to commit '{key}': target 'nas' holds another record of that name\n{MOVED}"
    fails(lambda: twin.commit(1), CatalogForged, text)
    assert nas.store.data(key) == intruder


def test_a_record_that_was_damaged_on_its_way_is_sent_again(nas: Site) -> None:
    """Nobody believes what arrived, and the commit is decided: no later run has to wait for a person."""
    key = f"{ROOT}00000001-{backup_id(1)}-full.json"
    damaged = []

    def damage(operation: str, name: str) -> None:
        if operation == "put" and name == key and not damaged:
            damaged.append(nas.store.data(key))
            nas.store.overwrite(key, damaged[0][:-1])

    twin = nas.worker.twin(Watched(nas.store, after=damage))
    assert twin.commit(1).key == key
    assert nas.store.data(key) == damaged[0]
    assert len(assert_whole(nas.store)) == 1


def test_a_record_that_never_arrives_sound_is_not_committed_until_somebody_can_write_it(nas: Site) -> None:
    """It stays decided: whoever takes the lease next puts it right."""
    key = f"{ROOT}00000001-{backup_id(1)}-full.json"

    def damage(operation: str, name: str) -> None:
        if operation == "put" and name == key:
            nas.store.overwrite(key, b"noise")

    twin = nas.worker.twin(Watched(nas.store, after=damage))
    text = f"unable to commit '{key}': target 'nas' gives back other bytes than were sent"
    fails(lambda: twin.commit(1), ObjectDamaged, text)
    nas.lease.release()
    assert [point.key for point in assert_whole(nas.store)] == [key]


# --- several targets ------------------------------------------------------------------------------


def test_each_target_witnesses_the_others_and_all_agree(nas: Site, s3: Site) -> None:
    for number in (1, 2, 3):
        nas.commit(number, others=[s3.catalog])
        s3.commit(number, others=[nas.catalog])
    assert compare_heads({"nas": nas.catalog, "s3": s3.catalog}) == []
    head = s3.catalog.head()
    assert head is not None
    assert dict(head.record.witnesses) == {
        "nas": Witness(sequence=3, sha256=digest(nas.store.data(nas.catalog.points()[2].key)))
    }


def test_a_head_hidden_on_one_target_is_found_on_a_machine_that_never_saw_it(
    nas: Site, s3: Site, tmp_path: Path
) -> None:
    nas.commit(1)
    hidden = nas.commit(2)
    s3.commit(1, others=[nas.catalog])
    nas.store.remove(hidden.key)
    fresh = tmp_path / "fresh"
    findings = compare_heads({"nas": catalog(nas.store, fresh), "s3": catalog(s3.store, fresh)})
    text = (
        f"unable to verify 'catalog/{SOURCE}': it ends at record 00000001 on target 'nas', but target 's3' saw record "
        f"00000002: a backup is hidden, or the target was rolled back\n{RENEWED}"
    )
    assert [(found.target, type(found.error), str(found.error)) for found in findings] == [("nas", CatalogGap, text)]


def test_a_target_that_is_down_is_a_finding_and_the_others_are_compared(nas: Site, s3: Site, tmp_path: Path) -> None:
    nas.commit(1)
    s3.commit(1, others=[nas.catalog])

    def down(operation: str, key: str) -> None:
        raise StorageUnavailable(operation, key, "target 'tape' does not answer")

    tape = catalog(Watched(MemoryStorage("tape"), before=down), tmp_path)
    nas.store.remove(nas.catalog.points()[0].key)
    findings = compare_heads({"tape": tape, "nas": catalog(nas.store, tmp_path / "fresh"), "s3": s3.catalog})
    assert [(found.target, type(found.error)) for found in findings] == [
        ("tape", StorageUnavailable),
        ("nas", CatalogGap),
    ]


def test_evidence_of_a_hidden_head_outlives_the_next_commit(nas: Site, s3: Site, tmp_path: Path) -> None:
    nas.commit(1)
    hidden = nas.commit(2)
    s3.commit(1, others=[nas.catalog])
    nas.store.remove(hidden.key)
    forgetful = catalog(nas.store, tmp_path / "fresh")
    s3.commit(2, others=[forgetful])
    with pytest.raises(CatalogGap):
        catalog(nas.store, tmp_path / "fresher").latest([catalog(s3.store, tmp_path / "fresher")])


def test_a_target_that_is_down_is_witnessed_as_it_was_last_seen(nas: Site, s3: Site, tmp_path: Path) -> None:
    nas.commit(1)

    def down(operation: str, key: str) -> None:
        raise StorageUnavailable(operation, key, "target 'nas' does not answer")

    unreachable = catalog(Watched(nas.store, before=down), tmp_path)
    expected = Witness(sequence=1, sha256=digest(nas.store.data(nas.catalog.points()[0].key)))
    assert witnesses_for(None, [unreachable]) == {"nas": expected}
    never = catalog(Watched(MemoryStorage("never"), before=down), tmp_path)
    assert witnesses_for(None, [never]) == {}
    assert s3.commit(1, others=[unreachable]).sequence == 1


def test_listing_is_not_spoilt_by_the_neighbouring_source(nas: Site) -> None:
    fill(nas.store, 3, source="rlg_data2")
    assert nas.commit(1).sequence == 1
