"""What becomes of the versions of an object: locks that resist, copies that soft delete keeps, moves; and what a bucket
says of itself."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.gcs_server import Fault

from rlg_backup.core.errors import ObjectExists, ObjectLocked, ObjectMissing, StorageDenied, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage import gcs_versions
from rlg_backup.storage.gcs import GcsStorage
from rlg_backup.storage.port import TargetFacts

UNTIL = datetime(2100, 2, 3, 4, 5, 6, tzinfo=UTC)
LOCKED = "it is locked until 2100-02-03T04:05:06Z"


def other_bucket(gcs_server: Any, **resource: Any) -> str:
    name = f"bucket-{uuid.uuid4()}"
    gcs_server.make_bucket(name, **resource)
    return name


# --- locks ----------------------------------------------------------------------------------------


def test_a_locked_version_resists_the_workers_own_credentials_past_the_driver(storage, client, bucket):
    from google.api_core.exceptions import Forbidden

    info = storage.put_bytes("a", b"kept", locked_until=UNTIL)
    raw = client.bucket(bucket)
    with pytest.raises(Forbidden):
        raw.blob("p/a", generation=int(info.tag)).delete()
    shorter = raw.get_blob("p/a")
    shorter.retention.mode = "Locked"
    shorter.retention.retain_until_time = datetime.now(UTC) + timedelta(seconds=1)
    with pytest.raises(Forbidden):
        shorter.patch(override_unlocked_retention=True)
    raw.blob("p/a").delete()  # sets it aside: the version and its lock stay
    raw.blob("p/a").upload_from_string(b"forged")
    with pytest.raises(ObjectLocked) as caught:
        storage.erase("a")
    assert str(caught.value) == f"unable to erase 'a': {LOCKED}"
    kept = {blob.generation: blob for blob in client.list_blobs(bucket, versions=True)}
    assert kept[int(info.tag)].download_as_bytes() == b"kept"


def test_an_unlocked_mode_is_hardened_by_a_target_that_locks_and_never_the_other_way(client, bucket):
    soft = GcsStorage("cloud", client, bucket, lock_mode="Unlocked", emulator=True)
    hard = GcsStorage("cloud", client, bucket, emulator=True)
    soft.put_bytes("a", b"1", locked_until=UNTIL)
    assert client.bucket(bucket).get_blob("a").retention.mode == "Unlocked"
    hard.lock("a", UNTIL - timedelta(days=1))
    assert client.bucket(bucket).get_blob("a").retention.mode == "Locked"
    assert hard.stat("a").locked_until == UNTIL
    soft.lock("a", UNTIL + timedelta(days=1))
    assert client.bucket(bucket).get_blob("a").retention.mode == "Locked"
    assert hard.stat("a").locked_until == UNTIL + timedelta(days=1)


def test_a_lock_that_meets_another_change_looks_again_and_gives_up_in_the_end(gcs_server, storage):
    storage.put_bytes("a", b"1")
    gcs_server.order(Fault("PATCH", "/p%2Fa", times=2, status=412, reason="conditionNotMet"))
    storage.lock("a", UNTIL)
    assert storage.stat("a").locked_until == UNTIL
    gcs_server.order(Fault("PATCH", "/p%2Fa", times=99, status=412, reason="conditionNotMet"))
    with pytest.raises(ObjectExists) as caught:
        storage.lock("a", UNTIL + timedelta(days=1))
    assert str(caught.value) == "unable to lock 'a': another writer replaced or removed it on target 'cloud'"


def test_a_lock_that_the_credentials_may_not_set_is_denied_and_not_left_out(gcs_server, storage, bucket):
    storage.put_bytes("a", b"1")
    gcs_server.deny(bucket, "storage.objects.setRetention")
    with pytest.raises(StorageDenied) as caught:
        storage.lock("a", UNTIL)
    assert caught.value.cause == "target 'cloud' answered 403 forbidden"


def test_what_a_bucket_holds_for_other_reasons_is_locked_too(gcs_server, storage):
    storage.put_bytes("a", b"1")
    for reason in ("retentionPolicyNotMet", "objectUnderActiveHold"):
        gcs_server.order(Fault("DELETE", "/p%2Fa", times=9, status=403, reason=reason))
        for verb, act in (("delete", storage.delete), ("erase", storage.erase)):
            with pytest.raises(ObjectLocked) as caught:
                act("a")
            assert str(caught.value) == f"unable to {verb} 'a': target 'cloud' answered that it is locked"


# --- erasing --------------------------------------------------------------------------------------


def test_erasing_takes_every_version_and_says_how_many(storage, client, bucket):
    tag = None
    for i in range(3):
        tag = storage.put_bytes("a", b"%d" % i, replacing=tag).tag
    storage.put_bytes("aa", b"1")
    storage.delete("a")
    assert storage.erase("a") == 3
    assert [blob.name for blob in client.list_blobs(bucket, versions=True)] == ["p/aa"]


def test_a_copy_that_soft_delete_keeps_is_not_called_erased(gcs_server, client):
    name = other_bucket(gcs_server, softDeletePolicy={"retentionDurationSeconds": "604800"})
    storage = GcsStorage("cloud", client, name, emulator=True)
    storage.put_bytes("a", b"1")
    storage.put_bytes("ab", b"1")
    for _ in range(2):
        with pytest.raises(ObjectLocked) as caught:
            storage.erase("a")
        (copy,) = client.list_blobs(name, soft_deleted=True)
        until = f"{copy.hard_delete_time:%Y-%m-%dT%H:%M:%SZ}"
        cause = f"target 'cloud' keeps a deleted copy of it until {until}"
        hint = "hint: the bucket has soft delete on; a duration of 0 turns it off"
        assert str(caught.value) == f"unable to erase 'a': {cause}\n{hint}"
    assert [info.key for info in storage.list("")] == ["ab"]


# --- moving ---------------------------------------------------------------------------------------


def test_a_large_object_is_moved_over_several_calls_and_stays_what_it_was(client, bucket, tmp_path):
    data = bytes(range(256)) * 40_000  # 10 MB; the emulator moves 4 MiB a call
    storage = GcsStorage("cloud", client, bucket, single=4 << 20, emulator=True)
    path = tmp_path / "file"
    path.write_bytes(data)
    storage.put_file("a", path, sha256=hashlib.sha256(data).hexdigest(), locked_until=UNTIL)
    before = client.bucket(bucket).get_blob("a")
    info = storage.move_to("a", Tier.ARCHIVE)
    after = client.bucket(bucket).get_blob("a")
    assert (info.tier, info.locked_until, info.size) == (Tier.ARCHIVE, UNTIL, len(data))
    for field in ("metadata", "content_type", "crc32c", "md5_hash"):
        assert getattr(after, field) == getattr(before, field)
    assert storage.get_bytes("a", limit=len(data))[0] == data
    assert storage.thaw("a", 1) is True


def test_a_move_whose_answer_is_lost_is_a_move(gcs_server, storage, impatient):
    for store, key in ((storage, "a"), (impatient, "b")):
        store.put_bytes(key, b"1")
        gcs_server.order(Fault("POST", "rewriteTo", times=1 if store is storage else 99))
        info = store.move_to(key, Tier.COLD)
        assert (info, info.tier) == (store.stat(key), Tier.COLD)


def test_a_move_of_what_was_replaced_meanwhile_is_refused(gcs_server, storage):
    storage.put_bytes("a", b"1")
    gcs_server.order(Fault("POST", "rewriteTo", status=412, reason="conditionNotMet"))
    with pytest.raises(ObjectExists) as caught:
        storage.move_to("a", Tier.COLD)
    assert str(caught.value) == "unable to move 'a': another writer replaced or removed it on target 'cloud'"
    assert storage.stat("a").tier is Tier.HOT


def test_a_move_while_another_replaces_it_puts_nothing_old_back(client, bucket, monkeypatch):
    storage = GcsStorage("cloud", client, bucket, emulator=True)
    tag = storage.put_bytes("a", b"old").tag
    rewrite = gcs_versions._rewrite

    def late(*arguments: Any) -> None:
        GcsStorage("cloud", client, bucket, emulator=True).put_bytes("a", b"new", replacing=tag)
        rewrite(*arguments)

    monkeypatch.setattr(gcs_versions, "_rewrite", late)
    with pytest.raises(ObjectExists):
        storage.move_to("a", Tier.COLD)
    assert storage.get_bytes("a", limit=3)[0] == b"new"
    assert storage.stat("a").tier is Tier.HOT


def test_a_move_that_fails_for_good_is_unavailable_and_moves_nothing(gcs_server, impatient):
    impatient.put_bytes("a", b"1")
    gcs_server.order(Fault("POST", "rewriteTo", times=99, status=503, reason="backendError"))
    with pytest.raises(StorageUnavailable) as caught:
        impatient.move_to("a", Tier.COLD)
    assert str(caught.value) == "unable to move 'a': target 'cloud' answered 503 backendError"
    assert impatient.stat("a").tier is Tier.HOT


def test_a_bucket_without_versions_moves_nothing_that_is_locked(gcs_server, client):
    name = other_bucket(gcs_server, versioning={"enabled": False})
    storage = GcsStorage("cloud", client, name, emulator=True)
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    with pytest.raises(ObjectLocked) as caught:
        storage.move_to("a", Tier.COOL)
    assert str(caught.value) == f"unable to move 'a': {LOCKED}"


# --- what a bucket says of itself -----------------------------------------------------------------


def facts_of(
    gcs_server: Any, *denied: str, mode: Any = "Locked", retention: bool = True, **resource: Any
) -> TargetFacts:
    name = other_bucket(gcs_server, retention=retention, **resource)
    gcs_server.deny(name, *denied)
    return GcsStorage("cloud", gcs_server.client(), name, lock_mode=mode, emulator=True).facts()


def test_a_bucket_tells_region_versions_locks_strangers_and_rights(gcs_server):
    prevented = {"publicAccessPrevention": "enforced"}
    facts = facts_of(gcs_server, location="EUROPE-WEST3", iamConfiguration=prevented)
    assert facts.clock_skew is not None
    assert abs(facts.clock_skew) <= timedelta(seconds=2)
    told = (facts.region, facts.versioned, facts.locks, facts.public, facts.may_delete)
    assert told == ("europe-west3", True, True, False, True)


def test_soft_delete_counts_as_keeping_versions(gcs_server):
    unversioned = {"versioning": {"enabled": False}}
    assert facts_of(gcs_server, **unversioned).versioned is False
    softly = {"softDeletePolicy": {"retentionDurationSeconds": "604800"}}
    assert facts_of(gcs_server, **unversioned, **softly).versioned is True


def test_locks_hold_against_the_credentials_unless_they_may_override_them(gcs_server):
    override = "storage.objects.overrideUnlockedRetention"
    assert facts_of(gcs_server, retention=False).locks is False
    assert facts_of(gcs_server, override, mode="Unlocked").locks is True
    assert facts_of(gcs_server, mode="Unlocked").locks is False


def test_a_worker_that_may_not_delete_is_told_from_one_that_may(gcs_server):
    assert facts_of(gcs_server, "storage.objects.delete").may_delete is False


@pytest.mark.parametrize(
    ("members", "uniform", "public"),
    [
        (["allUsers"], True, True),
        (["allAuthenticatedUsers"], False, True),
        (["user:x@example.org"], True, False),
        (["user:x@example.org"], False, None),  # an ACL of an object may let anybody in
    ],
)
def test_a_bucket_is_public_if_its_policy_lets_strangers_in(gcs_server, client, bucket, members, uniform, public):
    iam = {"publicAccessPrevention": "inherited", "uniformBucketLevelAccess": {"enabled": uniform}}
    name = other_bucket(gcs_server, iamConfiguration=iam)
    policy = client.bucket(name).get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": set(members)})
    client.bucket(name).set_iam_policy(policy)
    assert GcsStorage("cloud", client, name, emulator=True).facts().public is public


def test_what_the_credentials_may_not_ask_is_not_known(gcs_server):
    facts = facts_of(gcs_server, "storage.buckets.get", "storage.buckets.getIamPolicy")
    assert (facts.region, facts.versioned, facts.locks, facts.public) == (None, None, None, None)
    assert (facts.clock_skew is None, facts.may_delete) == (False, True)


def test_a_clock_that_is_wrong_is_told_by_how_much(gcs_server, storage):
    gcs_server.run_clock_ahead(-600)
    assert abs(storage.facts().clock_skew + timedelta(minutes=10)) <= timedelta(seconds=2)


def test_a_bucket_that_does_not_exist_says_nothing(client):
    with pytest.raises(ObjectMissing) as caught:
        GcsStorage("cloud", client, "no-such-bucket", emulator=True).facts()
    assert str(caught.value) == "unable to ask 'no-such-bucket': the bucket of target 'cloud' does not exist"
