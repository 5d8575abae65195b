"""A key of ours that the provider encrypts with and forgets: given by reference, needed to read, and never told."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.gcs_server import GcsServer
from tests.support.s3_server import S3Server
from tests.support.world import World, dump

from rlg_backup.core.errors import StorageDenied
from rlg_backup.core.model import Tier

SECRET = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.client().create_bucket(Bucket="keys")
        yield server


@pytest.fixture
def on_gcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Google's clients send such keys over plain HTTP to nothing but an emulator."""
    monkeypatch.setenv("CUSTOMER_KEY", SECRET)
    with GcsServer() as server:
        server.client().create_bucket("keys")
        world = World.make(tmp_path / "world")
        target = {"type": "gcs", "bucket": "keys", "project": "p", "endpoint_url": server.url, "emulator": True}
        world.settings["targets"]["local"] = {**target, "customer_key": "env:CUSTOMER_KEY"}
        world.save()
        yield world


@pytest.fixture
def world(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("CUSTOMER_KEY", SECRET)
    world = World.make(tmp_path / "world")
    target = {"type": "s3", "bucket": "keys", "prefix": tmp_path.name, "region": "us-east-1", "emulator": True}
    world.settings["targets"]["local"] = {**target, "endpoint_url": server.url, "customer_key": "env:CUSTOMER_KEY"}
    world.save()
    return world


def test_backups_are_made_read_and_restored_with_the_key_and_with_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full, child = world.back_up(), world.back_up(kind="incremental")
    assert world.run("verify", child, "--full").code == 0
    assert world.run("restore", child, "--source", "app", "--to", world.root / "back.db").code == 0
    assert dump(world.root / "back.db") == dump(world.root / "app.db")
    told = {check["name"]: check for check in world.run("doctor", "--json").json["checks"]}["local: properties"]
    assert "encrypted there with customer_key, without which no copy can be read" in told["measured"]
    monkeypatch.setenv("CUSTOMER_KEY", base64.b64encode(bytes(32)).decode())
    done = world.run("restore", full, "--source", "app", "--to", world.root / "other.db")
    assert (done.code, SECRET in done.out + done.err + caplog.text) == (1, False)
    assert "target 'local' answered 400" in done.err


def test_a_bucket_at_google_is_read_with_the_key_and_with_no_other(
    on_gcs: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = on_gcs.back_up()
    assert on_gcs.run("verify", full, "--full").code == 0
    monkeypatch.setenv("CUSTOMER_KEY", base64.b64encode(bytes(32)).decode())
    done = on_gcs.run("restore", full, "--source", "app", "--to", on_gcs.root / "other.db")
    assert (done.code, "it is encrypted with another customer key on target 'local'" in done.err) == (1, True), done.err


def test_an_account_at_azure_is_given_the_key(world: World) -> None:
    """What it does with it: tests/unit/storage/azure/test_azure_facts.py; Azurite takes none."""
    place = {"type": "azure", "container": "keys", "endpoint_url": "https://account.blob.core.windows.net"}
    world.settings["targets"]["local"] = {**place, "customer_key": "env:CUSTOMER_KEY"}
    world.save()
    storage: Any = world.wiring().storage("local")
    assert storage._container.customer_key == bytes(range(32))


def test_large_files_and_moves_to_a_colder_tier_go_with_the_key(world: World, tmp_path: Path) -> None:
    storage, file = world.wiring().storage("local"), tmp_path / "large"
    file.write_bytes(bytes(40 << 20))
    digest = sha256(file.read_bytes()).hexdigest()
    storage.put_file("app/large", file, sha256=digest)
    assert storage.move_to("app/large", Tier.COLD).tier is Tier.COLD
    with storage.open("app/large") as stream:
        assert sha256(stream.read()).hexdigest() == digest
    world.settings["targets"]["local"].pop("customer_key")
    world.save()
    with pytest.raises(StorageDenied):
        world.wiring().storage("local").stat("app/large")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("not base64", "it is not 32 bytes in base64\nhint: make one: openssl rand -base64 32"),
        (base64.b64encode(bytes(31)).decode(), "it is not 32 bytes in base64\nhint: make one: openssl rand -base64 32"),
        ("", "unable to read 'env:CUSTOMER_KEY': it is not set, or empty"),
    ],
)
def test_a_key_that_is_none_is_refused_and_not_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str, said: str
) -> None:
    monkeypatch.setenv("CUSTOMER_KEY", key)
    done = world.run("list")
    assert (done.code, said in done.err) == (2, True), done.err
    assert not key or key not in done.err


def test_two_keys_are_refused(world: World) -> None:
    world.settings["targets"]["local"]["kms_key"] = "alias/other"
    world.save()
    done = world.run("list")
    assert (done.code, "customer_key and kms_key are two keys: give one" in done.err) == (2, True), done.err
