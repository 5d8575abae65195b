"""What only S3 can do wrong: lost answers, broken bodies, refusals, uploads left behind."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.s3_server import Fault, S3Server

import rlg_backup
from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.storage.s3 import S3Storage, s3_client
from rlg_backup.storage.s3_upload import MAX_PARTS, MIB, part_size_for

PART = 5 * MIB
DENIED_HINT = "check the credentials and the bucket policy; without s3:ListBucket a missing object is answered 403 too"


@pytest.fixture
def client(s3_server: S3Server) -> Any:
    return s3_server.client()


@pytest.fixture
def storage(client: Any, bucket: str) -> S3Storage:
    return S3Storage("cloud", client, bucket, "p", part_size=PART, emulator=True)


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    """A file of four parts, and its SHA-256."""
    data = b"".join(hashlib.sha256(bytes([i])).digest() * 32768 for i in range(17))
    path = tmp_path / "large"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.fixture
def impatient(s3_server: S3Server, bucket: str) -> S3Storage:
    """The same target through a client that asks once."""
    return S3Storage("cloud", s3_server.client(attempts=1), bucket, "p", part_size=PART, emulator=True)


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


def test_an_upload_whose_last_answer_is_lost_is_a_success(s3_server, storage, client, bucket, large):
    path, digest = large
    s3_server.order(Fault("POST", "uploadId="))
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


def test_parts_and_small_objects_carry_a_sha256_that_the_target_compares(client, storage, large, monkeypatch):
    # A link that changes bytes on the way to the target: the emulator refuses what does not match.
    monkeypatch.setattr("rlg_backup.storage.s3.checksum", lambda _: "A" * 43 + "=")
    monkeypatch.setattr("rlg_backup.storage.s3_upload.checksum", lambda _: "A" * 43 + "=")
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


@given(st.integers(0, 50 * 10**12), st.integers(5, 512))
def test_no_file_needs_more_parts_than_s3_allows(size, least):
    part = part_size_for(size, least * MIB)
    assert part >= least * MIB
    assert -(-size // part) <= MAX_PARTS
    assert part == least * MIB or -(-size // (part - MIB)) > MAX_PARTS - 1


# --- reading --------------------------------------------------------------------------------------


def test_a_body_that_breaks_off_again_and_again_is_taken_up_where_it_broke(s3_server, storage, large):
    storage.put_file("a", large[0], sha256=large[1])
    s3_server.order(*(Fault("GET", "/p/a", cut=cut) for cut in (0, 1, 3_000_000, 0, 0, 2_000_000, 100)))
    with storage.open("a") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == large[1]
    s3_server.order(Fault("GET", "/p/a", cut=1_500_000), Fault("GET", "/p/a", cut=7))
    assert storage.read_range("a", 1000, 3_000_000) == large[0].read_bytes()[1000:3_001_000]
    s3_server.order(Fault("GET", "/p/a", cut=17))
    assert hashlib.sha256(storage.get_bytes("a", limit=10**9)[0]).hexdigest() == large[1]


def test_a_body_that_never_goes_on_ends_in_an_error_and_not_in_a_short_file(s3_server, storage):
    storage.put_bytes("a", b"0123456789")
    s3_server.order(Fault("GET", "/p/a", cut=4), Fault("GET", "/p/a", times=99, cut=0))
    with storage.open("a") as stream, pytest.raises(StorageUnavailable) as caught:
        stream.read()
    assert str(caught.value) == "unable to read 'a': target 'cloud' broke off 4 times at byte 4"


def test_an_object_replaced_while_it_is_read_is_damage_and_not_a_mixture(s3_server, storage):
    info = storage.put_bytes("a", b"0" * 3_000_000)
    s3_server.order(Fault("GET", "/p/a", cut=2_500_000))
    with storage.open("a") as stream:
        stream.read(10)
        storage.put_bytes("a", b"1" * 3_000_000, replacing=info.tag)
        with pytest.raises(ObjectDamaged) as caught:
            stream.read()
    assert str(caught.value) == "unable to read 'a': it was replaced while it was read"


def test_an_object_deleted_while_it_is_read_is_missing(s3_server, storage):
    storage.put_bytes("a", b"0" * 3_000_000)
    s3_server.order(Fault("GET", "/p/a", cut=2_500_000))
    with storage.open("a") as stream:
        stream.read(10)
        storage.delete("a")
        with pytest.raises(ObjectMissing):
            stream.read()


@pytest.mark.parametrize("at", [0, 4, 9])
def test_a_byte_changed_on_the_way_from_the_target_is_damage(s3_server, storage, at):
    storage.put_bytes("a", b"0123456789")
    for read in (lambda: storage.get_bytes("a", limit=10), lambda: storage.open("a").read()):
        s3_server.order(Fault("GET", "/p/a", flip=at))
        with pytest.raises(ObjectDamaged) as caught:
            read()
        cause = "its bytes differ from the checksum that target 'cloud' keeps of them"
        assert str(caught.value) == f"unable to read 'a': {cause}"


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "AccessDenied", StorageDenied, f"target 'cloud' answered 403 AccessDenied\nhint: {DENIED_HINT}"),
        (400, "ExpiredToken", StorageDenied, "target 'cloud' answered 400 ExpiredToken"),
        (400, "key=AKIA <b>", StorageDenied, "target 'cloud' answered 400"),
        (429, "TooMany", StorageUnavailable, "target 'cloud' answered 429 TooMany"),
        (500, "InternalError", StorageUnavailable, "target 'cloud' answered 500 InternalError"),
        (503, "SlowDown", StorageUnavailable, "target 'cloud' answered 503 SlowDown"),
        (400, "RequestTimeout", StorageUnavailable, "target 'cloud' answered 400 RequestTimeout"),
        (507, "InsufficientStorage", StorageFull, "target 'cloud' answered 507 InsufficientStorage"),
        (400, "QuotaExceeded", StorageFull, "target 'cloud' answered 400 QuotaExceeded"),
        (404, "NoSuchBucket", ObjectMissing, "the bucket of target 'cloud' does not exist"),
    ],
)
@pytest.mark.parametrize("operation", ["store", "read", "list", "delete"])
def test_each_refusal_has_its_class_and_shows_nothing_but_status_and_code(
    s3_server, impatient, operation, status, code, kind, said
):
    code = code.replace("<", "&lt;")
    s3_server.order(
        *(Fault(m, "bucket-", times=99, status=status, code=code) for m in ("PUT", "GET", "DELETE", "HEAD"))
    )
    act = {
        "store": lambda: impatient.put_bytes("a", b"1"),
        "read": lambda: impatient.get_bytes("a", limit=1),
        "list": lambda: list(impatient.list("a")),
        "delete": lambda: impatient.delete("a"),
    }[operation]
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    assert str(caught.value) == f"unable to {operation} 'a': {said}"
    assert caught.value.__cause__ is None


def test_a_bucket_that_does_not_exist_is_said_to(client, large):
    storage = S3Storage("cloud", client, "no-such-bucket", part_size=PART, emulator=True)
    for verb, act in (
        ("store", lambda: storage.put_bytes("a", b"1")),
        ("store", lambda: storage.put_bytes("a", b"1", replacing="0")),
        ("store", lambda: storage.put_file("a", large[0], sha256=large[1])),
        ("read", lambda: storage.open("a")),
        ("list", lambda: list(storage.list("a"))),
        ("delete", lambda: storage.delete("a")),
    ):
        with pytest.raises(ObjectMissing) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} 'a': the bucket of target 'cloud' does not exist"


def test_a_target_nobody_listens_at_is_unavailable(bucket):
    with socket.socket() as reserved:  # bound, not listening
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        storage = S3Storage("cloud", offline(url), bucket, emulator=True)
        with pytest.raises(StorageUnavailable) as caught:
            storage.put_bytes("a", b"1")
    cause = "target 'cloud' cannot be reached (EndpointConnectionError)"
    assert str(caught.value) == f"unable to store 'a': {cause}"


def test_a_target_that_does_not_answer_is_unavailable(bucket):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        storage = S3Storage("cloud", offline(f"http://127.0.0.1:{silent.getsockname()[1]}"), bucket, emulator=True)
        with pytest.raises(StorageUnavailable) as caught:
            storage.stat("a")
    assert str(caught.value) == "unable to read 'a': target 'cloud' cannot be reached (ReadTimeoutError)"


def offline(url: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=0.3, read_timeout=0.3)
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **keys)


# --- the client and the settings ------------------------------------------------------------------


def test_plain_http_is_refused_unless_it_is_an_emulator(client, bucket):
    with pytest.raises(InvalidSetting) as caught:
        S3Storage("cloud", client, bucket)
    text = "unable to use 'cloud': its endpoint is not https\nhint: only an emulator may do without TLS"
    assert str(caught.value) == text
    S3Storage("cloud", s3_client("eu-west-1"), bucket)


@pytest.mark.parametrize("options", [{"part_size": 5 * MIB - 1}, {"threads": 0}])
def test_settings_that_s3_would_refuse_are_refused_at_once(client, bucket, options):
    with pytest.raises(InvalidSetting) as caught:
        S3Storage("cloud", client, bucket, emulator=True, **options)
    cause = "parts have at least 5242880 bytes, and at least one thread sends"
    assert str(caught.value) == f"unable to use 'cloud': {cause}"


def test_a_prefix_is_a_folder_of_the_bucket_and_others_stay_out_of_sight(client, bucket):
    S3Storage("cloud", client, bucket, "ab", emulator=True).put_bytes("x", b"1")
    for spelling in ("a", "/a/", "a/"):
        storage = S3Storage("cloud", client, bucket, spelling, emulator=True)
        assert list(storage.list("")) == []
    storage.put_bytes("y", b"2")
    client.put_object(Bucket=bucket, Key="a/folder/", Body=b"")
    assert [info.key for info in storage.list("")] == ["y"]
    assert client.head_object(Bucket=bucket, Key="a/y")["ContentLength"] == 1
    with pytest.raises(InvalidSetting):
        S3Storage("cloud", client, bucket, "a/../b", emulator=True)


def test_the_command_lines_client_takes_credentials_from_the_sdks_chain_and_none_are_denied(
    s3_server, bucket, monkeypatch, tmp_path
):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    without = S3Storage("cloud", s3_client("us-east-1", s3_server.url), bucket, emulator=True)
    with pytest.raises(StorageDenied) as caught:
        without.put_bytes("a", b"1")
    cause = "there are no usable credentials for target 'cloud' (NoCredentialsError)"
    assert str(caught.value) == f"unable to store 'a': {cause}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    storage = S3Storage("cloud", s3_client("us-east-1", s3_server.url), bucket, emulator=True)
    storage.put_bytes("a", b"1")
    assert storage.get_bytes("a", limit=1)[0] == b"1"


@pytest.mark.parametrize(
    ("options", "error"),
    [({"profile": "nobody"}, "ProfileNotFound"), ({"endpoint_url": "not a url"}, "ValueError")],
)
def test_a_client_that_cannot_be_made_is_a_configuration_error(monkeypatch, tmp_path, options, error):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidSetting) as caught:
        s3_client("us-east-1", **options)
    cause = f"the SDK refuses its region, endpoint or profile ({error})"
    assert str(caught.value) == f"unable to use 's3': {cause}"


def test_importing_the_drivers_does_not_import_the_sdk():
    text = "import sys, rlg_backup.storage.s3, rlg_backup.storage.local; print([m for m in sys.modules if 'boto' in m])"
    path = str(Path(rlg_backup.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", text], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
