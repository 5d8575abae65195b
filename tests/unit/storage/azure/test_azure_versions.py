"""Locks, tiers and the end of Azure blobs: what Azurite lacks of it is added by tests/support/azure_rules.py.

What neither has, and is therefore not tried here: that a real account enforces a policy (the front does, as Microsoft
documents it), how long a thaw takes, and what an account of premium blobs answers to a tier beyond its code.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.azure_server import Fault

from rlg_backup.core.errors import InvalidSetting, ObjectExists, ObjectLocked, StorageDenied, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage.locks import FOR_EVER

UNTIL = datetime(2100, 2, 3, 4, 5, 6, tzinfo=UTC)
IN_2100 = "Wed, 03 Feb 2100 04:05:06 GMT"
DENIED = {"status": 403, "code": "AuthorizationPermissionMismatch"}


def sdk(server, storage, key="a"):
    return server.client().get_blob_client(storage.made_in, f"p/{key}")


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Locked", "Unlocked"])
def test_a_lock_goes_with_the_request_that_makes_the_object_visible(server, made, large, mode):
    storage = made(immutable=True, options={"lock_mode": mode, "part_size": 5 << 20})
    storage.put_bytes("small", b"1", locked_until=UNTIL)
    storage.put_file("large", large[0], sha256=large[1], locked_until=UNTIL)
    for request in ("/p/small", "/p/large?comp=blocklist"):
        (headers,) = server.seen(f"PUT /devstoreaccount1/{storage.made_in}{request}")
        assert headers["x-ms-immutability-policy-until-date"] == IN_2100
        assert headers["x-ms-immutability-policy-mode"] == mode
    assert not server.seen(f"{storage.made_in}/p/small?comp=immutabilityPolicies")


def test_the_target_itself_refuses_who_goes_past_the_driver(server, made):
    from azure.core.exceptions import HttpResponseError

    storage = made(immutable=True)
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    blob = sdk(server, storage)
    version = blob.get_blob_properties().version_id
    for act in (blob.delete_blob, lambda: blob.upload_blob(b"2", overwrite=True)):
        with pytest.raises(HttpResponseError, match="BlobImmutableDueToPolicy"):
            act()
    with pytest.raises(HttpResponseError, match="BlobImmutableDueToPolicy"):
        blob.delete_blob(version_id=version)
    server.order(Fault("HEAD", "/p/a", times=9, **DENIED))  # who may not look is refused by the target
    with pytest.raises(ObjectLocked) as caught:
        storage.delete("a")
    assert str(caught.value) == "unable to delete 'a': target 'cloud' answered that it is locked"


def test_a_locked_policy_stays_one_where_locks_are_unlocked_else(server, made):
    storage = made(immutable=True)
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    trial = made(storage.made_in, options={"lock_mode": "Unlocked"})
    trial.lock("a", UNTIL + timedelta(days=1))
    policy = sdk(server, storage).get_blob_properties().immutability_policy
    assert (policy.policy_mode, policy.expiry_time) == ("locked", UNTIL + timedelta(days=1))


def test_a_lock_that_the_target_would_let_be_shortened_is_not(server, made):
    storage = made(immutable=True, options={"lock_mode": "Unlocked"})
    storage.put_bytes("a", b"1", locked_until=UNTIL)
    storage.lock("a", UNTIL - timedelta(days=1))
    assert storage.stat("a").locked_until == UNTIL
    storage.lock("a", UNTIL + timedelta(days=1))
    assert storage.stat("a").locked_until == UNTIL + timedelta(days=1)


def test_a_lock_of_another_that_was_faster_and_longer_is_as_good(server, made):
    storage = made(immutable=True)
    storage.put_bytes("a", b"1")
    server.order(Fault("PUT", "comp=immutabilityPolicies", times=1))  # carried out, and the answer lost
    storage.lock("a", UNTIL)
    assert storage.stat("a").locked_until == UNTIL
    storage.put_bytes("b", b"1")
    server.order(Fault("PUT", "/p/b?comp=immutabilityPolicies", status=409, code="BlobImmutableDueToPolicy"))
    with pytest.raises(ObjectLocked) as caught:
        storage.lock("b", UNTIL)
    assert str(caught.value) == "unable to lock 'b': target 'cloud' answered that it is locked"


def test_a_legal_hold_keeps_an_object_for_ever(server, made):
    storage = made(immutable=True)
    tag = storage.put_bytes("a", b"1").tag
    sdk(server, storage).set_legal_hold(True)
    assert storage.stat("a").locked_until == FOR_EVER
    storage.lock("a", UNTIL)  # shorter: changes nothing
    for verb, act in (
        ("delete", lambda: storage.delete("a")),
        ("erase", lambda: storage.erase("a")),
        ("store", lambda: storage.put_bytes("a", b"2", replacing=tag)),
    ):
        with pytest.raises(ObjectLocked) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} 'a': it is locked until 9999-12-31T23:59:59Z"
    sdk(server, storage).set_legal_hold(False)
    assert storage.erase("a") == 1


def test_who_may_not_look_at_the_container_can_still_lock(server, made):
    storage = made(immutable=True)
    server.order(Fault("GET", f"{storage.made_in}?restype=container", times=9, **DENIED))
    assert storage.put_bytes("a", b"1", locked_until=UNTIL).locked_until == UNTIL
    storage.put_bytes("b", b"1")
    storage.lock("b", UNTIL)
    server.order()
    assert storage.stat("b").locked_until == UNTIL


# --- tiers ----------------------------------------------------------------------------------------


def test_an_object_replaced_before_it_is_moved_is_not_moved(server, made):
    storage = made()
    storage.put_bytes("a", b"1")
    server.order(Fault("PUT", "comp=lease", status=412, code="ConditionNotMet"))
    with pytest.raises(ObjectExists) as caught:
        storage.move_to("a", Tier.COOL)
    assert str(caught.value) == "unable to move 'a': another writer replaced or removed it on target 'cloud'"
    assert storage.stat("a").tier is Tier.HOT


def test_the_version_seen_is_the_one_that_is_moved(server, made):
    storage = made()
    info = storage.put_bytes("a", b"1")
    storage.move_to("a", Tier.COLD)
    (asked, released) = server.seen(f"PUT /devstoreaccount1/{storage.made_in}/p/a?comp=lease")
    assert (asked["x-ms-lease-action"], asked["if-match"]) == ("acquire", f'"{info.tag}"')
    (moved,) = server.seen(f"PUT /devstoreaccount1/{storage.made_in}/p/a?comp=tier")
    assert moved["x-ms-lease-id"] == released["x-ms-lease-id"]
    assert released["x-ms-lease-action"] == "release"


def test_an_object_that_another_worker_is_moving_is_neither_moved_nor_replaced(server, made):
    storage = made()
    info = storage.put_bytes("a", b"1")
    lease = sdk(server, storage).acquire_lease(15)
    for verb, act in (
        ("move", lambda: storage.move_to("a", Tier.COOL)),
        ("store", lambda: storage.put_bytes("a", b"2", replacing=info.tag)),
        ("delete", lambda: storage.delete("a")),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            act()
        assert str(caught.value) == f"unable to {verb} 'a': another worker is moving it on target 'cloud'"
    lease.release()
    assert storage.move_to("a", Tier.COOL).tier is Tier.COOL


def test_a_lease_that_cannot_be_given_back_does_not_undo_the_move(server, made):
    storage = made()
    storage.put_bytes("a", b"1")
    server.order(Fault("PUT", "comp=lease", skip=1, times=9, status=503, code="ServerBusy"))
    assert storage.move_to("a", Tier.COOL).tier is Tier.COOL


@pytest.mark.parametrize("code", ["InvalidBlobTier", "BlobAccessTierNotSupportedForAccountType"])
def test_a_tier_that_the_account_has_not_is_refused(server, made, code):
    storage = made()
    storage.put_bytes("a", b"1")
    server.order(Fault("PUT", "comp=tier", status=400, code=code))
    with pytest.raises(InvalidSetting) as caught:
        storage.move_to("a", Tier.COLD)
    assert str(caught.value) == "unable to move 'a': target 'cloud' has no tier 'cold'"
    server.order()
    storage.delete("a")  # the lease was given back


def test_a_thaw_is_asked_for_once(server, made):
    storage = made()
    storage.put_bytes("a", b"1")
    storage.move_to("a", Tier.ARCHIVE)
    for _ in range(3):
        assert storage.thaw("a", 1) is False
    asked = server.seen(f"PUT /devstoreaccount1/{storage.made_in}/p/a?comp=tier")
    assert [headers["x-ms-access-tier"] for headers in asked] == ["Archive", "Hot"]
    assert asked[1]["x-ms-rehydrate-priority"] == "Standard"
    server.thaw(storage.made_in)
    assert storage.thaw("a", 1) is True
    assert storage.stat("a").tier is Tier.HOT


# --- the end --------------------------------------------------------------------------------------


def test_snapshots_go_with_their_object(server, made):
    storage = made()
    for end, gone in ((storage.delete, None), (storage.erase, 3)):
        storage.put_bytes("a", b"1")
        for _ in range(2):
            sdk(server, storage).create_snapshot()
        assert end("a") == gone
        assert list(storage.list("")) == []
        assert list(server.client().get_container_client(storage.made_in).list_blobs(include=["snapshots"])) == []


def test_nothing_goes_while_an_older_version_is_locked(server, made):
    from azure.storage.blob import ImmutabilityPolicy

    storage = made(immutable=True)
    tag = storage.put_bytes("a", b"1").tag
    older = sdk(server, storage).get_blob_properties().version_id
    storage.put_bytes("a", b"2", replacing=tag)
    policy = ImmutabilityPolicy(expiry_time=UNTIL, policy_mode="Locked")
    sdk(server, storage).set_immutability_policy(policy, version_id=older)
    with pytest.raises(ObjectLocked) as caught:
        storage.erase("a")
    assert str(caught.value) == "unable to erase 'a': it is locked until 2100-02-03T04:05:06Z"
    assert storage.get_bytes("a", limit=1)[0] == b"2"


def test_what_soft_delete_keeps_goes_too_where_the_account_allows_it(server, made):
    storage = made(immutable=True, soft_delete=True)
    tag = storage.put_bytes("a", b"1").tag
    storage.put_bytes("a", b"2", replacing=tag)
    storage.put_bytes("a/b", b"kept")
    assert storage.erase("a") == 2
    left = server.client().get_container_client(storage.made_in).list_blobs(include=["versions", "deleted"])
    assert {blob.name for blob in left} == {"p/a/b"}
    assert storage.erase("a") == 0


def test_what_soft_delete_keeps_and_does_not_give_away_is_not_called_erased(server, made):
    storage = made(immutable=True, soft_delete=True, purge=False)
    storage.put_bytes("a", b"1")
    for _ in range(2):
        with pytest.raises(StorageDenied) as caught:
            storage.erase("a")
        hint = "it goes by itself when its time is over; an account can allow permanent deletes"
        assert str(caught.value) == f"unable to erase 'a': target 'cloud' keeps what was deleted\nhint: {hint}"
    assert list(storage.list("")) == []
