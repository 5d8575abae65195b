"""The S3 emulator, started once for the tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.s3_server import S3Server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server
