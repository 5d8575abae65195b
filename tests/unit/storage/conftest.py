"""The S3 emulator and a bucket of it for the tests of the driver's own ways."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.s3_server import S3Server

from rlg_backup.storage.s3 import S3Storage


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[str]:
    name = f"bucket-{uuid.uuid4()}"
    s3_server.client().create_bucket(Bucket=name)
    yield name
    s3_server.order()


@pytest.fixture
def client(s3_server: S3Server) -> Any:
    return s3_server.client()


@pytest.fixture
def storage(client: Any, bucket: str) -> S3Storage:
    return S3Storage("cloud", client, bucket, "p", part_size=5 * 2**20, emulator=True)


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    """A file of four parts, and its SHA-256."""
    data = b"".join(hashlib.sha256(bytes([i])).digest() * 32768 for i in range(17))
    path = tmp_path / "large"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.fixture
def impatient(s3_server: S3Server, bucket: str) -> S3Storage:
    """The same target through a client that asks once."""
    return S3Storage("cloud", s3_server.client(attempts=1), bucket, "p", part_size=5 * 2**20, emulator=True)
