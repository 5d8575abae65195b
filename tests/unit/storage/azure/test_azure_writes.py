"""What only Azure can do wrong when it is written to: lost answers, changed bytes, uploads left behind."""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.azure_server import Fault

from rlg_backup.core.errors import ObjectDamaged, ObjectExists, StorageDenied, StorageFull, StorageUnavailable
from rlg_backup.storage.parts import MEMORY, part_size_for, threads_for

MIB = 1 << 20
CHANGED = "unable to store 'a': its bytes were changed on the way to target 'cloud'"


# --- a write whose answer is lost -----------------------------------------------------------------


def test_a_small_write_whose_answer_is_lost_is_a_success_and_not_somebody_elses(server, storage):
    server.order(Fault("PUT", "/p/a"))
    info = storage.put_bytes("a", b"mine")
    assert storage.get_bytes("a", limit=4)[0] == b"mine"
    server.order(Fault("PUT", "/p/a"))
    again = storage.put_bytes("a", b"next", replacing=info.tag)
    assert storage.get_bytes("a", limit=4)[0] == b"next"
    assert again.tag == storage.stat("a").tag != info.tag


def test_a_small_write_is_a_success_if_it_landed_and_no_answer_ever_came(server, storage):
    server.order(Fault("PUT", "/p/a", times=9))
    storage.put_bytes("a", b"mine")
    server.order()
    assert storage.get_bytes("a", limit=4)[0] == b"mine"


def test_a_lost_answer_does_not_turn_another_writers_object_into_ours(server, storage, made, container):
    made(container).put_bytes("a", b"mine")
    server.order(Fault("PUT", "/p/a"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"mine")  # the very same bytes
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


def test_a_write_that_never_arrived_is_an_error_and_leaves_nothing(server, impatient):
    server.order(Fault("PUT", "/p/a", take=1))
    with pytest.raises(StorageUnavailable) as caught:
        impatient.put_bytes("a", b"mine")
    assert str(caught.value) == "unable to store 'a': target 'cloud' cannot be reached (ServiceResponseError)"
    assert list(impatient.list("")) == []


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("PUT", "comp=blocklist")],
        [Fault("PUT", "comp=blocklist", times=9)],
        [Fault("PUT", "comp=blocklist"), Fault("PUT", "comp=blocklist", status=412, code="ConditionNotMet")],
        [Fault("PUT", "comp=blocklist"), Fault("PUT", "comp=blocklist", status=400, code="InvalidBlockList")],
    ],
)
def test_an_upload_whose_last_answer_is_lost_is_a_success(server, storage, large, faults):
    path, digest = large
    server.order(*faults)
    info = storage.put_file("a", path, sha256=digest)
    assert storage.stat("a").tag == info.tag


# --- uploads in blocks ----------------------------------------------------------------------------


def test_every_block_and_every_small_object_carries_an_md5_that_the_target_compares(server, impatient, large):
    for match, store in (
        ("/p/a", lambda: impatient.put_bytes("a", b"0123456789")),
        ("comp=block&", lambda: impatient.put_file("a", large[0], sha256=large[1])),
    ):
        server.order(Fault("PUT", match, spoil=7))
        with pytest.raises(StorageUnavailable) as caught:
            store()
        assert str(caught.value) == CHANGED
        assert list(impatient.list("")) == []


def test_an_object_keeps_the_md5_of_the_whole_and_says_what_it_is(storage, client, large):
    storage.put_file("large", large[0], sha256=large[1])
    storage.put_bytes("small", b"1")
    for key, data in (("large", large[0].read_bytes()), ("small", b"1")):
        found = client.get_blob_client(f"p/{key}").get_blob_properties()
        assert bytes(found.content_settings.content_md5) == hashlib.md5(data).digest()
        assert found.content_settings.content_type == "application/octet-stream"
        assert len(found.metadata["rlg_write"]) == 32


def test_a_block_that_fails_once_is_sent_again(server, storage, large):
    server.order(
        Fault("PUT", "comp=block&", skip=1, status=500, code="InternalError"), Fault("PUT", "comp=block&", take=MIB)
    )
    storage.put_file("a", large[0], sha256=large[1])
    with storage.open("a") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == large[1]


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(503, "ServerBusy", StorageUnavailable), (507, "InsufficientStorage", StorageFull)]
)
def test_a_block_that_fails_for_good_leaves_nothing_visible(server, impatient, large, caplog, status, code, kind):
    server.order(Fault("PUT", "comp=block&", skip=2, times=9, status=status, code=code))
    with pytest.raises(kind) as caught:
        impatient.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == f"unable to store 'a': target 'cloud' answered {status} {code}"
    server.order()
    assert list(impatient.list("")) == []
    with caplog.at_level(logging.INFO, "rlg_backup.storage.azure"):
        assert impatient.sweep(timedelta()) == 0
    said = "1 uploads to target 'cloud' broke off; it drops them a week later"
    assert [record.getMessage() for record in caplog.records if "broke off" in record.getMessage()] == [said]
    impatient.put_file("a", large[0], sha256=large[1])
    caplog.clear()
    with caplog.at_level(logging.INFO, "rlg_backup.storage.azure"):
        assert impatient.sweep(timedelta()) == 0
    assert "broke off" not in caplog.text


def test_an_upload_never_takes_blocks_of_another_one_for_its_own(server, impatient, large, tmp_path):
    other, done = tmp_path / "other", 0
    other.write_bytes(large[0].read_bytes()[::-1])

    def interfere(count: int) -> None:
        nonlocal done
        done += count
        if done == 17 * MIB:  # all is sent, and nothing committed yet
            server.order(Fault("PUT", "comp=blocklist", status=403, code="AuthorizationFailure"))
            with pytest.raises(StorageDenied):
                impatient.put_file("a", other, sha256=hashlib.sha256(other.read_bytes()).hexdigest())

    impatient.put_file("a", large[0], sha256=large[1], progress=interfere)
    with impatient.open("a") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == large[1]


def test_an_upload_dropped_by_the_target_is_worth_another_try(server, storage, large):
    server.order(Fault("PUT", "comp=blocklist", status=400, code="InvalidBlockList"))
    with pytest.raises(StorageUnavailable) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' dropped the upload before its end"


def test_a_taken_key_is_found_before_anything_is_uploaded(server, storage, large):
    storage.put_bytes("a", b"1")
    server.order(Fault("PUT", "comp=block", status=403, code="ThisMustNotBeAsked"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_file("a", large[0], sha256=large[1])
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


def test_one_who_may_write_but_not_look_can_still_upload(server, storage, large):
    server.order(Fault("HEAD", "/p/a", times=9, status=403, code="AuthorizationPermissionMismatch"))
    storage.put_file("a", large[0], sha256=large[1])
    server.order()
    assert storage.stat("a").size == large[0].stat().st_size


def test_one_who_may_create_only_is_told_that_the_key_is_taken(server, storage):
    server.order(Fault("PUT", "/p/a", status=403, code="UnauthorizedBlobOverwrite"))
    with pytest.raises(ObjectExists) as caught:
        storage.put_bytes("a", b"1")
    assert str(caught.value) == "unable to store 'a': target 'cloud' has it already"


def test_a_file_that_changes_while_it_goes_up_never_becomes_visible(made, large):
    storage, (path, digest) = made(options={"part_size": 5 * MIB, "threads": 1}), large

    def overwrite(_: int) -> None:
        with path.open("r+b") as out:
            out.seek(16 * MIB)
            out.write(b"changed")

    with pytest.raises(ObjectDamaged) as caught:
        storage.put_file("a", path, sha256=digest, progress=overwrite)
    cause = "the file to store does not have the promised SHA-256; nothing was stored"
    assert str(caught.value) == f"unable to store 'a': {cause}"
    assert list(storage.list("")) == []


def test_an_encryption_scope_goes_with_every_request_that_writes_content(server, made, large):
    storage = made(options={"encryption_scope": "backups", "part_size": 5 * MIB})
    storage.put_bytes("small", b"1")
    storage.put_file("large", large[0], sha256=large[1])
    told = [
        headers.get("x-ms-encryption-scope") for headers in server.seen(storage.made_in) if "content-md5" in headers
    ]
    assert told == ["backups"] * 6  # one object, four blocks, one list of them


@given(st.integers(0, 50_000 * 4_000 * MIB), st.integers(1, 64 * MIB), st.integers(1, 16))
def test_parts_suffice_for_every_size_and_their_memory_is_bounded(size, least, threads):
    part_size = part_size_for(size, least, 50_000)
    assert least <= part_size <= max(least, 4_000 * MIB)
    assert -(-size // part_size) <= 50_000
    assert 1 <= threads_for(part_size, threads) <= threads
    assert threads_for(part_size, threads) * part_size <= max(MEMORY, part_size)
