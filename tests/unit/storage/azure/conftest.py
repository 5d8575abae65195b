"""The Azure emulator and containers of it for the tests of the driver's own ways."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure_server import AzureServer

from rlg_backup.storage.azure import AzureStorage

MIB = 1 << 20


@pytest.fixture(scope="session")
def server() -> Iterator[AzureServer]:
    with AzureServer() as server:
        yield server


@pytest.fixture
def container(server: AzureServer) -> Iterator[str]:
    name = f"container-{uuid.uuid4()}"
    server.make_container(name)
    yield name
    server.order()
    server.run_clock_ahead(0)


@pytest.fixture
def client(server: AzureServer, container: str) -> Any:
    """The SDK's client of the container."""
    return server.client().get_container_client(container)


@pytest.fixture
def storage(server: AzureServer, container: str) -> AzureStorage:
    return AzureStorage("cloud", server.client(), container, "p", part_size=5 * MIB, emulator=True)


@pytest.fixture
def impatient(server: AzureServer, container: str) -> AzureStorage:
    """The same target through a client that asks once."""
    return AzureStorage("cloud", server.client(attempts=1), container, "p", part_size=5 * MIB, emulator=True)


@pytest.fixture
def made(server: AzureServer) -> Iterator[Callable[..., AzureStorage]]:
    """Makes a container of the kind asked for, and a storage on it; more of them with its name."""

    def make(name: str | None = None, *, options: dict[str, Any] | None = None, **kind: bool) -> AzureStorage:
        if name is None:
            name = f"container-{uuid.uuid4()}"
            server.make_container(name, **kind)
        storage = AzureStorage("cloud", server.client(), name, "p", emulator=True, **(options or {}))
        storage.made_in = name
        return storage

    yield make
    server.order()


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    """A file of four parts, and its SHA-256."""
    data = b"".join(hashlib.sha256(bytes([i])).digest() * 32768 for i in range(17))
    path = tmp_path / "large"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()
