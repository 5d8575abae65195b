"""A GCS object as a stream that survives broken connections."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from rlg_backup.core.errors import StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults
from rlg_backup.storage.forward import ForwardStream
from rlg_backup.storage.gcs_bucket import TIERS, Bucket, Crc32c, cut_off
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from requests import Response

_HEAD = {"Content-Length", "Date", "X-Goog-Generation", "X-Goog-Hash"}  # what an object never comes without

_PIECE = 64 * 1024  # bytes; larger ones are new memory from the system each time, a third more processor time


class ObjectStream(ForwardStream):
    """A whole object is compared with the CRC32C that the target keeps of it, over however many connections it came.

    The SDK's own reader (``Blob.open``) makes a request of each 40 MiB, holds as much, and compares nothing.
    """

    def __init__(self, bucket: Bucket, key: str, start: int = 0, length: int | None = None) -> None:
        self._bucket, self._sum = bucket, Crc32c()
        self._answer: Response | None = None
        super().__init__(bucket.target, key, start, length)

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        super().close()

    def _connect(self) -> None:
        if self._answer is not None:
            self._answer.close()
        with self._bucket.errors("read", self._key):
            answer = self._bucket.persist(self._ask)
        self._answer = answer
        if answer.status_code == 416:
            wanted = self._at if self._wanted is None else self._wanted
            raise faults.too_short(self._key, self._at, wanted - self._at)
        given = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", "bytes 0-"))
        if given is None or int(given[1]) != self._at:
            raise StorageUnavailable("read", self._key, f"target '{self._target}' answered with another range")
        end = self._reached(self._at + int(answer.headers["Content-Length"]))
        if not self._end:
            self._end = end
            self.info = _info(self._key, end - self._at, answer.headers)
            self._stated = dict(re.findall(r"(\w+)=([^,\s]+)", answer.headers.get("X-Goog-Hash", ""))).get("crc32c")

    def _ask(self) -> Response:
        # ifGenerationMatch: a version that came in between is refused with 412, never mixed in.
        url = f"{self._bucket.client.api_endpoint}/download/storage/v1{self._bucket.blob(self._key).path}?alt=media"
        if self._end:
            url += f"&ifGenerationMatch={self.info.tag}"
        headers = {"Accept-Encoding": "identity", **_customer_key(self._bucket.customer_key)}
        if self._at or self._wanted is not None:
            headers["Range"] = f"bytes={self._at}-{'' if self._wanted is None else self._wanted - 1}"
        answer = self._bucket.request("GET", url, 200, 206, 416, headers=headers, stream=True)
        needed = {206: {*_HEAD, "Content-Range"}, 416: set()}.get(answer.status_code, _HEAD)
        if not all(name in answer.headers for name in needed):
            answer.close()
            raise cut_off()
        return answer

    def _take(self, count: int) -> bytes:
        assert self._answer is not None
        with self._bucket.errors("read", self._key):
            block = bytes(self._answer.raw.read(min(count, _PIECE)))
        self._sum.update(block)
        return block

    def _compare(self) -> None:
        if self._stated != self._sum.text:
            raise self._bucket.corrupt("read", self._key)


def _info(key: str, size: int, headers: Mapping[str, str]) -> ObjectInfo:
    modified = parsedate_to_datetime(headers.get("Last-Modified") or headers["Date"])
    tier = TIERS.get(headers.get("X-Goog-Storage-Class", ""), Tier.HOT)
    return ObjectInfo(key, size, headers["X-Goog-Generation"], modified.astimezone(UTC), tier)


def _customer_key(key: bytes | None) -> dict[str, str]:
    """Headers of "Customer-supplied encryption keys"."""
    if key is None:
        return {}
    texts = [base64.b64encode(part).decode() for part in (key, hashlib.sha256(key).digest())]
    return {
        "X-Goog-Encryption-Algorithm": "AES256",
        "X-Goog-Encryption-Key": texts[0],
        "X-Goog-Encryption-Key-Sha256": texts[1],
    }
