"""Drivers that speak HTTP, over a line that goes wrong at each request once: nothing is lost, nothing half is seen.

A single fault is made up for by trying again, and no operation asks without end. A bit that changes on the way is found
where the provider keeps a checksum: in what is stored and in what is read. Other answers have none, nor have listings:
there it is TLS that finds it, and a target that is no emulator must speak it.
"""

from __future__ import annotations

import copy
import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.fault_proxy import FaultProxy, Refusals, Trouble

from rlg_backup.core.errors import BackupError, ObjectDamaged, ObjectExists, ObjectMissing, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage.azure import AzureStorage
from rlg_backup.storage.gcs import GcsStorage
from rlg_backup.storage.port import Storage
from rlg_backup.storage.s3 import S3Storage

MIB = 1 << 20
LARGE = hashlib.sha256(b"large").digest() * (5 * MIB // 32 + 1)  # two parts
SMALL = b"0123456789" * 20_000
UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
REPEATS = 6  # requests that one fault may cost, at most
PASSING = [trouble for trouble in Trouble if trouble not in (Trouble.FLIP, Trouble.HOLD_BACK)]


@dataclass
class Wire:
    """A target behind the proxy, and ``direct``, the same past it."""

    proxy: FaultProxy
    storage: Storage
    direct: Storage
    impatient: Storage  # through the proxy, waits a second for an answer
    seed: Callable[[list[str]], None]


@pytest.fixture(params=["s3", "gcs", "azure"])
def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    yield from {"s3": s3_wire, "gcs": gcs_wire, "azure": azure_wire}[request.param](request, monkeypatch)


def s3_wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    from botocore.retries.standard import ExponentialBackoff

    # The SDK waits half a second after a SlowDown, and twice as long each time: not here.
    monkeypatch.setitem(ExponentialBackoff._DEFAULT_BACKOFF_CONFIG, "throttling_base_scale", 0.01)
    server, bucket = request.getfixturevalue("s3_server"), f"locking-{uuid.uuid4()}"
    server.order()
    server.client().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    error = "<?xml version='1.0'?><Error><Code>{}</Code><Message>ordered by a test</Message></Error>"
    refusals = Refusals("application/xml", error.format("InternalError"), error.format("SlowDown"))

    def storage(url: str, **options: Any) -> Storage:
        client = at(server, url).client(**options)
        return S3Storage("t", client, bucket, "p", part_size=5 * MIB, threads=2, emulator=True)

    with FaultProxy(server.url, refusals) as proxy:
        yield Wire(
            proxy,
            storage(proxy.address),
            storage(server.url),
            storage(proxy.address, attempts=2, read_timeout=1),
            lambda keys: server.seed(bucket, [f"p/{key}" for key in keys]),
        )


def gcs_wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    server, bucket = request.getfixturevalue("gcs_server"), f"locking-{uuid.uuid4()}"
    server.order()
    server.make_bucket(bucket)
    # The SDK asks for a bucket's metadata in a thread of its own, to label traces: that would be counted here.
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    monkeypatch.setattr("rlg_backup.storage.gcs_bucket._FIRST_WAIT", 0.05)
    error = '{{"error": {{"code": {0}, "message": "ordered by a test", "errors": [{{"reason": "{1}"}}]}}}}'
    refusals = Refusals("application/json", error.format(500, "internalError"), error.format(503, "backendError"))

    def storage(url: str, **options: Any) -> Storage:
        return GcsStorage("t", at(server, url).client(), bucket, "p", single=5 * MIB, emulator=True, **options)

    with FaultProxy(server.url, refusals) as proxy:
        yield Wire(
            proxy,
            storage(proxy.address, patience=0.5),
            storage(server.url),
            storage(proxy.address, patience=3, read_timeout=1),
            lambda keys: server.seed(bucket, [f"p/{key}" for key in keys]),
        )


def azure_wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    server, container = request.getfixturevalue("azure_server"), f"locking-{uuid.uuid4()}"
    server.order()
    server.make_container(container, immutable=True)
    monkeypatch.setattr("rlg_backup.storage.azure_list._PAGE", "1000")
    error = '<?xml version="1.0" encoding="utf-8"?><Error><Code>{}</Code><Message>ordered by a test</Message></Error>'
    refusals = Refusals("application/xml", error.format("InternalError"), error.format("ServerBusy"))

    def storage(url: str, **options: Any) -> Storage:
        client = at(server, url).client(**options)
        return AzureStorage("t", client, container, "p", part_size=5 * MIB, threads=2, emulator=True)

    with FaultProxy(server.url, refusals) as proxy:
        yield Wire(
            proxy,
            storage(proxy.address),
            storage(server.url),
            storage(proxy.address, attempts=2, read_timeout=1),
            lambda keys: server.seed(container, [f"p/{key}" for key in keys]),
        )


def at(server: Any, url: str) -> Any:
    """The same emulator as clients reach it by another way."""
    other = copy.copy(server)
    other.url = url
    return other


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def whole(storage: Storage, key: str) -> bytes:
    with storage.open(key) as stream:
        return stream.read()


# --- every operation, every request, every fault --------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """``prepare`` and ``check`` go past the proxy; ``act`` through it. ``check`` gets what ``act`` returned."""

    prepare: Callable[[Storage, str], Any]
    act: Callable[[Storage, str, Path], Any]
    check: Callable[[Storage, str, Any], bool]


def stored(content: bytes) -> Callable[[Storage, str, Any], bool]:
    return lambda direct, key, info: whole(direct, key) == content and direct.stat(key).tag == info.tag


OPERATIONS = {
    "upload in parts": Operation(
        lambda direct, key: None,
        lambda storage, key, path: storage.put_file(key, path, sha256=sha256(LARGE), locked_until=UNTIL),
        lambda direct, key, info: stored(LARGE)(direct, key, info) and direct.stat(key).locked_until == UNTIL,
    ),
    "mending": Operation(
        lambda direct, key: direct.put_bytes(key, b"old"),
        lambda storage, key, path: storage.put_file(key, path, sha256=sha256(LARGE), replacing=True),
        stored(LARGE),
    ),
    "small upload": Operation(
        lambda direct, key: None, lambda storage, key, path: storage.put_bytes(key, SMALL), stored(SMALL)
    ),
    "replacement": Operation(
        lambda direct, key: direct.put_bytes(key, b"old"),
        lambda storage, key, path: storage.put_bytes(key, SMALL, replacing=storage.stat(key).tag),
        stored(SMALL),
    ),
    "download": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: whole(storage, key),
        lambda direct, key, data: data == SMALL,
    ),
    "small download": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: storage.get_bytes(key, limit=len(SMALL))[0],
        lambda direct, key, data: data == SMALL,
    ),
    "range": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: storage.read_range(key, 7, 150_001),
        lambda direct, key, data: data == SMALL[7 : 7 + 150_001],
    ),
    "stat": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: storage.stat(key),
        lambda direct, key, info: info == direct.stat(key),
    ),
    "lock": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: storage.lock(key, UNTIL),
        lambda direct, key, _: direct.stat(key).locked_until == UNTIL,
    ),
    "move": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: storage.move_to(key, Tier.COOL),
        lambda direct, key, info: info == direct.stat(key) and info.tier is Tier.COOL and whole(direct, key) == SMALL,
    ),
    "facts": Operation(
        lambda direct, key: None,
        lambda storage, key, path: storage.facts(),
        lambda direct, key, facts: replace(facts, clock_skew=None) == replace(direct.facts(), clock_skew=None),
    ),
    "delete": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL),
        lambda storage, key, path: storage.delete(key),
        lambda direct, key, _: key not in [info.key for info in direct.list("")],
    ),
    "erase": Operation(
        lambda direct, key: direct.put_bytes(key, SMALL, replacing=direct.put_bytes(key, b"old").tag),
        lambda storage, key, path: storage.erase(key),
        lambda direct, key, _: key not in [info.key for info in direct.list("")] and direct.erase(key) == 0,
    ),
}


def requests_of(wire: Wire, operation: Operation, key: str, path: Path) -> int:
    """How many requests it takes when nothing goes wrong."""
    operation.prepare(wire.direct, key)
    wire.proxy.order()
    assert operation.check(wire.direct, key, operation.act(wire.storage, key, path))
    return len(wire.proxy.requests)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_at_any_request_is_made_up_for(wire, large, name):
    operation = OPERATIONS[name]
    requests = requests_of(wire, operation, f"{name.replace(' ', '-')}/clean", large)
    for trouble in PASSING:
        for nth in range(1, requests + 1):
            key = f"{name.replace(' ', '-')}/{trouble.name}-{nth}"
            operation.prepare(wire.direct, key)
            wire.proxy.order(trouble, nth)
            result = operation.act(wire.storage, key, large)
            asked, met = wire.proxy.requests, wire.proxy.met
            wire.proxy.order()
            assert met == 1, key
            assert len(asked) <= requests + REPEATS, (key, asked)
            assert operation.check(wire.direct, key, result), key
    wire.direct.sweep(timedelta(0))
    assert wire.direct.sweep(timedelta(0)) == 0


@pytest.mark.parametrize("name", ["download", "small download"])
def test_a_bit_that_changes_on_the_way_to_us_is_damage_and_never_data(wire, large, name):
    operation = OPERATIONS[name]
    for nth in range(1, requests_of(wire, operation, "clean", large) + 1):
        key = f"a/{nth}"
        operation.prepare(wire.direct, key)
        wire.proxy.order(Trouble.FLIP, nth)
        with pytest.raises(ObjectDamaged) as caught:
            operation.act(wire.storage, key, large)
        cause = "its bytes differ from the checksum that target 't' keeps of them"
        assert str(caught.value) == f"unable to read '{key}': {cause}"
        assert wire.proxy.met == 1
        wire.proxy.order()
        assert operation.check(wire.direct, key, operation.act(wire.storage, key, large))


def test_a_large_object_stored_in_parts_is_compared_as_a_whole(wire, large):
    wire.direct.put_file("a", large, sha256=sha256(LARGE))
    wire.proxy.order(Trouble.FLIP, 1)
    with pytest.raises(ObjectDamaged):
        whole(wire.storage, "a")
    assert wire.proxy.met == 1
    wire.proxy.order(Trouble.TRUNCATE, 1)
    assert whole(wire.storage, "a") == LARGE
    assert wire.proxy.met == 1


@pytest.mark.parametrize("name", ["upload in parts", "small upload", "replacement", "mending"])
def test_a_bit_that_changes_in_an_answer_leaves_an_object_that_is_whole_or_none(wire, large, name):
    operation = OPERATIONS[name]
    requests = requests_of(wire, operation, "clean", large)
    for nth in range(1, requests + 1):
        key = f"a/{nth}"
        operation.prepare(wire.direct, key)
        wire.proxy.order(Trouble.FLIP, nth)
        try:
            operation.act(wire.storage, key, large)
        except BackupError as error:
            assert error.subject == key
        asked = len(wire.proxy.requests)
        wire.proxy.order()
        assert asked <= requests + REPEATS
        before = None if "upload" in name else b"old"  # which is there until all of the new is
        assert seen(wire.direct, key) in (before, SMALL, LARGE)


def seen(storage: Storage, key: str) -> bytes | None:
    listed = key in [info.key for info in storage.list("a/")]
    try:
        data = whole(storage, key)
    except ObjectMissing:
        data = None
    assert listed == (data is not None)
    return data


# --- a line that stays bad ------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_target_that_always_fails_is_unavailable_after_a_few_tries(wire, large, monkeypatch, name):
    operation = OPERATIONS[name]
    key = f"a/{name.replace(' ', '-')}"
    operation.prepare(wire.direct, key)
    before = seen(wire.direct, key)
    wire.proxy.order()
    monkeypatch.setattr(FaultProxy, "_due", always(Trouble.FAIL))
    with pytest.raises(StorageUnavailable) as caught:
        operation.act(wire.storage, key, large)
    assert caught.value.transient
    assert len(wire.proxy.requests) <= 12
    monkeypatch.undo()
    assert seen(wire.direct, key) == before


def always(trouble: Trouble) -> Callable[[FaultProxy, Any], Trouble]:
    def due(proxy: FaultProxy, request: Any) -> Trouble:
        proxy.requests.append(request.first)
        return trouble

    return due


@pytest.mark.parametrize("name", ["upload in parts", "small upload", "replacement", "download"])
def test_an_answer_that_is_held_back_longer_than_we_wait_is_a_lost_answer(wire, large, name):
    operation = OPERATIONS[name]
    requests = requests_of(wire, operation, "clean", large)
    operation.prepare(wire.direct, "a")
    wire.proxy.order(Trouble.HOLD_BACK, requests)
    result = operation.act(wire.impatient, "a", large)
    assert wire.proxy.met == 1
    assert operation.check(wire.direct, "a", result)


# --- listings -------------------------------------------------------------------------------------


def test_a_fault_at_any_page_of_a_listing_loses_no_key_and_repeats_none(wire):
    made = [f"k/{i:05}" for i in range(1100)]
    wire.seed(made)
    wire.proxy.order()
    assert [info.key for info in wire.storage.list("k/")] == made
    pages = len(wire.proxy.requests)
    assert pages >= 2
    for trouble in PASSING:
        for nth in range(1, pages + 1):
            wire.proxy.order(trouble, nth)
            assert [info.key for info in wire.storage.list("k/")] == made, (trouble, nth)
            assert (wire.proxy.met, len(wire.proxy.requests) <= pages + REPEATS) == (1, True)


def test_a_listing_that_lags_hides_what_is_new_and_lets_nobody_overwrite_it(wire):
    wire.direct.put_bytes("k/old", b"1")
    with wire.proxy.lagging("prefix="):
        assert [info.key for info in wire.storage.list("k/")] == ["k/old"]
        wire.direct.put_bytes("k/new", b"2")
        wire.direct.delete("k/old")
        assert [info.key for info in wire.storage.list("k/")] == ["k/old"]
        with pytest.raises(ObjectExists):
            wire.storage.put_bytes("k/new", b"3")
        with pytest.raises(ObjectMissing):
            wire.storage.get_bytes("k/old", limit=1)
    assert [info.key for info in wire.storage.list("k/")] == ["k/new"]
