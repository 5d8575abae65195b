"""Checksums as S3 keeps them: of an object's bytes, or, for an upload in parts, of the checksums of its parts.

Amazon S3 User Guide, "Checking object integrity in Amazon S3": the second kind, composite, ends in "-" and the
number of parts. The SDK compares the first kind only, and only when all came through one connection.
What one request makes is kept with its SHA-256, and so are the parts of a copy; a part that is sent, with its CRC-32.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from rlg_backup.storage.s3_bucket import PART_SIZE

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

WHOLE: Final = "SHA256"
PART: Final = "CRC32"


class _Digest(Protocol):
    def update(self, data: ReadableBuffer, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    """As ``hashlib`` has digests."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: ReadableBuffer, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_DIGESTS: Mapping[str, Callable[[], _Digest]] = {WHOLE: hashlib.sha256, PART: _Crc32}


def checksum(data: bytes, kind: str) -> dict[str, str]:
    """The checksum as a field of a request."""
    digest = _DIGESTS[kind]()
    digest.update(data)
    return {f"Checksum{kind}": _text(digest)}


class WholeChecksum:
    """Fed with an object's bytes, in order, tells at the end whether they are those the target keeps."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        """From an answer of GetObject; of an object that keeps no checksum of ours everything matches."""
        kind = next((kind for kind in _DIGESTS if response.get(f"Checksum{kind}")), WHOLE)
        self._new = _DIGESTS[kind]
        self._expected, _, parts = response.get(f"Checksum{kind}", "").partition("-")
        part_size = response.get("Metadata", {}).get(PART_SIZE, "")
        if parts and not part_size.isdecimal():
            self._expected = ""  # made by somebody else: where its parts end is not known
        self._part_size = int(part_size) if parts and self._expected else 0
        self._part, self._digests = self._new(), self._new()
        self._room = self._part_size

    def update(self, data: bytes) -> None:
        if not self._expected:
            return
        view = memoryview(data)
        while self._part_size and len(view) >= self._room:
            self._part.update(view[: self._room])
            view = view[self._room :]
            self._next_part()
        self._part.update(view)
        self._room -= len(view)

    def matches(self) -> bool:
        if self._part_size and self._room < self._part_size:
            self._next_part()
        whole = self._digests if self._part_size else self._part
        return not self._expected or _text(whole) == self._expected

    def _next_part(self) -> None:
        self._digests.update(self._part.digest())
        self._part, self._room = self._new(), self._part_size


def _text(digest: _Digest) -> str:
    return base64.b64encode(digest.digest()).decode("ascii")
