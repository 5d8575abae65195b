"""A line that gives each connection so many bytes a second towards the server, as one to another continent does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

_BLOCK = 1 << 16


@contextmanager
def bounded(url: str, rate: float) -> Iterator[str]:
    """Another address of the server at ``url``, on 127.0.0.1, of ``rate`` bytes a second for each connection; the same
    one where there is no bound."""
    if not rate:
        yield url
        return
    there = urlsplit(url)
    assert there.hostname and there.port
    address = (there.hostname, there.port)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, address, rate), daemon=True).start()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        yield urlunsplit(there._replace(netloc=place))
        listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts


def _accept(listener: socket.socket, address: tuple[str, int], rate: float) -> None:
    with suppress(OSError):  # closed: the measurement is over
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(address)
            for ends in ((client, server, rate), (server, client, None)):
                threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(taken: socket.socket, given: socket.socket, rate: float | None) -> None:
    due = time.monotonic()
    with suppress(OSError):  # one end is gone: so the other has to go
        while block := taken.recv(_BLOCK):
            given.sendall(block)
            if rate:
                due = max(due, time.monotonic() - 0.2) + len(block) / rate
                time.sleep(max(0.0, due - time.monotonic()))
    for end in (taken, given):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
