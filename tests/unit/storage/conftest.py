"""The S3 emulator and a bucket of it for the tests of the driver's own ways."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.support.s3_server import S3Server


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
