"""What only Azure can do wrong when it is read from: broken bodies, changed bytes, refusals."""

from __future__ import annotations

import hashlib
import socket

import pytest
from tests.support.azure_server import ACCOUNT, Fault

from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectDamaged,
    ObjectFrozen,
    ObjectLocked,
    ObjectMissing,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage.azure import AzureStorage
from rlg_backup.storage.azure_client import azure_client

MIB = 1 << 20
DENIED_HINT = "check the credentials and their roles: Storage Blob Data Contributor writes, reads, lists and deletes"
DIFFERS = "unable to read 'a': its bytes differ from the checksum that target 'cloud' keeps of them"


# --- reading --------------------------------------------------------------------------------------


def test_a_body_that_breaks_off_again_and_again_is_taken_up_where_it_broke(server, storage, large):
    storage.put_file("a", large[0], sha256=large[1])
    server.order(*(Fault("GET", "/p/a", cut=cut) for cut in (0, 1, 3_000_000, 0, 0, 2_000_000, 100)))
    with storage.open("a") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == large[1]
    server.order(Fault("GET", "/p/a", cut=1_500_000), Fault("GET", "/p/a", cut=7))
    assert storage.read_range("a", 1000, 3_000_000) == large[0].read_bytes()[1000:3_001_000]
    server.order(Fault("GET", "/p/a", cut=17))
    assert hashlib.sha256(storage.get_bytes("a", limit=10**9)[0]).hexdigest() == large[1]


def test_a_range_longer_than_the_service_makes_a_checksum_of_is_exact_over_broken_connections(server, storage, large):
    storage.put_file("a", large[0], sha256=large[1])
    data = large[0].read_bytes()
    assert storage.read_range("a", 77, 13 * MIB) == data[77 : 77 + 13 * MIB]
    server.order(*(Fault("GET", "/p/a", cut=cut) for cut in (4 * MIB - 1, 0, 1, 4 * MIB)))
    assert storage.read_range("a", 77, 13 * MIB) == data[77 : 77 + 13 * MIB]


def test_a_line_that_always_breaks_off_early_still_gets_the_object_through(server, storage):
    storage.put_bytes("a", b"0123456789" * 200_000)
    server.order(Fault("GET", "/p/a", times=99, cut=300_000))
    assert storage.get_bytes("a", limit=2_000_000)[0] == b"0123456789" * 200_000


def test_a_body_that_never_goes_on_ends_in_an_error_and_not_in_a_short_file(server, storage):
    storage.put_bytes("a", b"0123456789")
    server.order(Fault("GET", "/p/a", cut=4), Fault("GET", "/p/a", times=99, cut=0))
    with storage.open("a") as stream, pytest.raises(StorageUnavailable) as caught:
        stream.read()
    assert str(caught.value) == "unable to read 'a': target 'cloud' broke off 4 times at byte 4"


def test_an_object_replaced_while_it_is_read_is_damage_and_not_a_mixture(server, storage):
    info = storage.put_bytes("a", b"0" * 3_000_000)
    server.order(Fault("GET", "/p/a", cut=2_500_000))
    with storage.open("a") as stream:
        stream.read(10)
        storage.put_bytes("a", b"1" * 3_000_000, replacing=info.tag)
        with pytest.raises(ObjectDamaged) as caught:
            stream.read()
    assert str(caught.value) == "unable to read 'a': it was replaced while it was read"


def test_an_object_deleted_while_it_is_read_ends_in_an_error(server, storage):
    storage.put_bytes("a", b"0" * 3_000_000)
    server.order(Fault("GET", "/p/a", cut=2_500_000))
    with storage.open("a") as stream:
        stream.read(10)
        storage.delete("a")
        with pytest.raises(ObjectDamaged) as caught:  # the condition is answered before the absence
            stream.read()
    assert str(caught.value) == "unable to read 'a': it was replaced while it was read"


@pytest.mark.parametrize("at", [0, 4, 9])
def test_a_byte_changed_on_the_way_from_the_target_is_damage(server, storage, at):
    storage.put_bytes("a", b"0123456789")
    for read in (
        lambda: storage.get_bytes("a", limit=10),
        lambda: storage.open("a").read(),
        lambda: storage.read_range("a", 0, 10),
    ):
        server.order(Fault("GET", "/p/a", flip=at))
        with pytest.raises(ObjectDamaged) as caught:
            read()
        assert str(caught.value) == DIFFERS


def test_an_object_in_blocks_is_compared_with_the_checksum_stored_with_it(server, storage, large):
    storage.put_file("a", large[0], sha256=large[1])
    server.order(Fault("GET", "/p/a", cut=6 * MIB), Fault("GET", "/p/a", flip=1))
    with storage.open("a") as stream, pytest.raises(ObjectDamaged) as caught:
        while stream.read(MIB):
            pass
    assert str(caught.value) == DIFFERS


def test_an_object_that_others_stored_without_a_checksum_is_compared_piece_by_piece(server, storage, client, large):
    blob, data = client.get_blob_client("p/a"), large[0].read_bytes()
    blob.stage_block("0", data)
    blob.commit_block_list(["0"])
    assert blob.get_blob_properties().content_settings.content_md5 is None
    with storage.open("a") as stream:
        assert stream.read() == data
    assert storage.get_bytes("a", limit=len(data))[0] == data
    server.order(Fault("GET", "/p/a", skip=3, flip=1))
    with storage.open("a") as stream, pytest.raises(ObjectDamaged) as caught:
        stream.read()
    assert str(caught.value) == DIFFERS


# --- refusals -------------------------------------------------------------------------------------

NO_CONTAINER = "the container of target 'cloud' does not exist"
FROZEN = "it lies frozen on target 'cloud'\nhint: ask for it with 'rlg-backup thaw'; it may take hours"
NO_PERMISSION = f"403 AuthorizationPermissionMismatch\nhint: {DENIED_HINT}"
REFUSALS: list[tuple[int, str, type[Exception], str]] = [
    (403, "AuthorizationPermissionMismatch", StorageDenied, NO_PERMISSION),
    (401, "InvalidAuthenticationInfo", StorageDenied, "401 InvalidAuthenticationInfo"),
    (400, "InvalidHeaderValue", StorageDenied, "400 InvalidHeaderValue"),
    (400, "key=AKIA b", StorageDenied, "400"),
    (408, "RequestTimeout", StorageUnavailable, "408 RequestTimeout"),
    (429, "TooMany", StorageUnavailable, "429 TooMany"),
    (500, "InternalError", StorageUnavailable, "500 InternalError"),
    (500, "OperationTimedOut", StorageUnavailable, "500 OperationTimedOut"),
    (503, "ServerBusy", StorageUnavailable, "503 ServerBusy"),
    (507, "InsufficientStorage", StorageFull, "507 InsufficientStorage"),
    (404, "ContainerNotFound", ObjectMissing, NO_CONTAINER),
    (409, "ContainerBeingDeleted", ObjectMissing, NO_CONTAINER),
    (409, "BlobImmutableDueToPolicy", ObjectLocked, "target 'cloud' answered that it is locked"),
    (412, "LeaseIdMissing", StorageUnavailable, "another worker is moving it on target 'cloud'"),
    (400, "Md5Mismatch", StorageUnavailable, "its bytes were changed on the way to target 'cloud'"),
    (409, "BlobArchived", ObjectFrozen, FROZEN),
    (409, "BlobBeingRehydrated", ObjectFrozen, FROZEN),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "kind", "said"), REFUSALS)
@pytest.mark.parametrize("operation", ["store", "read", "list", "delete"])
def test_each_refusal_has_its_class_and_shows_nothing_but_status_and_code(
    server, impatient, operation, status, code, kind, said
):
    server.order(
        *(Fault(m, "container-", times=99, status=status, code=code) for m in ("PUT", "GET", "DELETE", "HEAD"))
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
    verb = "read" if kind is ObjectFrozen else operation
    said = f"target 'cloud' answered {said}" if said.startswith(str(status)) else said
    assert str(caught.value) == f"unable to {verb} 'a': {said}"
    assert caught.value.__cause__ is None


def test_what_may_pass_is_asked_again_and_what_does_not_is_not(server, storage):
    server.order(Fault("PUT", "/p/a", times=2, status=503, code="ServerBusy"))
    storage.put_bytes("a", b"1")
    server.order(Fault("GET", "/p/a", times=2, status=500, code="InternalError"), Fault("GET", "/p/a", status=403))
    with pytest.raises(StorageDenied):
        storage.get_bytes("a", limit=1)
    assert storage.get_bytes("a", limit=1)[0] == b"1"


def test_a_container_that_does_not_exist_is_said_to(server, large):
    storage = AzureStorage("cloud", server.client(), "no-such-container", part_size=5 * MIB, emulator=True)
    for verb, act in (
        ("store", lambda: storage.put_bytes("a", b"1")),
        ("store", lambda: storage.put_bytes("a", b"1", replacing="0x1")),
        ("store", lambda: storage.put_file("a", large[0], sha256=large[1])),
        ("read", lambda: storage.open("a")),
        ("read", lambda: storage.stat("a")),
        ("list", lambda: list(storage.list("a"))),
        ("delete", lambda: storage.delete("a")),
        ("erase", lambda: storage.erase("a")),
        ("move", lambda: storage.move_to("a", Tier.COOL)),
        ("thaw", lambda: storage.thaw("a", 1)),
    ):
        with pytest.raises(ObjectMissing) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} 'a': {NO_CONTAINER}"
    with pytest.raises(ObjectMissing) as caught:
        storage.facts()
    assert str(caught.value) == f"unable to ask 'no-such-container': {NO_CONTAINER}"


def test_a_target_nobody_listens_at_is_unavailable():
    with socket.socket() as reserved:  # bound, not listening
        reserved.bind(("127.0.0.1", 0))
        storage = offline(reserved.getsockname()[1])
        for verb, act in (
            ("store", lambda: storage.put_bytes("a", b"1")),
            ("read", lambda: storage.open("a")),
            ("list", lambda: list(storage.list("a"))),
        ):
            with pytest.raises(StorageUnavailable) as caught:
                act()
            assert str(caught.value) == f"unable to {verb} 'a': target 'cloud' cannot be reached (ServiceRequestError)"


def test_a_target_that_does_not_answer_is_unavailable():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        storage = offline(silent.getsockname()[1])
        with pytest.raises(StorageUnavailable) as caught:
            storage.stat("a")
    cause = "target 'cloud' cannot be reached (ServiceResponseTimeoutError)"
    assert str(caught.value) == f"unable to read 'a': {cause}"


def offline(port: int) -> AzureStorage:
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    client = azure_client(url, emulator=True, attempts=1, connect_timeout=0.3, read_timeout=0.3)
    return AzureStorage("cloud", client, "container", emulator=True)


def test_a_garbled_list_is_an_error_of_the_target_or_a_list_and_nothing_else(server, impatient):
    impatient.put_bytes("a", b"1")
    errors = set()
    for at in range(0, 600, 7):
        server.order(Fault("GET", "comp=list", flip=at))
        try:
            assert len(list(impatient.list(""))) <= 1
        except StorageUnavailable as error:
            errors.add(str(error))
    assert errors == {
        "unable to list '': target 'cloud' cannot be reached (DecodeError)",
        "unable to list '': target 'cloud' answered with a garbled list",
    }


def test_an_account_that_lists_folder_by_folder_is_refused(made):
    storage = made(hierarchical=True)
    for key in ("a/b", "a-b"):
        storage.put_bytes(key, b"1")
    with pytest.raises(InvalidSetting) as caught:
        list(storage.list("a"))
    assert str(caught.value) == "unable to list 'a': target 'cloud' has a hierarchical namespace"
