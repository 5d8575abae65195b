"""An S3 object as a stream that survives broken connections."""

from __future__ import annotations

import re
from typing import Any

from rlg_backup.core.errors import StorageUnavailable
from rlg_backup.storage import faults
from rlg_backup.storage.forward import ForwardStream
from rlg_backup.storage.s3_bucket import Bucket, answer, differs, quoted
from rlg_backup.storage.s3_checksum import WholeChecksum


class ObjectStream(ForwardStream):
    """The bytes of an object, or ``length`` of them from ``start``, read once and forward.

    Every connection asks for the same version (If-Match). Of an object read whole, the checksum that the target
    keeps is compared at the end; the SDK compares that of an object without parts too, or another one that others
    made, where it all came through one connection.
    """

    def __init__(self, bucket: Bucket, key: str, start: int = 0, length: int | None = None) -> None:
        self._bucket = bucket
        self._body: Any = None  # botocore's StreamingBody
        self._tag: str | None = None
        self._checksum: WholeChecksum | None = None
        super().__init__(bucket.target, key, start, length)

    def close(self) -> None:
        if not self.closed and self._body is not None:
            self._body.close()
        super().close()

    def _take(self, count: int) -> bytes:
        with self._bucket.errors("read", self._key):
            block = bytes(self._body.read(count))
        if self._checksum:
            self._checksum.update(block)
        return block

    def _compare(self) -> None:
        with self._bucket.errors("read", self._key):
            self._body.read(1)  # past the end: there the SDK compares
        if self._checksum and not self._checksum.matches():
            raise differs(self._key, self._bucket.target)

    def _get(self, options: dict[str, Any]) -> Any:
        return self._bucket.client.get_object(**self._bucket.address(self._key), **self._bucket.with_key(), **options)

    def _connect(self) -> None:
        if self._body is not None:
            self._body.close()
        options: dict[str, Any] = {}
        if self._at or self._wanted is not None:
            last = "" if self._wanted is None else self._wanted - 1
            options["Range"] = f"bytes={self._at}-{last}"
        if self._tag is not None:
            options["IfMatch"] = quoted(self._tag)
        client = self._bucket.client
        with self._bucket.errors("read", self._key):
            try:
                response: Any = self._bucket.ask("read", self._key, lambda: self._get(options), "ContentLength", "ETag")
            except client.exceptions.ClientError as error:
                if answer(error)[0] == 416 and self._wanted is not None:
                    raise faults.too_short(self._key, self._at, self._wanted - self._at) from None
                raise
        self._body = response["Body"]
        given = re.match(r"bytes (\d+)-", response.get("ContentRange", "bytes 0-"))
        if given is None or int(given[1]) != self._at:
            raise StorageUnavailable("read", self._key, f"target '{self._bucket.target}' answered with another range")
        end = self._reached(self._at + response["ContentLength"])
        if self._tag is None:
            self._tag, self._end = response["ETag"].strip('"'), end
            self.info = self._bucket.info(self._key, end - self._at, response)
            self._checksum = WholeChecksum(response) if self._whole else None
