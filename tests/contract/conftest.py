"""The targets that the storage contract is tried on; the S3 emulator starts when first asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.azure_server import AzureServer
from tests.support.faulty_storage import FaultyStorage
from tests.support.gcs_server import GcsServer
from tests.support.memory_storage import MemoryStorage, Shelf
from tests.support.s3_server import S3Server

from rlg_backup.core.model import Tier
from rlg_backup.storage import local_lock
from rlg_backup.storage.azure import AzureStorage
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


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    with AzureServer() as server:
        yield server


@dataclass
class Target:
    """A fresh target: ``open`` gives a storage on it, as another process would have one.

    ``locking`` gives one on a target that keeps locks, ``lockless`` on one that does not; both may be the same as
    ``open``. ``tiers`` are those it has, the one that freezes last, and ``thawed`` is called when the provider is to
    be done with thawing. ``cannot`` says what cannot be tried here, and why.
    """

    open: Callable[[], Storage]
    seed: Callable[[list[str]], None]  # one-byte objects, made without the driver
    locking: Callable[[], Storage]
    lockless: Callable[[], Storage] | None = None
    tiers: tuple[Tier, ...] = (Tier.HOT,)
    thawed: Callable[[], None] | None = None
    cannot: dict[str, str] = field(default_factory=dict)

    def require(self, what: str) -> None:
        """Ends a test that cannot be made here, with the reason that stands in the list."""
        if what in self.cannot:
            # Not REQUIRED-IN-CI: it is the kind of target that cannot, on every machine; other targets are asked.
            pytest.skip(f"{what}: {self.cannot[what]}")


ATTRIBUTES = "every file system here keeps extended attributes; tests/unit/storage/test_local_locks.py takes them away"
ONE_TIER = "a folder has one tier"
LEASE = "what comes last into a folder stays; the lease keeps writers apart"


@pytest.fixture(params=["local", "wrapped", "memory", "s3", "gcs", "azure"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    root = tmp_path / "target"
    if request.param == "memory":  # the harness of damage tests, on a shelf
        yield memory_target()
    elif request.param == "s3":
        yield s3_target(request.getfixturevalue("s3_server"))
    elif request.param == "gcs":
        yield gcs_target(request.getfixturevalue("gcs_server"))
    elif request.param == "azure":
        yield azure_target(request.getfixturevalue("azure_server"))
    else:
        yield folder_target(root, wrapped=request.param == "wrapped")
        release(root)


def folder_target(root: Path, *, wrapped: bool) -> Target:
    def storage() -> Storage:  # the harness of damage tests, without a fault, changes nothing
        return FaultyStorage(LocalStorage("t", root)) if wrapped else LocalStorage("t", root)

    cannot = {"lockless": ATTRIBUTES, "tiers": ONE_TIER, "thaw": ONE_TIER, "race to replace": LEASE}
    return Target(storage, lambda keys: seed_files(root, keys), storage, cannot=cannot)


def memory_target() -> Target:
    shelf, lockless = Shelf(), Shelf(locks=False)
    return Target(
        lambda: MemoryStorage("t", shelf),
        lambda keys: seed_shelf(shelf, keys),
        lambda: MemoryStorage("t", shelf),
        lambda: MemoryStorage("t", lockless),
        tuple(Tier),
        lambda: MemoryStorage("t", shelf).melt(),
    )


def s3_target(server: S3Server) -> Target:
    server.order()
    client, plain, locking = server.client(), f"bucket-{uuid.uuid4()}", f"locking-{uuid.uuid4()}"
    client.create_bucket(Bucket=plain)
    client.create_bucket(Bucket=locking, ObjectLockEnabledForBucket=True)

    def storage(bucket: str) -> Storage:
        return S3Storage("t", server.client(), bucket, "below/this", part_size=5 * MIB, threads=4, emulator=True)

    return Target(
        lambda: storage(plain),
        lambda keys: server.seed(plain, [f"below/this/{key}" for key in keys]),
        lambda: storage(locking),
        lambda: storage(plain),
        tuple(Tier),
        lambda: server.thaw(plain),
    )


def gcs_target(server: GcsServer) -> Target:
    server.order()
    plain, locking = f"bucket-{uuid.uuid4()}", f"locking-{uuid.uuid4()}"
    server.make_bucket(plain, retention=False, versioning={"enabled": False})
    server.make_bucket(locking)

    def storage(bucket: str) -> Storage:
        return GcsStorage("t", server.client(), bucket, "below/this", single=5 * MIB, emulator=True)

    return Target(
        lambda: storage(plain),
        lambda keys: server.seed(plain, [f"below/this/{key}" for key in keys]),
        lambda: storage(locking),
        lambda: storage(plain),
        tuple(Tier),
        cannot={"thaw": "every class can be read at once"},
    )


def azure_target(server: AzureServer) -> Target:
    server.order()
    plain, locking = f"plain-{uuid.uuid4()}", f"locking-{uuid.uuid4()}"
    server.make_container(plain)
    server.make_container(locking, immutable=True)

    def storage(container: str) -> Storage:
        return AzureStorage("t", server.client(), container, "below/this", part_size=5 * MIB, emulator=True)

    return Target(
        lambda: storage(plain),
        lambda keys: server.seed(plain, [f"below/this/{key}" for key in keys]),
        lambda: storage(locking),
        lambda: storage(plain),
        tuple(Tier),
        lambda: server.thaw(plain),
    )


@pytest.fixture
def storage(target: Target) -> Storage:
    return target.open()


@pytest.fixture
def vault(target: Target) -> Storage:
    """A storage on a target that keeps locks."""
    return target.locking()


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


def release(root: Path) -> None:
    """Takes the immutable attribute from what a test locked, or nobody could remove it."""
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                local_lock.release(stream.fileno())


def seed_shelf(shelf: Shelf, keys: list[str]) -> None:
    for key in keys:
        MemoryStorage("t", shelf).plant(key, b"x")
