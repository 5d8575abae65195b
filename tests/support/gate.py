"""A gate in front of a server: it lets connections through, holds chosen requests, or is shut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

from tests.support.ports import free_port

PIECE = 1 << 16


class Gate:
    """Listens on 127.0.0.1 and passes on to ``port``.

    While ``holding``, a request whose first bytes hold every word of ``words`` waits where it is, and is in ``held``,
    until ``release``: its client is in the middle of it for as long as a test needs. ``shut`` refuses connections.
    """

    def __init__(self, port: int, *words: bytes) -> None:
        self._behind, self._words = port, words
        self.port = free_port()
        self.holding = False
        self.held: list[threading.Event] = []
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Connections that are there stay."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
            self._listener.close()
            self._listener = None

    def release(self) -> None:
        """Everything that is held goes on; nothing more is held."""
        self.holding = False
        for event in self.held:
            event.set()
        self.held = []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self.release()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # shut
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._behind))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):  # either side went away
            while piece := one.recv(PIECE):
                if self.holding and self._words and all(word in piece for word in self._words):
                    event = threading.Event()
                    self.held.append(event)
                    event.wait()
                other.sendall(piece)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
