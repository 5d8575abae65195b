"""SHA-256 as S3 keeps it: of an object's bytes, or, for an upload in parts, of the digests of its parts.

Amazon S3 User Guide, "Checking object integrity in Amazon S3": the second kind, composite, ends in "-" and the
number of parts. The SDK compares the first kind only, and only when all came through one connection.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from rlg_backup.storage.s3_bucket import PART_SIZE


def checksum(data: bytes) -> str:
    """SHA-256 as S3 writes it: base64."""
    return _text(hashlib.sha256(data))


class WholeChecksum:
    """Fed with an object's bytes, in order, tells at the end whether they are those the target keeps."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        """From an answer of GetObject; of an object that keeps no SHA-256 everything matches."""
        self._expected, _, parts = response.get("ChecksumSHA256", "").partition("-")
        part_size = response.get("Metadata", {}).get(PART_SIZE, "")
        if parts and not part_size.isdecimal():
            self._expected = ""  # made by somebody else: where its parts end is not known
        self._part_size = int(part_size) if parts and self._expected else 0
        self._part, self._digests = hashlib.sha256(), hashlib.sha256()
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
        self._part, self._room = hashlib.sha256(), self._part_size


def _text(digest: hashlib._Hash) -> str:
    return base64.b64encode(digest.digest()).decode("ascii")
