"""The GCS emulator and a bucket of it for the tests of the driver's own ways."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gcs_server import GcsServer

from rlg_backup.storage.gcs import GcsStorage

SINGLE = 1 << 20


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    with GcsServer() as server:
        yield server


@pytest.fixture
def bucket(gcs_server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Keeps versions and locks. Waits between tries are short."""
    monkeypatch.setattr("rlg_backup.storage.gcs_bucket._FIRST_WAIT", 0.02)
    name = f"bucket-{uuid.uuid4()}"
    gcs_server.make_bucket(name)
    yield name
    gcs_server.order()
    gcs_server.run_clock_ahead(0)


@pytest.fixture
def client(gcs_server: GcsServer) -> Any:
    return gcs_server.client()


@pytest.fixture
def storage(client: Any, bucket: str) -> GcsStorage:
    return GcsStorage("cloud", client, bucket, "p", single=SINGLE, patience=20, emulator=True)


@pytest.fixture
def impatient(client: Any, bucket: str) -> GcsStorage:
    """The same target, asked for a moment only."""
    return GcsStorage("cloud", client, bucket, "p", single=SINGLE, patience=0.01, emulator=True)


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    """A file that does not go in one request, and its SHA-256."""
    data = b"".join(hashlib.sha256(bytes([i])).digest() * 8192 for i in range(17))
    path = tmp_path / "large"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()
