"""What only Cloud Storage can do wrong when it is read, when it refuses, and before anything is sent."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.gcs_server import Fault

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
from rlg_backup.storage.gcs import GcsStorage, gcs_client

UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
DENIED_HINT = "check the credentials and the roles; without storage.objects.list a missing object is answered 403 too"


# --- reading --------------------------------------------------------------------------------------


def test_a_body_that_breaks_off_again_and_again_is_taken_up_where_it_broke(gcs_server, storage, large):
    storage.put_file("a", large[0], sha256=large[1])
    gcs_server.order(*(Fault("GET", "/p%2Fa", cut=cut) for cut in (0, 1, 3_000_000, 0, 0, 900_000, 100)))
    with storage.open("a") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == large[1]
    gcs_server.order(Fault("GET", "/p%2Fa", cut=1_500_000), Fault("GET", "/p%2Fa", cut=7))
    assert storage.read_range("a", 1000, 3_000_000) == large[0].read_bytes()[1000:3_001_000]
    gcs_server.order(Fault("GET", "/p%2Fa", cut=17))
    assert hashlib.sha256(storage.get_bytes("a", limit=10**9)[0]).hexdigest() == large[1]


def test_a_body_that_never_goes_on_ends_in_an_error_and_not_in_a_short_file(gcs_server, storage):
    storage.put_bytes("a", b"0123456789")
    gcs_server.order(Fault("GET", "/p%2Fa", cut=4), Fault("GET", "/p%2Fa", times=99, cut=0))
    with storage.open("a") as stream, pytest.raises(StorageUnavailable) as caught:
        stream.read()
    assert str(caught.value) == "unable to read 'a': target 'cloud' broke off 4 times at byte 4"


def test_an_object_replaced_while_it_is_read_is_damage_and_not_a_mixture(gcs_server, storage):
    info = storage.put_bytes("a", b"0" * 3_000_000)
    gcs_server.order(Fault("GET", "/p%2Fa", cut=2_500_000))
    with storage.open("a") as stream:
        stream.read(10)
        storage.put_bytes("a", b"1" * 3_000_000, replacing=info.tag)
        with pytest.raises(ObjectDamaged) as caught:
            stream.read()
    assert str(caught.value) == "unable to read 'a': it was replaced while it was read"


def test_an_object_deleted_while_it_is_read_is_missing(gcs_server, storage):
    storage.put_bytes("a", b"0" * 3_000_000)
    gcs_server.order(Fault("GET", "alt=media", cut=2_500_000))
    with storage.open("a") as stream:
        stream.read(10)
        storage.delete("a")
        with pytest.raises(ObjectMissing):
            stream.read()


@pytest.mark.parametrize("at", [0, 4, 9])
def test_a_byte_changed_on_the_way_from_the_target_is_damage(gcs_server, storage, at):
    storage.put_bytes("a", b"0123456789")
    for read in (lambda: storage.get_bytes("a", limit=10), lambda: storage.open("a").read()):
        gcs_server.order(Fault("GET", "/p%2Fa", flip=at))
        with pytest.raises(ObjectDamaged) as caught:
            read()
        cause = "its bytes differ from the checksum that target 'cloud' keeps of them"
        assert str(caught.value) == f"unable to read 'a': {cause}"


def test_a_byte_changed_before_a_connection_broke_is_damage_too(gcs_server, storage):
    storage.put_bytes("a", b"0" * 3_000_000)
    gcs_server.order(Fault("GET", "/p%2Fa", cut=2_000_000), Fault("GET", "/p%2Fa", flip=5))
    with storage.open("a") as stream, pytest.raises(ObjectDamaged):
        stream.read()


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "kind", "said"),
    [
        (403, "forbidden", StorageDenied, f"target 'cloud' answered 403 forbidden\nhint: {DENIED_HINT}"),
        (400, "invalid", StorageDenied, "target 'cloud' answered 400 invalid"),
        (400, "key=AIza <b>", StorageDenied, "target 'cloud' answered 400"),
        (403, "rateLimitExceeded", StorageUnavailable, "target 'cloud' answered 403 rateLimitExceeded"),
        (408, "requestTimeout", StorageUnavailable, "target 'cloud' answered 408 requestTimeout"),
        (429, "rateLimitExceeded", StorageUnavailable, "target 'cloud' answered 429 rateLimitExceeded"),
        (500, "internalError", StorageUnavailable, "target 'cloud' answered 500 internalError"),
        (503, "backendError", StorageUnavailable, "target 'cloud' answered 503 backendError"),
        (507, "insufficientStorage", StorageFull, "target 'cloud' answered 507 insufficientStorage"),
        (403, "quotaExceeded", StorageFull, "target 'cloud' answered 403 quotaExceeded"),
        (409, "conflict", ObjectExists, "another writer was changing it on target 'cloud'"),
    ],
)
@pytest.mark.parametrize("operation", ["store", "read", "list", "delete", "lock"])
def test_each_refusal_has_its_class_and_shows_nothing_but_status_and_reason(
    gcs_server, impatient, operation, status, reason, kind, said
):
    faults = [Fault(method, "/bucket-", times=99, status=status, reason=reason) for method in ("POST", "GET", "DELETE")]
    gcs_server.order(*faults)
    act = {
        "store": lambda: impatient.put_bytes("a", b"1"),
        "read": lambda: impatient.get_bytes("a", limit=1),
        "list": lambda: list(impatient.list("a")),
        "delete": lambda: impatient.delete("a"),
        "lock": lambda: impatient.lock("a", UNTIL),
    }[operation]
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    assert str(caught.value) == f"unable to {operation} 'a': {said}"
    assert caught.value.__cause__ is None


def test_a_bucket_that_does_not_exist_is_said_to(client, large):
    storage = GcsStorage("cloud", client, "no-such-bucket", emulator=True, single=1 << 20)
    for verb, act in (
        ("store", lambda: storage.put_bytes("a", b"1")),
        ("store", lambda: storage.put_bytes("a", b"1", replacing="1")),
        ("store", lambda: storage.put_file("a", large[0], sha256=large[1])),
        ("read", lambda: storage.open("a")),
        ("read", lambda: storage.stat("a")),
        ("list", lambda: list(storage.list("a"))),
        ("delete", lambda: storage.delete("a")),
        ("erase", lambda: storage.erase("a")),
    ):
        with pytest.raises(ObjectMissing) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} 'a': the bucket of target 'cloud' does not exist"


def test_an_answer_that_describes_no_object_is_the_targets_fault(storage):
    storage.put_bytes("a", b"1")
    for resource in ({}, {"size": "x"}, {"size": "1", "generation": "1", "timeCreated": "today"}):
        with pytest.raises(StorageUnavailable) as caught:
            storage._bucket.info("a", resource)
        cause = "target 'cloud' answered with something that describes no object"
        assert str(caught.value) == f"unable to read 'a': {cause}"


# --- nobody there ---------------------------------------------------------------------------------


def test_a_target_nobody_listens_at_is_unavailable(bucket):
    with socket.socket() as reserved:  # bound, not listening
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(StorageUnavailable) as caught:
            offline(reserved, bucket).put_bytes("a", b"1")
    assert str(caught.value) == "unable to store 'a': target 'cloud' cannot be reached (ConnectionError)"


def test_a_target_that_does_not_answer_is_unavailable(bucket):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StorageUnavailable) as caught:
            offline(silent, bucket).stat("a")
    assert str(caught.value) == "unable to read 'a': target 'cloud' cannot be reached (ReadTimeout)"


def offline(listener: socket.socket, bucket: str) -> GcsStorage:
    client = gcs_client(endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}", emulator=True)
    return GcsStorage("cloud", client, bucket, patience=0.01, read_timeout=0.2, emulator=True)


# --- the client -----------------------------------------------------------------------------------


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def test_a_command_line_without_credentials_is_denied(no_credentials):
    with pytest.raises(StorageDenied) as caught:
        gcs_client()
    cause = "there are no usable credentials (DefaultCredentialsError)"
    assert str(caught.value) == f"unable to use 'gcs': {cause}"


def test_credentials_come_from_the_sdks_chain_and_those_that_are_refused_are_denied(
    no_credentials, gcs_server, bucket, monkeypatch, tmp_path
):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(tmp_path, f"{gcs_server.url}/token")))
    client = gcs_client()
    assert client.api_endpoint == "https://storage.googleapis.com"
    client = gcs_client(endpoint_url=gcs_server.url)
    storage = GcsStorage("cloud", client, bucket, patience=0.01, emulator=True)
    gcs_server.order(Fault("POST", "/token", times=99, status=400, reason="invalid_grant"))
    for verb, act in (
        ("store", lambda: storage.put_bytes("a", b"1")),
        ("read", lambda: storage.stat("a")),
        ("read", lambda: storage.open("a")),
    ):
        with pytest.raises(StorageDenied) as caught:
            act()
        cause = "there are no usable credentials for target 'cloud' (RefreshError)"
        assert str(caught.value) == f"unable to {verb} 'a': {cause}"


def account(folder: Path, token_uri: str) -> Path:
    """A service account's file, of a key made here."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document: dict[str, Any] = {
        "type": "service_account",
        "client_email": "worker@project.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "private_key_id": "1",
        "project_id": "project",
        "token_uri": token_uri,
    }
    path = folder / "account.json"
    path.write_text(json.dumps(document))
    return path


def test_a_credentials_file_that_is_none_is_denied_without_its_text(no_credentials, monkeypatch, tmp_path):
    path = tmp_path / "account.json"
    path.write_text('{"type": "service_account", "private_key": "secret"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises((StorageDenied, InvalidSetting)) as caught:
        gcs_client()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_importing_the_driver_does_not_import_the_sdk():
    text = "import sys, rlg_backup.storage.gcs; print({'google.cloud.storage', 'requests'} & set(sys.modules))"
    path = str(Path(rlg_backup.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", text], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
