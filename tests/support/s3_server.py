"""An S3 emulator for tests: moto in a process of its own, on 127.0.0.1 and a free port.

moto checks a condition and stores in two steps, leaves out some of what Amazon documents, and never fails. Here one
request writes at a time, s3_rules.py says the rest, and tests order faults: see ``Fault``.
"""

from __future__ import annotations

import http.client
import io
import json
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the tests' folders are no packages everywhere
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.emulator import Emulator

FAULTS, SEED, THAW = "/-/faults", "/-/seed", "/-/thaw"
_BODY = "<?xml version='1.0'?><Error><Code>{}</Code><Message>ordered by a test</Message></Error>"


@dataclass(frozen=True)
class Fault:
    """What the next ``times`` requests meet whose method is ``method`` and whose path and query hold ``match``.

    ``status`` and ``code``: the request is not carried out and answered so. ``status=0``: it is carried
    out, and the connection is cut after ``cut`` bytes of the answer's body (-1: before any answer), or, with
    ``flip`` set, the answer comes whole with one bit of the byte at ``flip`` changed.
    """

    method: str
    match: str
    times: int = 1
    status: int = 0
    code: str = ""
    cut: int = -1
    flip: int = -1


class S3Server(Emulator):
    """The emulator's process."""

    name = "S3"
    script = Path(__file__).resolve()
    talks = True

    def listening(self, ports: list[int]) -> None:
        (self.port,) = ports
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, *, attempts: int = 3, read_timeout: float = 20) -> Any:
        """A boto3 client with made-up credentials; ``attempts`` counts the first."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                read_timeout=read_timeout,
                s3={"addressing_style": "path"},
            ),
        )

    def order(self, *faults: Fault) -> None:
        """Replace the faults that are still to come; none of them: no faults."""
        self._post(FAULTS, [asdict(fault) for fault in faults])

    def seed(self, bucket: str, keys: list[str]) -> None:
        """Make many one-byte objects at once, past the protocol: for tests of listing."""
        self._post(SEED, [bucket, keys])

    def thaw(self, bucket: str) -> None:
        """What takes Amazon hours: the restores under way in a bucket are done."""
        self._post(THAW, bucket)

    def _post(self, path: str, document: object) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", path, json.dumps(document))
        assert connection.getresponse().status == 204
        connection.close()


class _Faulty:
    """WSGI: the faults in front of moto."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], rules: Any, keys: Any) -> None:
        self._inner, self._rules, self._keys = inner, rules, keys
        self._writing, self._deciding = threading.Lock(), threading.Lock()
        self._faults: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"] in (FAULTS, SEED, THAW):
            self._control(environ["PATH_INFO"], json.loads(body))
            start("204 No Content", [])
            return []
        environ["wsgi.input"] = io.BytesIO(body)
        fault = self._due(environ)
        if fault and fault["status"]:
            return _refuse(start, f"{fault['status']} Ordered", fault["code"])
        if refusal := self._keys.refuse(environ):
            return _refuse(start, *refusal)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            answer: Iterable[bytes] = self._inner(environ, start)
        else:
            if refusal := self._rules.check_body(environ, body):
                return _refuse(start, *refusal)
            with self._writing:
                if refusal := self._rules.check(environ, body):
                    return _refuse(start, *refusal)
                answer = list(self._inner(environ, start))
                self._rules.finish(environ, b"".join(answer))
                self._keys.finish(environ)
        if fault is None:
            return answer
        if fault["flip"] >= 0:
            return _flipped(answer, fault["flip"])
        return _cut(answer, fault["cut"], environ["werkzeug.socket"])

    def _control(self, path: str, document: Any) -> None:
        if path == FAULTS:
            self._faults = document
        elif path == THAW:
            self._rules.thaw(document)
        else:
            self._rules.seed(*document)

    def _due(self, environ: dict[str, Any]) -> dict[str, Any] | None:
        place = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        with self._deciding:
            for fault in self._faults:
                if fault["times"] and fault["method"] == environ["REQUEST_METHOD"] and fault["match"] in place:
                    fault["times"] -= 1
                    return fault
        return None


def _refuse(start: Callable[..., Any], status: str, code: str) -> list[bytes]:
    body = _BODY.format(code).encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _cut(answer: Iterable[bytes], after: int, connection: Any) -> Iterable[bytes]:
    import socket

    for block in answer if after >= 0 else ():
        yield block[:after]
        after -= len(block[:after])
        if after == 0:
            break
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _flipped(answer: Iterable[bytes], at: int) -> list[bytes]:
    body = bytearray(b"".join(answer))
    body[at] ^= 1
    return [bytes(body)]


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    import os

    os._exit(0)


def _serve() -> None:
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from s3_customer_keys import CustomerKeys
    from s3_rules import Rules  # beside this file, whose folder is where the process looks first
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").disabled = True
    application = _Faulty(DomainDispatcherApplication(create_backend_app), Rules(), CustomerKeys())
    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve()
