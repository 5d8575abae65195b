"""What alerts are sent to: an SMTP server and a webhook on 127.0.0.1 that keep what they get."""

from __future__ import annotations

import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.support.ports import free_port

PASSWORD = "correct-horse-battery-staple"


class Mailbox:
    """Keeps what it is sent; ``refusing`` answers every message with a refusal."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.refusing = False
        self.port = free_port()

    @property
    def connection(self) -> str:
        """What ``AIRFLOW_CONN_RLG_ALERT_SMTP`` must hold."""
        extra = {"disable_ssl": True, "disable_tls": True, "timeout": 5, "retry_limit": 1}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra})

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        if self.refusing:
            return f"554 refused, {PASSWORD}"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append(message)
        return "250 kept"


@contextmanager
def serve_mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


class Hook(ThreadingHTTPServer):
    """Keeps the requests that reach it, and answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, Any]] = []
        self.status, self.answer = 204, b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def connection(self) -> str:
        """What ``AIRFLOW_CONN_RLG_ALERT_WEBHOOK`` must hold."""
        place = {"host": f"{self.url}/alerts/here", "login": "rlg", "password": PASSWORD}
        return json.dumps({"conn_type": "http", **place})


@contextmanager
def serve_hook() -> Iterator[Hook]:
    server = Hook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:  # http.server's name
        hook = cast(Hook, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hook.requests.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(hook.status)
        self.send_header("Content-Length", str(len(hook.answer)))
        self.end_headers()
        self.wfile.write(hook.answer)

    def log_message(self, *_: object) -> None:
        """Says nothing on standard error."""
