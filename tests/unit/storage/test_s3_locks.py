"""What Object Lock holds against, what copies to colder classes leave, and what a bucket says of itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.s3_server import Fault, S3Server

from rlg_backup.core.errors import ObjectExists, ObjectLocked, ObjectMissing, StorageDenied, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage import s3_copy
from rlg_backup.storage.locks import FOR_EVER
from rlg_backup.storage.port import TargetFacts
from rlg_backup.storage.s3 import S3Storage
from rlg_backup.storage.s3_bucket import PART_SIZE, WRITE_ID

MIB = 1 << 20
UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:1:key/k"}


@pytest.fixture
def locking(s3_server: S3Server) -> str:
    """A bucket with Object Lock."""
    name = f"locking-{uuid.uuid4()}"
    s3_server.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def vault(client: Any, locking: str) -> S3Storage:
    return S3Storage("cloud", client, locking, "p", part_size=5 * MIB, emulator=True)


def versions(client: Any, bucket: str, key: str = "p/a") -> list[Any]:
    page = client.list_object_versions(Bucket=bucket, Prefix=key)
    return [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]


def before(client: Any, operation: str, act: Callable[[], object]) -> None:
    """Does something once, just before the client sends such a request."""
    event = f"before-send.s3.{operation}"

    def once(**_: Any) -> None:
        client.meta.events.unregister(event, once)
        act()

    client.meta.events.register(event, once)


# --- locks ----------------------------------------------------------------------------------------


def test_the_very_credentials_that_locked_a_version_do_not_get_rid_of_it_without_the_driver(
    client, vault, locking, large
):
    vault.put_file("a", large[0], sha256=large[1], locked_until=UNTIL)
    vault.put_bytes("b", b"kept")
    vault.lock("b", UNTIL)
    for key in ("p/a", "p/b"):
        (version,) = versions(client, locking, key)
        place = {"Bucket": locking, "Key": key}
        retention = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
        for attack in (
            lambda p=place, v=version: client.delete_object(**p, VersionId=v["VersionId"]),
            lambda p=place, v=version: client.delete_object(
                **p, VersionId=v["VersionId"], BypassGovernanceRetention=True
            ),
            lambda p=place, r=retention: client.put_object_retention(**p, Retention=r, BypassGovernanceRetention=True),
        ):
            with pytest.raises(client.exceptions.ClientError) as caught:
                attack()
            assert caught.value.response["Error"]["Code"] == "AccessDenied"
        client.put_object(**place, Body=b"another")
        client.delete_object(**place)
        kept = client.get_object(**place, VersionId=version["VersionId"])
        assert kept["ContentLength"] == version["Size"]
        assert kept["ObjectLockRetainUntilDate"] == UNTIL
    with pytest.raises(ObjectLocked) as caught:
        vault.erase("b")  # hidden, and yet locked
    assert str(caught.value) == "unable to erase 'b': it is locked until 2100-01-01T00:00:00Z"


def test_an_upload_asks_for_its_lock_in_the_request_that_makes_the_object(s3_server, vault, large):
    s3_server.order(Fault("PUT", "retention", times=99, status=403, code="ThisMustNotBeAsked"))
    for key, path, digest in (("large", *large),):
        assert vault.put_file(key, path, sha256=digest, locked_until=UNTIL).locked_until == UNTIL
    assert vault.put_bytes("small", b"1", locked_until=UNTIL).locked_until == UNTIL
    for key in ("large", "small"):
        with pytest.raises(ObjectLocked):
            vault.erase(key)
    s3_server.order()


def test_a_lock_in_compliance_is_made_longer_by_one_who_locks_in_governance(client, vault, locking):
    vault.put_bytes("a", b"1", locked_until=UNTIL)
    other = S3Storage("cloud", client, locking, "p", lock_mode="GOVERNANCE", emulator=True)
    other.lock("a", UNTIL + timedelta(days=1))
    head = client.head_object(Bucket=locking, Key="p/a")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", UNTIL + timedelta(days=1))
    other.put_bytes("b", b"1", locked_until=UNTIL)
    assert client.head_object(Bucket=locking, Key="p/b")["ObjectLockMode"] == "GOVERNANCE"


def test_an_object_on_legal_hold_is_locked_for_ever_and_can_be_locked_beside(client, vault, locking):
    vault.put_bytes("a", b"1")
    client.put_object_legal_hold(Bucket=locking, Key="p/a", LegalHold={"Status": "ON"})
    assert vault.stat("a").locked_until == FOR_EVER
    for remove in (vault.delete, vault.erase):
        with pytest.raises(ObjectLocked):
            remove("a")
    vault.lock("a", UNTIL)
    vault.move_to("a", Tier.COOL)
    assert vault.stat("a").locked_until == FOR_EVER
    client.put_object_legal_hold(Bucket=locking, Key="p/a", LegalHold={"Status": "OFF"})
    assert vault.stat("a").locked_until == UNTIL


def test_of_two_who_lock_at_once_the_longer_lock_stays(s3_server, vault, locking, client):
    vault.put_bytes("a", b"1")
    other = S3Storage("cloud", s3_server.client(), locking, "p", emulator=True)
    before(client, "PutObjectRetention", lambda: other.lock("a", UNTIL))
    vault.lock("a", UNTIL - timedelta(days=1))
    assert vault.stat("a").locked_until == UNTIL


def test_one_who_may_not_lock_is_denied_and_not_told_that_there_are_no_locks(s3_server, vault):
    vault.put_bytes("a", b"1")
    s3_server.order(Fault("PUT", "retention", status=403, code="AccessDenied"))
    with pytest.raises(StorageDenied) as caught:
        vault.lock("a", UNTIL)
    assert caught.value.cause == "target 'cloud' answered 403 AccessDenied"


def test_an_object_of_which_an_older_version_is_locked_keeps_its_newest(client, vault, locking):
    vault.put_bytes("a", b"1", locked_until=UNTIL)
    client.put_object(Bucket=locking, Key="p/a", Body=b"2")
    with pytest.raises(ObjectLocked):
        vault.erase("a")
    assert vault.get_bytes("a", limit=1)[0] == b"2"


def test_while_an_object_is_erased_no_older_version_comes_to_light(s3_server, client, vault, locking):
    tag = vault.put_bytes("a", b"0").tag
    for i in range(1, 4):
        tag = vault.put_bytes("a", b"%d" % i, replacing=tag).tag
    vault.delete("a")
    assert len(versions(client, locking)) == 5
    s3_server.order(Fault("DELETE", "/p/a", times=1))  # one answer is lost
    removed = []
    client.meta.events.register("before-send.s3.DeleteObject", lambda **_: removed.append(list(vault.list(""))))
    assert vault.erase("a") == 5
    assert removed == [[]] * 6
    assert versions(client, locking) == []


# --- colder classes -------------------------------------------------------------------------------


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which the test's file is too large for one copy."""
    monkeypatch.setattr(s3_copy, "_WHOLE", 6 * MIB)
    monkeypatch.setattr(s3_copy, "_PART", 6 * MIB)


def read(storage: S3Storage, key: str) -> bytes:
    with storage.open(key) as stream:
        return stream.read()


def test_a_large_object_is_copied_in_parts_with_its_lock_and_metadata(in_parts, client, vault, locking, large):
    vault.put_file("a", large[0], sha256=large[1], locked_until=UNTIL)
    made = client.head_object(Bucket=locking, Key="p/a")["Metadata"]
    info = vault.move_to("a", Tier.COLD)
    head = client.head_object(Bucket=locking, Key="p/a")
    assert (info.size, info.tier, info.locked_until) == (large[0].stat().st_size, Tier.COLD, UNTIL)
    assert head["StorageClass"] == "GLACIER_IR"
    assert head["Metadata"] == {WRITE_ID: made[WRITE_ID], PART_SIZE: str(6 * MIB)}
    assert read(vault, "a") == large[0].read_bytes()
    assert vault.move_to("a", Tier.COLD) == info


@pytest.mark.parametrize("lost", [1, 9])
@pytest.mark.parametrize("parts", [False, True])
def test_a_copy_whose_answer_is_lost_is_a_success(request, s3_server, storage, client, bucket, large, parts, lost):
    if parts:
        request.getfixturevalue("in_parts")
    storage.put_file("a", large[0], sha256=large[1])
    s3_server.order(Fault("POST", "uploadId=", times=lost) if parts else Fault("PUT", "/p/a", times=lost))
    info = storage.move_to("a", Tier.COOL)
    s3_server.order()
    assert (info.tier, storage.stat("a")) == (Tier.COOL, info)
    assert read(storage, "a") == large[0].read_bytes()
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("versioned", [False, True])
def test_an_object_replaced_while_it_is_copied_stays_the_new_one(
    request, s3_server, bucket, locking, client, parts, versioned
):
    if parts:
        request.getfixturevalue("in_parts")
    place = locking if versioned else bucket
    storage, other = (S3Storage("cloud", c, place, "p", emulator=True) for c in (client, s3_server.client()))
    tag = storage.put_bytes("a", bytes(13 * MIB)).tag
    last = "CompleteMultipartUpload" if parts else "CopyObject"
    before(client, last, lambda: other.put_bytes("a", b"new", replacing=tag))
    with pytest.raises(ObjectExists) as caught:
        storage.move_to("a", Tier.COOL)
    cause = "another writer replaced or removed it on target 'cloud'"
    assert str(caught.value) == f"unable to move 'a': {cause}"
    assert (storage.get_bytes("a", limit=3)[0], storage.stat("a").tier) == (b"new", Tier.HOT)


def test_a_copy_that_fails_leaves_the_object_as_it_was(in_parts, s3_server, impatient, client, bucket, large):
    impatient.put_file("a", large[0], sha256=large[1])
    s3_server.order(Fault("PUT", "partNumber=2", times=9, status=503, code="SlowDown"))
    with pytest.raises(StorageUnavailable) as caught:
        impatient.move_to("a", Tier.COOL)
    assert str(caught.value) == "unable to move 'a': target 'cloud' answered 503 SlowDown"
    assert impatient.stat("a").tier is Tier.HOT
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_the_version_that_was_moved_goes_unless_it_is_locked(client, vault, locking):
    vault.put_bytes("a", b"1")
    vault.put_bytes("b", b"1", locked_until=UNTIL)
    for key in ("a", "b"):
        vault.move_to(key, Tier.COOL)
    assert [v["StorageClass"] for v in versions(client, locking, "p/a")] == ["STANDARD_IA"]
    assert sorted(v["StorageClass"] for v in versions(client, locking, "p/b")) == ["STANDARD", "STANDARD_IA"]


# --- encryption at the service --------------------------------------------------------------------


def test_every_object_is_encrypted_as_the_setting_says(in_parts, client, bucket, large):
    storage = S3Storage("cloud", client, bucket, "p", part_size=5 * MIB, encryption=KMS, emulator=True)
    storage.put_bytes("bytes", b"1")
    storage.put_bytes("bytes", b"2", replacing=storage.stat("bytes").tag)
    for key, tier in (("large", None), ("copied", Tier.COOL)):
        storage.put_file(key, large[0], sha256=large[1])
        if tier:
            storage.move_to(key, tier)
    storage.put_bytes("moved", b"1")
    storage.move_to("moved", Tier.COOL)
    for key in ("bytes", "large", "copied", "moved"):
        head = client.head_object(Bucket=bucket, Key=f"p/{key}")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KMS["SSEKMSKeyId"]), key


# --- what a bucket says of itself -----------------------------------------------------------------


def test_a_bucket_tells_where_it_is_and_what_it_keeps(s3_server, client, storage, vault, bucket, locking):
    assert storage.facts() == TargetFacts("us-east-1", False, False, False, timedelta(0), True)
    assert vault.facts() == TargetFacts("us-east-1", True, True, False, timedelta(0), True)
    assert versions(client, locking, "") == []  # no delete marker of the question
    elsewhere = f"frankfurt-{uuid.uuid4()}"
    client.create_bucket(Bucket=elsewhere, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_bucket_versioning(Bucket=elsewhere, VersioningConfiguration={"Status": "Suspended"})
    facts = S3Storage("cloud", client, elsewhere, emulator=True).facts()
    assert (facts.region, facts.versioned, facts.may_delete) == ("eu-central-1", False, True)
    assert versions(client, elsewhere, "") == []


def test_a_bucket_open_by_policy_or_access_list_is_public_unless_that_is_blocked(client, storage, bucket):
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    for open_, close in (
        (lambda: client.put_bucket_acl(Bucket=bucket, ACL="public-read"), "IgnorePublicAcls"),
        (lambda: client.put_bucket_policy(Bucket=bucket, Policy=policy), "RestrictPublicBuckets"),
    ):
        client.put_bucket_acl(Bucket=bucket, ACL="private")
        open_()
        assert storage.facts().public is True
        block = {name: name == close for name in names}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
        assert storage.facts().public is False
        client.delete_public_access_block(Bucket=bucket)


def test_what_the_credentials_may_not_ask_is_not_known_and_no_error(s3_server, storage):
    s3_server.order(*(Fault(m, "bucket-", times=99, status=403, code="AccessDenied") for m in ("GET", "HEAD")))
    facts = storage.facts()
    s3_server.order()
    assert facts == TargetFacts(may_delete=True)


def test_the_right_to_delete_is_asked_without_leaving_a_delete_marker(client, storage, vault):
    asked: list[str] = []
    client.meta.events.register("before-send.s3.DeleteObject", lambda request, **_: asked.append(request.url))
    for one in (storage, vault):
        one.facts()
    assert ["versionId=null" in url for url in asked] == [False, True]


@pytest.mark.parametrize(("status", "code", "may"), [(403, "AccessDenied", False), (501, "NotImplemented", None)])
def test_credentials_that_may_not_delete_say_so(s3_server, vault, status, code, may):
    s3_server.order(Fault("DELETE", "no-such-object", times=9, status=status, code=code))
    assert vault.facts().may_delete is may


def test_a_bucket_that_is_not_there_or_does_not_answer_is_an_error(s3_server, client, impatient, bucket):
    with pytest.raises(ObjectMissing) as caught:
        S3Storage("cloud", client, "no-such-bucket", emulator=True).facts()
    assert str(caught.value) == "unable to ask 'no-such-bucket': the bucket of target 'cloud' does not exist"
    s3_server.order(Fault("GET", "versioning", times=9, status=503, code="SlowDown"))
    with pytest.raises(StorageUnavailable) as unavailable:
        impatient.facts()
    assert str(unavailable.value) == f"unable to ask '{bucket}': target 'cloud' answered 503 SlowDown"
