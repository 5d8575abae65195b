"""An Azure Blob emulator for tests: Azurite, from npm, behind a front that adds what Azurite lacks.

The front is a process of its own on 127.0.0.1; Azurite is its child, keeps everything in memory and ends with it.
Azurite knows no versions, no immutability policies and no soft delete, and never fails: azure_rules.py adds the first
three to containers that were made for them, as Microsoft's REST reference has them; tests order faults: see ``Fault``.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the tests' folders are no packages everywhere
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.azure_rules import Answer, Rules, refusal
from tests.support.emulator import Emulator
from tests.support.node import install, program
from tests.support.ports import free_port

ACCOUNT = "devstoreaccount1"
_CONTROL = "/-/"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date"}


@dataclass(frozen=True)
class Fault:
    """What the next ``times`` requests meet whose method is ``method`` and whose path and query hold ``match``.

    ``status`` and ``code``: the request is not carried out and answered so. ``status=0``: it is carried out,
    and the connection is cut after ``cut`` bytes of the answer's body (-1: before any answer), or, with
    ``flip`` set, the answer comes whole with one bit of the byte at ``flip`` changed. ``take`` set: it is not carried
    out, and the connection cut once that many bytes of its body came. ``spoil`` set: one bit of that byte of its body
    is changed before it is carried out. ``skip`` requests are spared first.
    """

    method: str
    match: str
    times: int = 1
    status: int = 0
    code: str = ""
    cut: int = -1
    flip: int = -1
    take: int = -1
    spoil: int = -1
    skip: int = 0


class AzureServer(Emulator):
    """Both processes. They end with ``stop`` or with the process that started them.

    With a ``certificate``, a PEM file of a key and a certificate of 127.0.0.1, the front speaks TLS.
    """

    name = "Azure"
    script = Path(__file__).resolve()

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = certificate

    def arguments(self) -> list[str]:
        return [str(self._certificate)] if self._certificate else []

    def listening(self, ports: list[int]) -> None:
        self.port, self.azurite_port = ports
        self.url = f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}/{ACCOUNT}"

    def client(self, *, attempts: int = 3, read_timeout: float = 20) -> Any:
        """The client of the command line, which does not wait between its tries; ``attempts`` counts the first."""
        from rlg_backup.storage.azure_client import azure_client

        options: Any = {"attempts": attempts, "pause": 0, "read_timeout": read_timeout, "ca_bundle": self._certificate}
        return azure_client(self.url, emulator=True, **options)

    def make_container(
        self,
        name: str,
        *,
        immutable: bool = False,
        soft_delete: bool = False,
        purge: bool = True,
        hierarchical: bool = False,
    ) -> None:
        """A container; an ``immutable`` one keeps versions, and policies of each; ``purge``: what was deleted softly
        may be deleted for good."""
        self.client().create_container(name)
        self._post("rules", [name, immutable, soft_delete, purge, hierarchical])

    def seed(self, container: str, keys: list[str]) -> None:
        """Make many one-byte objects, past the front."""
        client = self.client().get_container_client(container)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: client.upload_blob(key, b"x"), keys))

    def order(self, *faults: Fault) -> None:
        """Replace the faults that are still to come; none of them: no faults."""
        self._post("faults", [asdict(fault) for fault in faults])

    def thaw(self, container: str) -> None:
        """Ends the way out of the archive of all blobs of a container."""
        self._post("thaw", container)

    def run_clock_ahead(self, seconds: float) -> None:
        """What the answers' Date is ahead of this machine's clock."""
        self._post("clock", seconds)

    def seen(self, match: str) -> list[dict[str, str]]:
        """The headers, by names in lower case, of the last requests whose method, path and query hold ``match``."""
        found: list[dict[str, str]] = self._post("seen", match)
        return found

    def _post(self, what: str, document: object) -> Any:
        if self._certificate:
            context = ssl.create_default_context(cafile=self._certificate)
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", _CONTROL + what, json.dumps(document))
        answer = connection.getresponse()
        assert answer.status == 200
        said = json.loads(answer.read())
        connection.close()
        return said


class _Front:
    """All that requests have in common: the rules, and the faults that are still to come."""

    def __init__(self, azurite: int) -> None:
        self.azurite = azurite
        self.rules = Rules()
        self.faults: list[dict[str, Any]] = []
        self.ahead = timedelta()
        self.seen: deque[tuple[str, dict[str, str]]] = deque(maxlen=200)
        self.deciding = threading.Lock()
        self._lines = threading.local()

    def control(self, what: str, document: Any) -> Any:
        if what == "faults":
            self.faults = document
        elif what == "clock":
            self.ahead = timedelta(seconds=document)
        elif what == "thaw":
            self.rules.thaw(document, self.ask)
        elif what == "rules":
            self.rules.make(*document)
        return [headers for place, headers in self.seen if document in place] if what == "seen" else None

    def due(self, method: str, place: str) -> dict[str, Any] | None:
        with self.deciding:
            for fault in self.faults:
                if fault["method"] == method and fault["match"] in place and fault["times"]:
                    if fault["skip"]:
                        fault["skip"] -= 1
                        continue
                    fault["times"] -= 1
                    return fault
        return None

    def ask(self, method: str, place: str, headers: dict[str, str], body: bytes) -> Answer:
        """What Azurite answers; the body of a GET is not read yet."""
        line = getattr(self._lines, "line", None)
        if line is None:
            line = self._lines.line = http.client.HTTPConnection("127.0.0.1", self.azurite, timeout=60)
        try:
            line.request(method, place, body or None, headers)
            said = line.getresponse()
        except (http.client.HTTPException, OSError):
            line.close()
            raise
        passed = {name: value for name, value in said.getheaders() if name.lower() not in _HOP_BY_HOP}
        whole = said.read() if method != "GET" or "comp" in place else b""
        return Answer(said.status, passed, whole, None if method != "GET" or "comp" in place else said)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: _Front

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        place, front = self.path, self.front
        if place.startswith(_CONTROL):
            said = front.control(place.removeprefix(_CONTROL), json.loads(self.rfile.read(length)))
            self._send(Answer(200, {}, json.dumps(said).encode()), None)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        front.seen.append((f"{self.command} {place}", {name.lower(): value for name, value in headers.items()}))
        fault = front.due(self.command, place)
        if fault and fault["take"] >= 0:
            self.rfile.read(fault["take"])
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fault and fault["status"]:
            self._send(refusal(fault["status"], fault["code"]), None)
            return
        if fault and fault["spoil"] >= 0:
            body = _changed(body, fault["spoil"])
            fault = None
        answer = front.rules.carry_out(self.command, place, headers, body, front.ask)
        self._send(answer, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _send(self, answer: Answer, fault: dict[str, Any] | None) -> None:
        if fault and fault["cut"] < 0 and fault["flip"] < 0:
            answer.drain()
            self._hang_up()
            return
        self.send_response_only(answer.status)
        self.send_header("Date", format_datetime(datetime.now(UTC) + self.front.ahead, usegmt=True))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.command != "HEAD" and "content-length" not in {name.lower() for name in answer.headers}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for block in _spoiled(answer.blocks(), fault):
            self.wfile.write(block)
        if fault and fault["cut"] >= 0:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def _spoiled(blocks: Iterator[bytes], fault: dict[str, Any] | None) -> Iterator[bytes]:
    """The blocks of an answer's body, cut or changed as it was ordered."""
    at = 0
    for block in blocks:
        if fault and fault["cut"] >= 0:
            yield block[: max(0, fault["cut"] - at)]
        elif fault and at <= fault["flip"] < at + len(block):
            yield _changed(block, fault["flip"] - at)
        else:
            yield block
        at += len(block)


def _changed(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up when they like


def _azurite(port: int) -> subprocess.Popen[bytes]:
    main = install("azurite_npm") / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    options += ["--skipApiVersionCheck", "--disableTelemetry"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([program(), str(main), *options], stdin=quiet, stdout=quiet, stderr=quiet)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("Azurite did not begin to listen")


def _serve() -> None:
    port = free_port()
    child = _azurite(port)

    def end(*_: object) -> None:
        child.kill()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        _await(port, child)
        handler = type("Handler", (_Handler,), {"front": _Front(port)})
        server = _Server(("127.0.0.1", 0), handler)
        for certificate in sys.argv[1:]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_port} {port}\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()
    finally:
        end()


if __name__ == "__main__":
    _serve()
