"""What only S3 can do wrong: lost answers, broken bodies, refusals, uploads left behind."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.s3_server import Fault

from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectExists,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.storage.parts import MIB, part_size_for
from rlg_backup.storage.s3 import S3Storage
from rlg_backup.storage.s3_checksum import checksum
from rlg_backup.storage.s3_upload import MAX_PARTS

PART = 5 * MIB
DENIED_HINT = "check the credentials and the bucket policy; without s3:ListBucket a missing object is answered 403 too"


def unfinished(client: Any, bucket: str) -> int:
    return len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


# --- a write whose answer is lost -----------------------------------------------------------------


def test_a_small_write_whose_answer_is_lost_is_a_success_and_not_somebody_elses(s3_server, storage):
    s3_server.order(Fault("PUT", "/p/a"))
    info = storage.put_bytes("a", b"mine")
    assert storage.get_bytes("a", limit=4) == (b"mine", storage.stat("a"))
    s3_server.order(Fault("PUT", "/p/a"))
    again = storage.put_bytes("a", b"next", replacing=info.tag)
    assert storage.get_bytes("a", limit=4)[0] == b"next"
    assert again.tag == storage.stat("a").tag


def test_a_small_write_is_a_success_if_it_landed_and_no_answer_ever_came(s3_server, storage):
    s3_server.order(Fault("PUT", "/p/a", times=9))
    storage.put_bytes("a", b"mine")
    s3_server.order()
    assert storage.get_bytes("a", limit=4)[0] == b"mine"


def test_a_lost_answer_does_not_turn_another_writers_object_into_ours(s3_server, storage, bucket):
    S3Storage("cloud", s3_server.client(), bucket, "p", emulator=True).put_bytes("a", b"mine")
    s3_server.order(Fault("PUT", "/p/a"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"mine")  # the very same bytes
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("POST", "uploadId=")],
        [Fault("POST", "uploadId=", times=9)],
        [Fault("POST", "uploadId="), Fault("POST", "uploadId=", status=412, code="PreconditionFailed")],
    ],
)
def test_an_upload_whose_last_answer_is_lost_is_a_success(s3_server, storage, client, bucket, large, faults):
    path, digest = large
    s3_server.order(*faults)
    info = storage.put_file("a", path, sha256=digest)
    assert storage.stat("a").tag == info.tag
    assert unfinished(client, bucket) == 0


# --- conflicts ------------------------------------------------------------------------------------


def test_a_conflict_is_asked_again_until_it_is_settled(s3_server, storage):
    s3_server.order(Fault("PUT", "/p/a", times=2, status=409, code="ConditionalRequestConflict"))
    storage.put_bytes("a", b"1")
    assert storage.get_bytes("a", limit=1)[0] == b"1"


def test_a_conflict_without_end_is_another_writers(s3_server, storage, monkeypatch):
    monkeypatch.setattr("rlg_backup.storage.s3._CONFLICT_WAITS", (0.0, 0.0))
    s3_server.order(Fault("PUT", "/p/a", times=99, status=409, code="ConditionalRequestConflict"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"1")
    assert str(caught.value) == "unable to store 'a': another writer was changing it on target 'cloud'"


@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")])
def test_an_upload_refused_at_its_end_is_aborted(s3_server, impatient, client, bucket, large, status, code):
    s3_server.order(Fault("POST", "uploadId=", status=status, code=code))
    with pytest.raises(ObjectExists):
        impatient.put_file("a", large[0], sha256=large[1])
    assert unfinished(client, bucket) == 0
    assert list(impatient.list("")) == []


def test_a_taken_key_is_found_before_anything_is_uploaded(s3_server, storage, large):
    storage.put_bytes("a", b"1")
    s3_server.order(Fault("POST", "uploads", status=403, code="ThisMustNotBeAsked"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


def test_one_who_may_write_but_not_look_can_still_upload(s3_server, storage, large):
    s3_server.order(Fault("HEAD", "/p/a", times=9, status=403))
    storage.put_file("a", large[0], sha256=large[1])
    s3_server.order()
    assert storage.stat("a").size == large[0].stat().st_size


# --- uploads in parts -----------------------------------------------------------------------------


def test_a_part_that_fails_for_good_aborts_the_upload(s3_server, impatient, client, bucket, large):
    s3_server.order(Fault("PUT", "partNumber=3", times=9, status=503, code="SlowDown"))
    with pytest.raises(StorageUnavailable) as caught:
        impatient.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' answered 503 SlowDown"
    assert unfinished(client, bucket) == 0
    assert list(impatient.list("")) == []


def test_a_part_that_fails_once_is_sent_again(s3_server, storage, large):
    s3_server.order(Fault("PUT", "partNumber=2", status=500, code="InternalError"), Fault("PUT", "partNumber=1"))
    storage.put_file("a", large[0], sha256=large[1])
    with storage.open("a") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == large[1]


def test_an_upload_dropped_by_the_target_is_worth_another_try(s3_server, storage, large):
    s3_server.order(Fault("POST", "uploadId=", status=404, code="NoSuchUpload"))
    with pytest.raises(StorageUnavailable) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' dropped the upload before its end"


def test_the_error_of_an_upload_is_reported_even_if_aborting_fails_too_and_sweep_cleans_up(
    s3_server, impatient, client, bucket, large
):
    client.create_multipart_upload(Bucket=bucket, Key="elsewhere/x")
    s3_server.order(
        Fault("PUT", "partNumber=3", times=9, status=507, code="InsufficientStorage"),
        Fault("DELETE", "uploadId=", times=9, status=503, code="SlowDown"),
    )
    with pytest.raises(StorageFull) as caught:
        impatient.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' answered 507 InsufficientStorage"
    s3_server.order()
    assert unfinished(client, bucket) == 2
    assert impatient.sweep(timedelta(days=365_000)) == 0
    assert impatient.sweep(timedelta(hours=1)) == 1  # the emulator dates every upload to 2010
    assert impatient.sweep(timedelta(hours=1)) == 0
    assert unfinished(client, bucket) == 1


def test_parts_and_small_objects_carry_a_checksum_that_the_target_compares(client, storage, large, monkeypatch):
    # A link that changes bytes on the way to the target: the emulator refuses what does not match.
    monkeypatch.setattr("rlg_backup.storage.s3.checksum", lambda _, kind: checksum(b"other bytes", kind))
    monkeypatch.setattr("rlg_backup.storage.s3_upload.checksum", lambda _, kind: checksum(b"other bytes", kind))
    for store in (
        lambda: storage.put_bytes("a", b"1"),
        lambda: storage.put_file("a", large[0], sha256=large[1]),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            store()
        assert str(caught.value) == "unable to store 'a': target 'cloud' answered 400 XAmzContentChecksumMismatch"
    assert list(storage.list("")) == []


def test_options_of_files_do_not_reach_small_objects(client, bucket, large):
    storage = S3Storage(
        "cloud", client, bucket, part_size=PART, emulator=True, upload_options={"StorageClass": "STANDARD_IA"}
    )
    small = large[0].with_name("small")
    small.write_bytes(b"1")
    storage.put_file("large", large[0], sha256=large[1])
    storage.put_file("small", small, sha256=hashlib.sha256(b"1").hexdigest())
    storage.put_bytes("bytes", b"1")
    classes = {c["Key"]: c["StorageClass"] for c in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert classes == {"bytes": "STANDARD", "large": "STANDARD_IA", "small": "STANDARD_IA"}


def test_an_option_that_s3_does_not_have_is_a_configuration_error(client, bucket, large):
    storage = S3Storage("cloud", client, bucket, emulator=True, upload_options={"StorageClas": "STANDARD_IA"})
    with pytest.raises(InvalidSetting) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': the bucket or an option of target 'cloud' is not valid"


def test_a_listing_of_three_pages_is_whole(s3_server, storage, bucket):
    made = [f"k/{i:05}" for i in range(2001)]
    s3_server.seed(bucket, [f"p/{key}" for key in made])
    assert [info.key for info in storage.list("")] == made


@given(st.integers(0, 50 * 10**12), st.integers(5, 512))
def test_no_file_needs_more_parts_than_s3_allows(size, least):
    part = part_size_for(size, least * MIB, MAX_PARTS)
    assert part >= least * MIB
    assert -(-size // part) <= MAX_PARTS
    assert part == least * MIB or -(-size // (part - MIB)) > MAX_PARTS - 1
