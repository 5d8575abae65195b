"""An S3 object as a stream that survives broken connections."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import StorageUnavailable
from rlg_backup.storage import faults
from rlg_backup.storage.s3_bucket import Bucket, answer, quoted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 20  # the default is 8 KiB
_TRIES = 4  # connections in a row that may yield nothing
_log = logging.getLogger(__name__)


class ObjectStream(io.RawIOBase):
    """The bytes of an object, or ``length`` of them from ``start``, read once and forward.

    A connection that breaks is followed by another one from that byte on, for the same version of the
    object (If-Match); a version replaced in between is ObjectDamaged. After several connections that
    yield nothing, StorageUnavailable. The checksum the target keeps is compared by the SDK when a
    whole object came through one connection.
    """

    def __init__(self, bucket: Bucket, key: str, start: int = 0, length: int | None = None) -> None:
        self._bucket, self._key, self._at = bucket, key, start
        self._wanted = None if length is None else start + length
        self._body: Any = None  # botocore's StreamingBody
        self._tag: str | None = None
        self._tries = 0
        self._whole = start == 0 and length is None
        self._connect()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while self._at < self._end:
            block = self._next(min(len(view), self._end - self._at))
            if block:
                view[: len(block)] = block
                self._at += len(block)
                self._tries = 0
                return len(block)
            self._resume()
        if self._whole:
            self._whole = False
            with self._bucket.errors("read", self._key):
                self._body.read(1)  # past the end: there the SDK compares the checksum
        return 0

    def readall(self) -> bytes:
        blocks = []
        while block := self.read(_BLOCK):
            blocks.append(block)
        return b"".join(blocks)

    def close(self) -> None:
        if not self.closed and self._body is not None:
            self._body.close()
        super().close()

    def _next(self, count: int) -> bytes:
        try:
            with self._bucket.errors("read", self._key):
                return bytes(self._body.read(count))
        except StorageUnavailable as error:
            _log.info("%s; taking it up at byte %d", error, self._at)
            return b""

    def _resume(self) -> None:
        self._tries += 1
        if self._tries >= _TRIES:
            cause = f"target '{self._bucket.target}' broke off {_TRIES} times at byte {self._at}"
            raise StorageUnavailable("read", self._key, cause)
        self._body.close()
        self._connect()

    def _connect(self) -> None:
        options: dict[str, Any] = {}
        if self._at or self._wanted is not None:
            last = "" if self._wanted is None else self._wanted - 1
            options["Range"] = f"bytes={self._at}-{last}"
        if self._tag is not None:
            options["IfMatch"] = quoted(self._tag)
        client = self._bucket.client
        with self._bucket.errors("read", self._key):
            try:
                response: Any = client.get_object(**self._bucket.address(self._key), **options)
            except client.exceptions.ClientError as error:
                if answer(error)[0] == 416 and self._wanted is not None:
                    raise faults.too_short(self._key, self._at, self._wanted - self._at) from None
                raise
        self._body = response["Body"]
        given = re.match(r"bytes (\d+)-", response.get("ContentRange", "bytes 0-"))
        if given is None or int(given[1]) != self._at:
            raise StorageUnavailable("read", self._key, f"target '{self._bucket.target}' answered with another range")
        end = self._at + response["ContentLength"]
        if self._wanted is not None and end < self._wanted:
            raise faults.too_short(self._key, self._at, self._wanted - self._at)
        if self._tag is None:
            self._tag, self._end = response["ETag"].strip('"'), min(end, self._wanted or end)
            self.info = self._bucket.info(self._key, self._end - self._at, response)
