"""What only Cloud Storage can do wrong when it is written to: lost answers, uploads that break off, checksums, keys."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from tests.support.gcs_server import Fault

from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectDamaged,
    ObjectExists,
    StorageDenied,
    StorageError,
    StorageUnavailable,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage.gcs import GcsStorage
from rlg_backup.storage.gcs_bucket import Crc32c

SINGLE = 1 << 20
KEY = bytes(range(32))


def whole(storage: GcsStorage, key: str) -> str:
    with storage.open(key) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- a write whose answer is lost -----------------------------------------------------------------


def test_a_small_write_whose_answer_is_lost_is_a_success_and_not_somebody_elses(gcs_server, storage):
    gcs_server.order(Fault("POST", "multipart"))
    info = storage.put_bytes("a", b"mine")
    assert storage.stat("a") == info
    gcs_server.order(Fault("POST", "multipart"))
    again = storage.put_bytes("a", b"next", replacing=info.tag)
    assert storage.get_bytes("a", limit=4)[0] == b"next"
    assert again == storage.stat("a")


def test_a_small_write_is_a_success_if_it_landed_and_no_answer_ever_came(gcs_server, impatient):
    gcs_server.order(Fault("POST", "multipart", times=99))
    impatient.put_bytes("a", b"mine")
    assert impatient.get_bytes("a", limit=4)[0] == b"mine"


def test_a_lost_answer_does_not_turn_another_writers_object_into_ours(gcs_server, storage, bucket):
    GcsStorage("cloud", gcs_server.client(), bucket, "p", emulator=True).put_bytes("a", b"mine")
    gcs_server.order(Fault("POST", "multipart"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"mine")  # the very same bytes
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


@pytest.mark.parametrize("at", [0, 1])
def test_an_upload_whose_answer_is_lost_at_either_request_is_a_success(gcs_server, storage, bucket, large, at):
    gcs_server.order(Fault("PUT", "upload_id=", skip=at))
    info = storage.put_file("a", large[0], sha256=large[1])
    assert storage.stat("a") == info
    assert whole(storage, "a") == large[1]
    assert gcs_server.open_uploads(bucket) == 0


def test_an_upload_is_a_success_if_it_ended_and_no_answer_ever_came(gcs_server, impatient, large):
    gcs_server.order(Fault("PUT", "upload_id=", skip=1, times=99))
    info = impatient.put_file("a", large[0], sha256=large[1])
    assert impatient.stat("a") == info


# --- resumable uploads ----------------------------------------------------------------------------


@pytest.mark.parametrize("takes", [(0,), (1,), (300_000,), (4_194_304,), (3_000_000, 0, 700_000, 262_144), (0,) * 6])
@pytest.mark.parametrize("at", [0, 1])
def test_an_upload_that_breaks_off_is_taken_up_where_the_target_has_it(gcs_server, storage, large, at, takes):
    seen: list[int] = []
    gcs_server.order(*(Fault("PUT", "upload_id=", skip=at if not i else 1, take=take) for i, take in enumerate(takes)))
    storage.put_file("a", large[0], sha256=large[1], progress=seen.append)
    assert whole(storage, "a") == large[1]
    assert sum(seen) == large[0].stat().st_size


def test_an_upload_that_brings_something_each_time_goes_on_past_its_patience(gcs_server, impatient, large):
    gcs_server.order(*(Fault("PUT", "upload_id=", skip=min(i, 1), take=600_000) for i in range(6)))
    impatient.put_file("a", large[0], sha256=large[1])
    assert whole(impatient, "a") == large[1]


def test_a_request_that_fails_once_is_sent_again(gcs_server, storage, large):
    faults = [Fault("PUT", "upload_id=", skip=at, status=503, reason="backendError") for at in (0, 1, 3)]
    gcs_server.order(*faults, Fault("POST", "resumable", status=429, reason="rateLimitExceeded"))
    storage.put_file("a", large[0], sha256=large[1])
    assert whole(storage, "a") == large[1]


def test_a_target_that_takes_nothing_is_not_asked_without_end(gcs_server, impatient, monkeypatch, large):
    monkeypatch.setattr("rlg_backup.storage.gcs_upload._came", lambda _: 0)
    with pytest.raises(StorageUnavailable) as caught:
        impatient.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' takes no more of the upload"


def test_a_file_that_becomes_shorter_while_it_is_sent_is_not_the_promised_one(gcs_server, storage, bucket, large):
    def cut(_: int) -> None:
        with large[0].open("r+b") as file:
            file.truncate(1 << 20)

    with pytest.raises(ObjectDamaged) as caught:
        storage.put_file("a", large[0], sha256=large[1], progress=cut)
    cause = "the file to store does not have the promised SHA-256; nothing was stored"
    assert str(caught.value) == f"unable to store 'a': {cause}"
    assert gcs_server.open_uploads(bucket) == 0


def test_what_is_read_again_and_is_another_by_then_is_refused_by_its_checksum(gcs_server, storage, bucket, large):
    def change(_: int) -> None:
        with large[0].open("r+b") as file:
            file.write(b"changed")

    gcs_server.order(Fault("PUT", "upload_id=", take=0), Fault("PUT", "upload_id=", take=100_000, skip=1))
    with pytest.raises(StorageUnavailable) as caught:
        storage.put_file("a", large[0], sha256=large[1], progress=change)
    assert str(caught.value) == "unable to store 'a': its bytes were changed on the way to target 'cloud'"
    assert list(storage.list("")) == []


def test_an_upload_that_fails_for_good_is_cancelled(gcs_server, impatient, bucket, large):
    gcs_server.order(Fault("PUT", "upload_id=", times=99, status=503, reason="backendError"))
    with pytest.raises(StorageUnavailable) as caught:
        impatient.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' answered 503 backendError"
    assert gcs_server.open_uploads(bucket) == 0
    assert list(impatient.list("")) == []


def test_the_error_of_an_upload_is_reported_even_if_cancelling_fails_too(gcs_server, impatient, bucket, large, caplog):
    gcs_server.order(
        Fault("PUT", "upload_id=", times=99, status=403, reason="quotaExceeded"),
        Fault("DELETE", "upload_id=", times=99, status=503, reason="backendError"),
    )
    with pytest.raises(StorageError) as caught:
        impatient.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' answered 403 quotaExceeded"
    assert "unable to cancel 'a': target 'cloud' answered 503 backendError" in caplog.messages
    assert gcs_server.open_uploads(bucket) == 1  # the target's own week ends it: there is nothing to sweep
    assert impatient.sweep(timedelta(0)) == 0


def test_a_file_that_is_not_the_promised_one_is_cancelled_before_its_end(gcs_server, storage, bucket, large):
    with pytest.raises(ObjectDamaged):
        storage.put_file("a", large[0], sha256="0" * 64)
    assert gcs_server.open_uploads(bucket) == 0
    assert list(storage.list("")) == []


@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_dropped_by_the_target_is_worth_another_try(gcs_server, storage, large, status):
    gcs_server.order(Fault("PUT", "upload_id=", skip=1, times=9, status=status, reason="gone"))
    with pytest.raises(StorageUnavailable) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' dropped the upload before its end"


def test_another_who_took_the_key_meanwhile_wins(gcs_server, storage, bucket, large):
    def take_it(_: int) -> None:
        if not list(storage.list("")):
            storage.put_bytes("a", b"other")

    with pytest.raises(ObjectExists) as caught:
        storage.put_file("a", large[0], sha256=large[1], progress=take_it)
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"
    assert storage.get_bytes("a", limit=5)[0] == b"other"
    assert gcs_server.open_uploads(bucket) == 0


def test_a_taken_key_is_found_before_anything_is_uploaded(gcs_server, storage, large):
    storage.put_bytes("a", b"1")
    gcs_server.order(Fault("POST", "resumable", status=403, reason="thisMustNotBeAsked"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


def test_one_who_may_write_but_neither_look_nor_delete_can_still_upload(gcs_server, storage, bucket, large):
    gcs_server.deny(bucket, "storage.objects.get", "storage.objects.list", "storage.objects.delete")
    storage.put_file("a", large[0], sha256=large[1])
    storage.put_bytes("b", b"1")
    gcs_server.deny(bucket)
    assert [info.key for info in storage.list("")] == ["a", "b"]


# --- checksums ------------------------------------------------------------------------------------


def test_what_arrives_changed_is_refused_by_the_checksum_that_goes_with_it(storage, bucket, large, monkeypatch):
    monkeypatch.setattr(Crc32c, "text", "AAAAAA==")
    monkeypatch.setattr("google.cloud.storage._media._helpers.prepare_checksum_digest", lambda _: "AAAAAA==")
    for store in (lambda: storage.put_bytes("a", b"1"), lambda: storage.put_file("a", large[0], sha256=large[1])):
        with pytest.raises(StorageUnavailable) as caught:
            store()
        assert str(caught.value) == "unable to store 'a': its bytes were changed on the way to target 'cloud'"
    assert list(storage.list("")) == []


# --- encryption at the target ---------------------------------------------------------------------


def test_an_object_under_a_customers_key_is_read_and_moved_with_that_key_alone(client, bucket, large):
    def storage(key: bytes | None) -> GcsStorage:
        return GcsStorage("cloud", client, bucket, customer_key=key, single=SINGLE, emulator=True)

    ours = storage(KEY)
    ours.put_bytes("small", b"1")
    ours.put_file("large", large[0], sha256=large[1])
    assert ours.get_bytes("small", limit=1)[0] == b"1"
    assert whole(ours, "large") == large[1]
    assert ours.move_to("small", Tier.COLD).tier is Tier.COLD
    assert ours.get_bytes("small", limit=1)[0] == b"1"
    for other in (None, bytes(32)):
        with pytest.raises(StorageDenied) as caught:
            storage(other).get_bytes("large", limit=10**9)
        assert (
            str(caught.value) == "unable to read 'large': it is encrypted with another customer key on target 'cloud'"
        )
        assert KEY.hex() not in str(caught.value)


def test_a_key_in_cloud_kms_is_named_in_every_write(client, bucket, large):
    name = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"
    storage = GcsStorage("cloud", client, bucket, kms_key_name=name, single=SINGLE, emulator=True)
    storage.put_bytes("small", b"1")
    storage.put_file("large", large[0], sha256=large[1])
    kept = {blob.name: blob.kms_key_name for blob in client.list_blobs(bucket)}
    assert kept == dict.fromkeys(("small", "large"), f"{name}/cryptoKeyVersions/1")


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"single": 0}, "one request takes a file of 8388608 bytes at most"),
        ({"single": 8388609}, "one request takes a file of 8388608 bytes at most"),
        ({"customer_key": b"short"}, "a customer key has 32 bytes, and no key in Cloud KMS beside it"),
        ({"customer_key": KEY, "kms_key_name": "k"}, "a customer key has 32 bytes, and no key in Cloud KMS beside it"),
    ],
)
def test_settings_that_the_target_would_refuse_are_refused_at_once(client, bucket, options, cause):
    with pytest.raises(InvalidSetting) as caught:
        GcsStorage("cloud", client, bucket, emulator=True, **options)
    assert str(caught.value) == f"unable to use 'cloud': {cause}"


def test_plain_http_is_refused_unless_it_is_an_emulator(client, bucket):
    with pytest.raises(InvalidSetting) as caught:
        GcsStorage("cloud", client, bucket)
    text = "unable to use 'cloud': its endpoint is not https\nhint: only an emulator may do without TLS"
    assert str(caught.value) == text


def test_a_prefix_is_a_folder_of_the_bucket_and_others_stay_out_of_sight(client, bucket):
    GcsStorage("cloud", client, bucket, "ab", emulator=True).put_bytes("x", b"1")
    for spelling in ("a", "/a/", "a/"):
        storage = GcsStorage("cloud", client, bucket, spelling, emulator=True)
        assert list(storage.list("")) == []
    storage.put_bytes("y", b"2")
    raw: Any = client.bucket(bucket)
    raw.blob("a/folder/").upload_from_string(b"")
    assert [info.key for info in storage.list("")] == ["y"]
    assert raw.get_blob("a/y").size == 1
    with pytest.raises(InvalidSetting):
        GcsStorage("cloud", client, bucket, "a/../b", emulator=True)
