"""The targets that the storage contract is tried on; the S3 emulator starts when first asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.faulty_storage import FaultyStorage
from tests.support.gcs_server import GcsServer
from tests.support.memory_storage import MemoryStorage, Shelf
from tests.support.s3_server import S3Server

from rlg_backup.storage.gcs import GcsStorage
from rlg_backup.storage.local import LocalStorage
from rlg_backup.storage.port import Storage
from rlg_backup.storage.s3 import S3Storage

MIB = 1 << 20


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    with GcsServer() as server:
        yield server


@dataclass
class Target:
    """A fresh target: ``open`` gives a storage on it, as another process would have one."""

    open: Callable[[], Storage]
    seed: Callable[[list[str]], None]  # one-byte objects, made without the driver


@pytest.fixture(params=["local", "wrapped", "memory", "s3", "gcs"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    root = tmp_path / "target"
    if request.param == "local":
        return Target(lambda: LocalStorage("t", root), lambda keys: seed_files(root, keys))
    if request.param == "wrapped":  # the harness of damage tests, without a fault, changes nothing
        return Target(lambda: FaultyStorage(LocalStorage("t", root)), lambda keys: seed_files(root, keys))
    if request.param == "memory":  # the harness of damage tests again
        shelf = Shelf()
        return Target(lambda: MemoryStorage("t", shelf), lambda keys: seed_shelf(shelf, keys))
    if request.param == "gcs":
        gcs: GcsServer = request.getfixturevalue("gcs_server")
        gcs.order()
        name = f"bucket-{uuid.uuid4()}"
        gcs.make_bucket(name)
        return Target(
            lambda: GcsStorage("t", gcs.client(), name, "below/this", chunk_size=5 * MIB, emulator=True),
            lambda keys: gcs.seed(name, [f"below/this/{key}" for key in keys]),
        )
    server: S3Server = request.getfixturevalue("s3_server")
    server.order()
    client, bucket = server.client(), f"bucket-{uuid.uuid4()}"
    client.create_bucket(Bucket=bucket)
    return Target(
        lambda: S3Storage("t", server.client(), bucket, "below/this", part_size=5 * MIB, emulator=True),
        lambda keys: server.seed(bucket, [f"below/this/{key}" for key in keys]),
    )


@pytest.fixture
def storage(target: Target) -> Storage:
    return target.open()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / f"{uuid.uuid4()}"
        path.write_bytes(data)
        return path

    return write


def seed_files(root: Path, keys: list[str]) -> None:
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def seed_shelf(shelf: Shelf, keys: list[str]) -> None:
    for key in keys:
        MemoryStorage("t", shelf).plant(key, b"x")
