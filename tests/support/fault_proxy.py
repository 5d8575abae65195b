"""A line between a storage driver and its emulator that goes wrong on order.

A TCP proxy on 127.0.0.1 that understands just enough of HTTP/1.1 to know where messages end. It counts the requests
of the test, and does to the n-th what the test says. A test that plants a fault must also look at ``met``.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO, Self
from urllib.parse import urlsplit, urlunsplit

_BLOCK = 1 << 16


class Trouble(StrEnum):
    """What happens to a request. Of the first five the server behind learns nothing."""

    RESET = "reset"  # the connection, once the head of the request is there
    RESET_IN_REQUEST = "reset in the middle of the request's body"
    FAIL = "fail"  # 500
    SLOW_DOWN = "slow down"  # 503
    SLOW_DOWN_FOR = "slow down for a second"  # 503 with Retry-After
    RESET_IN_ANSWER = "reset in the middle of the answer's body"
    TRUNCATE = "truncate the answer's body"  # by an orderly end of the connection
    TRUNCATE_HEAD = "truncate the answer's head"  # likewise
    FLIP = "flip a bit of the answer's body"
    LOSE_ANSWER = "lose the answer"  # the server has done the work
    HOLD_BACK = "hold back the answer"  # until the test is over


UNSERVED = (Trouble.RESET, Trouble.RESET_IN_REQUEST, Trouble.FAIL, Trouble.SLOW_DOWN, Trouble.SLOW_DOWN_FOR)


@dataclass(frozen=True)
class Refusals:
    """How a service words an answer of 500, and one of 503: content type and body."""

    content_type: str
    failed: str
    slow_down: str


@dataclass
class _Message:
    """A request or an answer. ``size`` is that of its body; ``body`` may still be on its way."""

    first: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def head(self, **changed: str) -> bytes:
        names = {name.replace("_", "-").lower(): value for name, value in changed.items()}
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        lines = [self.first, *(f"{name}: {value}" for name, value in [*kept, *names.items()] if value)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class FaultProxy:
    """Stands before the server at ``url``; ``refusals`` are in that service's words."""

    url: str
    refusals: Refusals
    requests: list[str] = field(default_factory=list)  # "METHOD path", of those since ``order``
    met: int = 0  # how often the trouble was met since then
    _trouble: Trouble | None = None
    _nth: int = 0
    _lagging: str = ""
    _old: dict[str, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()

    @property
    def address(self) -> str:
        """The server's URL, by way of this proxy."""
        place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(urlsplit(self.url)._replace(netloc=place))

    def order(self, trouble: Trouble | None = None, nth: int = 1) -> None:
        """Counts requests from now on anew; the ``nth`` of them, from 1, meets the trouble."""
        with self._lock:
            self.requests, self.met = [], 0
            self._trouble, self._nth = trouble, nth

    @contextlib.contextmanager
    def lagging(self, match: str) -> Iterator[None]:
        """Meanwhile, requests to read whose path and query hold ``match`` are answered as the first time."""
        self._lagging = match
        try:
            yield
        finally:
            self._lagging, self._old = "", {}

    # --- one connection -----------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream, contextlib.suppress(OSError):
            while request := _read_head(stream):
                if not self._answer(client, stream, request):
                    return

    def _answer(self, client: socket.socket, stream: BinaryIO, request: _Message) -> bool:
        """Whether the connection goes on."""
        trouble = self._due(request)
        if trouble is Trouble.RESET:
            return _reset(client)
        if request.header("expect"):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if trouble is Trouble.RESET_IN_REQUEST:
            stream.read(int(request.header("content-length") or 0) // 2)
            return _reset(client)
        request.body = _read_body(stream, request)
        if trouble in UNSERVED:
            client.sendall(self._refuse(request, trouble))
            return True
        answer = self._forward(request)
        if trouble is Trouble.HOLD_BACK:
            self._over.wait(60)
        if trouble in (Trouble.LOSE_ANSWER, Trouble.HOLD_BACK):
            return _reset(client)
        head, _, body = answer.partition(b"\r\n\r\n")
        if trouble in (Trouble.RESET_IN_ANSWER, Trouble.TRUNCATE, Trouble.TRUNCATE_HEAD):
            half_head = trouble is Trouble.TRUNCATE_HEAD or not body
            client.sendall(head[: len(head) // 2] if half_head else head + b"\r\n\r\n" + body[: len(body) // 2])
            return _reset(client) if trouble is Trouble.RESET_IN_ANSWER else False
        if trouble is Trouble.FLIP and body:
            at = len(body) // 2
            answer = answer[: -len(body)] + body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        client.sendall(answer)
        return True

    def _due(self, request: _Message) -> Trouble | None:
        with self._lock:
            self.requests.append(" ".join(request.first.split()[:2]))
            if self._trouble is None or len(self.requests) != self._nth:
                return None
            self.met += 1
            return self._trouble

    def _refuse(self, request: _Message, trouble: Trouble | None) -> bytes:
        said = self.refusals.failed if trouble is Trouble.FAIL else self.refusals.slow_down
        first = "HTTP/1.1 500 Ordered" if trouble is Trouble.FAIL else "HTTP/1.1 503 Ordered"
        headers = [("Content-Type", self.refusals.content_type), ("Content-Length", str(len(said)))]
        if trouble is Trouble.SLOW_DOWN_FOR:
            headers.append(("Retry-After", "1"))
        body = b"" if request.first.startswith("HEAD") else said.encode()
        return _Message(first, headers).head() + body

    def _forward(self, request: _Message) -> bytes:
        """The server's whole answer, with its length."""
        if self._lagging and self._lagging in request.first and request.first.startswith("GET"):
            if request.first not in self._old:
                self._old[request.first] = self._fetch(request)
            return self._old[request.first]
        return self._fetch(request)

    def _fetch(self, request: _Message) -> bytes:
        place = urlsplit(self.url)
        with socket.create_connection((place.hostname or "", place.port or 0)) as server:
            size = str(len(request.body)) if request.body or request.header("content-length") else ""
            server.sendall(request.head(connection="close", expect="", transfer_encoding="", content_length=size))
            server.sendall(request.body)
            with server.makefile("rb") as stream:
                answer = _read_head(stream)
                while answer and answer.first.split()[1] == "100":
                    answer = _read_head(stream)
                if answer is None:
                    raise ConnectionResetError
                bodiless = request.first.startswith("HEAD") or answer.first.split()[1] in ("204", "304")
                body = b"" if bodiless else _read_body(stream, answer, to_end=True)
        length = answer.header("content-length") if bodiless else str(len(body))
        return answer.head(connection="keep-alive", transfer_encoding="", content_length=length) + body


def _reset(client: socket.socket) -> bool:
    """Breaks a connection off as a router does: the other side is told, and what was sent may be lost."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return False


def _read_head(stream: BinaryIO) -> _Message | None:
    first = stream.readline().decode("latin-1").rstrip("\r\n")
    if not first:
        return None
    headers = []
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return _Message(first, headers)


def _read_body(stream: BinaryIO, message: _Message, *, to_end: bool = False) -> bytes:
    if message.header("transfer-encoding").lower() == "chunked":
        return b"".join(_chunks(stream))
    length = message.header("content-length")
    return stream.read(int(length)) if length else stream.read() if to_end else b""


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := int(stream.readline().split(b";")[0], 16):
        yield stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass  # trailers
