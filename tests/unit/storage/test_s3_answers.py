"""What only S3 can do wrong when it is read, when it refuses, and before anything is sent."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.support.s3_server import Fault

import rlg_backup
from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectDamaged,
    ObjectMissing,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage.parts import MIB
from rlg_backup.storage.s3 import S3Storage
from rlg_backup.storage.s3_bucket import PART_SIZE
from rlg_backup.storage.s3_checksum import PART as PARTS
from rlg_backup.storage.s3_checksum import WHOLE, checksum
from rlg_backup.storage.s3_client import s3_client

PART = 5 * MIB
DENIED_HINT = "check the credentials and the bucket policy; without s3:ListBucket a missing object is answered 403 too"


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


def test_a_line_that_always_breaks_off_early_still_gets_the_object_through(s3_server, storage):
    storage.put_bytes("a", b"0123456789" * 200_000)
    s3_server.order(Fault("GET", "/p/a", times=99, cut=300_000))
    assert storage.get_bytes("a", limit=2_000_000)[0] == b"0123456789" * 200_000


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


def stored_in_parts(client: Any, bucket: str, data: bytes, kind: str) -> None:
    """As our uploads keep an object, with CRC32, or as those did that sent SHA256."""
    place = {"Bucket": bucket, "Key": "p/a"}
    begun = client.create_multipart_upload(**place, ChecksumAlgorithm=kind, Metadata={PART_SIZE: str(PART)})
    parts = []
    for number, start in enumerate(range(0, len(data), PART), 1):
        block = data[start : start + PART]
        sent = {"UploadId": begun["UploadId"], "PartNumber": number, **checksum(block, kind)}
        answer = client.upload_part(**place, Body=block, **sent)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksum(block, kind)})
    client.complete_multipart_upload(**place, UploadId=begun["UploadId"], MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("kind", [WHOLE, PARTS])
def test_a_byte_changed_in_any_of_several_parts_is_damage(s3_server, client, bucket, storage, large, kind):
    data = large[0].read_bytes()
    stored_in_parts(client, bucket, data, kind)
    assert storage.get_bytes("a", limit=10**9)[0] == data
    assert f"Checksum{kind}" in client.get_object(Bucket=bucket, Key="p/a", ChecksumMode="ENABLED")
    for at in (0, PART, len(data) - 1):
        s3_server.order(Fault("GET", "/p/a", flip=at))
        with pytest.raises(ObjectDamaged) as caught:
            storage.get_bytes("a", limit=10**9)
        cause = "its bytes differ from the checksum that target 'cloud' keeps of them"
        assert str(caught.value) == f"unable to read 'a': {cause}"


def test_a_file_in_parts_is_stored_with_the_checksum_of_parts(client, bucket, storage, large):
    storage.put_file("a", large[0], sha256=large[1])
    head = client.head_object(Bucket=bucket, Key="p/a", ChecksumMode="ENABLED")
    assert "ChecksumCRC32" in head and "ChecksumSHA256" not in head


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
    s3_server.order(*(Fault(m, "bucket-", times=99, status=status, code=code) for m in ("PUT", "GET", "DELETE")))
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


@pytest.mark.parametrize(
    "head", ["Last-Modified: S", "x-amz-object-lock-retain-until-date: 2", "Content-Length: x", "x-amz-met"]
)
def test_an_answer_that_cannot_be_understood_is_unavailable_and_no_error_of_the_sdk(bucket, head):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=answer_all, args=(server, f"HTTP/1.1 200 OK\r\n{head}".encode()), daemon=True).start()
        storage = S3Storage("cloud", offline(url), bucket, emulator=True)
        for act in (
            lambda: storage.stat("a"),
            lambda: storage.put_bytes("a", b"1"),
            lambda: storage.get_bytes("a", limit=1),
            lambda: storage.move_to("a", Tier.COOL),
        ):
            with pytest.raises(StorageUnavailable) as caught:
                act()
            assert caught.value.cause.startswith(("target 'cloud' broke off", "target 'cloud' cannot be reached ("))


def answer_all(server: socket.socket, answer: bytes) -> None:
    """Whatever is asked; then the connection ends."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)


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


def test_the_command_lines_client_reads_every_time_as_the_sdk_does(s3_server, bucket, client, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    plain, quick = (S3Storage("cloud", c, bucket, emulator=True) for c in (client, s3_client("eu", s3_server.url)))
    plain.put_bytes("a", b"1")
    assert list(quick.list("")) == list(plain.list(""))
    assert quick.stat("a") == plain.stat("a")
    assert quick.get_bytes("a", limit=1) == plain.get_bytes("a", limit=1)


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
