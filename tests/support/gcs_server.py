"""A Cloud Storage emulator for tests, in a process of its own: gcs_service.py. Tests order faults: see ``Fault``."""

from __future__ import annotations

import http.client
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.emulator import Emulator

_CONTROL = "/-/"


@dataclass(frozen=True)
class Fault:
    """What the next ``times`` requests meet whose method is ``method`` and whose path and query hold ``match``.

    ``status`` and ``reason``: the request is not carried out and answered so. ``status=0``: it is carried out,
    and the connection is cut after ``cut`` bytes of the answer's body (-1: before any answer), or, with
    ``flip`` set, the answer comes whole with one bit of the byte at ``flip`` changed. ``take`` set: the
    connection is cut once that many bytes of the request's body came. ``skip`` requests are spared first, once the
    faults before are over.
    """

    method: str
    match: str
    times: int = 1
    status: int = 0
    reason: str = ""
    cut: int = -1
    flip: int = -1
    take: int = -1
    skip: int = 0


class GcsServer(Emulator):
    """The emulator's process."""

    name = "GCS"
    script = Path(__file__).with_name("gcs_service.py")

    def listening(self, ports: list[int]) -> None:
        (self.port,) = ports
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """The SDK's client, without credentials."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        return Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url})

    def make_bucket(self, name: str, *, retention: bool = True, **resource: Any) -> None:
        """A bucket whose objects can be retained, that keeps versions and no soft-deleted copies, unless told."""
        plain = {"versioning": {"enabled": True}, "softDeletePolicy": {"retentionDurationSeconds": "0"}}
        self._post(f"/storage/v1/b?enableObjectRetention={str(retention).lower()}", plain | {"name": name} | resource)

    def order(self, *faults: Fault) -> None:
        """Replace the faults that are still to come; none of them: no faults."""
        self._post(_CONTROL + "faults", [asdict(fault) for fault in faults])

    def seed(self, bucket: str, keys: list[str]) -> None:
        """Make many one-byte objects at once, past the protocol: for tests of listing."""
        self._post(_CONTROL + "seed", [bucket, keys])

    def deny(self, bucket: str, *permissions: str) -> None:
        """Take permissions from every caller; those taken before are given back."""
        self._post(_CONTROL + "deny", [bucket, list(permissions)])

    def open_uploads(self, bucket: str) -> int:
        """Resumable uploads that were neither ended nor cancelled."""
        return int(self._post(_CONTROL + "uploads", bucket))

    def run_clock_ahead(self, seconds: float) -> None:
        """What the answers' Date is ahead of this machine's clock."""
        self._post(_CONTROL + "clock", seconds)

    def _post(self, path: str, document: object) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", path, json.dumps(document))
        answered = connection.getresponse()
        said = json.loads(answered.read())
        assert answered.status == 200, said
        connection.close()
        return said
