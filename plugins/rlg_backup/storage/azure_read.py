"""An Azure blob as a stream that survives broken connections."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import StorageUnavailable
from rlg_backup.storage import faults
from rlg_backup.storage.azure_container import Container, kept, tier_named
from rlg_backup.storage.forward import ForwardStream
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from azure.core.pipeline.transport import HttpResponse

_STRETCH = 4 << 20  # of what the service makes an MD5 at most: "Get Blob", x-ms-range-get-content-md5


class ObjectStream(ForwardStream):
    """The bytes of a blob, or ``length`` of them from ``start``, read once and forward.

    A whole blob comes over one connection, and is compared at its end with the MD5 that was stored with it. A range, or
    a blob that has none, comes in stretches of 4 MiB, each compared with the MD5 that the service makes of it.
    Every connection asks for the same version (If-Match).

    The SDK's own reader (``download_blob``) makes a request of each 4 MiB, which takes twice as long, and where a
    connection breaks waits a second and begins again with all 4 MiB.
    """

    def __init__(self, container: Container, key: str, start: int = 0, length: int | None = None) -> None:
        self._container = container
        self._body: Any = None  # urllib3's response
        self._in_stretches = start > 0 or length is not None
        self._stretch_end = start
        super().__init__(container.target, key, start, length)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _connect(self) -> None:
        self._hang_up()
        begins = self._at == self._stretch_end  # else a stretch is taken up, whose checksum is known
        answer = self._ask(begins)
        self._body = answer.internal_response.raw
        with self._container.errors("read", self._key):
            first, end, size = _place(answer)
        if first != self._at:
            raise StorageUnavailable("read", self._key, f"target '{self._target}' answered with another range")
        if not self._end:
            self._end = self._reached(size)
            self.info = _info(self._key, self._end - self._at, answer)
        if begins:
            self._md5, self._stated = hashlib.md5(usedforsecurity=False), answer.headers.get("Content-MD5")
            self._stretch_end = end
            if size and not (self._stated or self._in_stretches):
                self._in_stretches, self._stretch_end = True, self._at
                self._connect()

    def _ask(self, begins: bool) -> HttpResponse:
        headers = {}
        if self._in_stretches:
            stop = min(self._at + _STRETCH, self._wanted or self._at + _STRETCH) if begins else self._stretch_end
            headers["x-ms-range"] = f"bytes={self._at}-{stop - 1}"
            if begins:
                headers["x-ms-range-get-content-md5"] = "true"
        elif self._at:
            headers["x-ms-range"] = f"bytes={self._at}-"
        if self._end:
            headers["If-Match"] = f'"{self.info.tag}"'
        answer = self._container.get(self._key, headers)
        if answer.status_code == 416:
            wanted = self._at if self._wanted is None else self._wanted
            raise faults.too_short(self._key, self._at, wanted - self._at)
        return answer

    def _take(self, count: int) -> bytes:
        if self._at == self._stretch_end:
            self._connect()
        with self._container.errors("read", self._key):
            block = bytes(self._body.read(min(count, self._stretch_end - self._at)))
        self._md5.update(block)
        if self._in_stretches and self._at + len(block) == self._stretch_end:
            self._compare()
        return block

    def _compare(self) -> None:
        if self._end and self._stated != base64.b64encode(self._md5.digest()).decode():
            raise self._container.corrupt(self._key)

    def _hang_up(self) -> None:
        if self._body is not None:
            self._body.close()


def _place(answer: HttpResponse) -> tuple[int, int, int]:
    """First byte of an answer, the one after its last, and the size of the blob."""
    length = int(answer.headers["Content-Length"])
    given = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    return (int(given[1]), int(given[2]) + 1, int(given[3])) if given else (0, length, length)


def _info(key: str, size: int, answer: HttpResponse) -> ObjectInfo:
    said = answer.headers
    modified = parsedate_to_datetime(said["Last-Modified"]).astimezone(UTC)
    until = said.get("x-ms-immutability-policy-until-date")
    locked = kept(parsedate_to_datetime(until) if until else None, said.get("x-ms-legal-hold") == "true")
    return ObjectInfo(key, size, said["ETag"].strip('"'), modified, tier_named(said.get("x-ms-access-tier")), locked)
