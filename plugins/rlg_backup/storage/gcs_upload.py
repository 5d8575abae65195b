"""Resumable upload: the bytes in one long request, nothing visible before a second, short one.

Why not in parallel, as the SDK's transfer_manager does it over the XML API: its completion takes no precondition
("XML API multipart uploads": it overwrites what has the name), so that two writers could overwrite each other. The
other way, parts composed into one ("Parallel composite uploads"), leaves parts to be deleted, which a worker that
may not delete cannot, nor anybody where the bucket retains them; soft delete keeps and bills each for a week.
Why not the SDK's own resumable upload: it ends by itself, before a digest could be compared, and holds 100 MiB.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import StorageError, StorageUnavailable
from rlg_backup.storage import faults
from rlg_backup.storage.gcs_bucket import Bucket, Crc32c
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.port import Progress

if TYPE_CHECKING:
    from google.cloud.storage import Blob
    from requests import Response

CONTENT_TYPE = "application/octet-stream"
_QUANTUM = 256 * 1024  # bytes; what goes before the last request is a multiple of it: "Resumable uploads"
_BLOCK = 1 << 20
_TRIES = 4  # requests in a row that may bring the target nothing
_CANCELLED = 499
_log = logging.getLogger(__name__)


@dataclass
class Resumable:
    """One upload of one file. What a broken request did not bring is read from the file again."""

    bucket: Bucket
    key: str
    blob: Blob
    source: PromisedFile
    generation: int  # of the object it takes the place of; 0 for none
    progress: Progress | None
    _url: str = field(init=False, default="")
    _at: int = field(init=False, default=0)  # how many bytes the target is known to have
    _crc32c: Crc32c = field(init=False, default_factory=Crc32c)

    def run(self) -> Mapping[str, Any]:
        """Send everything, compare the digest before the last request, end on condition that the key has that object.

        Returns the object's resource. Raises the SDK's errors, and ours; either way the upload is cancelled.
        """
        self._url = self.blob.create_resumable_upload_session(
            CONTENT_TYPE, self.source.size, if_generation_match=self.generation, checksum=None, **self.bucket.calls
        )
        try:
            return self._send_all()
        except BaseException:
            self._cancel()
            raise

    def _send_all(self) -> Mapping[str, Any]:
        size = self.source.size
        self._send((size - 1) // _QUANTUM * _QUANTUM, "*", {})
        for _ in self._fresh(size):  # read and hashed; sent below
            pass
        self.source.verify()
        resource = self._send(size, str(size), {"X-Goog-Hash": f"crc32c={self._crc32c.text}"})
        if resource is None:
            raise StorageUnavailable("store", self.key, f"target '{self.bucket.target}' left the upload open")
        if resource.get("crc32c", self._crc32c.text) != self._crc32c.text:  # with a customer's key it is not told
            raise self.bucket.corrupt("store", self.key)
        return resource

    def _send(self, stop: int, total: str, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Until the target has what comes before byte ``stop``; the object's resource if that was all of it.

        A request that brings it something may take hours and break: the patience begins anew.
        """
        began, pauses = time.monotonic(), self.bucket.pauses()
        while True:
            before, failure = self._at, None
            try:
                resource = self._attempt(stop, total, headers)
            except StorageUnavailable as error:
                _log.info("%s; asking how far it came", error)
                resource, failure = self._ask(total), error
            if resource is not None or (self._at == stop and total == "*"):
                return resource
            if self._at > before:
                began, pauses = time.monotonic(), self.bucket.pauses()
            elif time.monotonic() - began > self.bucket.patience:
                cause = f"target '{self.bucket.target}' takes no more of the upload"
                raise failure or StorageUnavailable("store", self.key, cause)
            else:
                time.sleep(next(pauses))

    def _attempt(self, stop: int, total: str, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
        span = f"{self._at}-{stop - 1}" if self._at < stop else "*"
        with self.bucket.errors("store", self.key):
            answer = self._put(_Body(self, self._at, stop), f"bytes {span}/{total}", headers)
            if answer.status_code != 308:
                return dict(answer.json())
        if _came(answer) < self._at:  # it says nothing, or less than before
            return self._ask(total)
        self._at = _came(answer)
        return None

    def _ask(self, total: str) -> Mapping[str, Any] | None:
        """How far did it come? The object's resource if it is there already."""
        with self.bucket.errors("store", self.key):
            answer = self.bucket.persist(lambda: self._put(b"", f"bytes */{total}", {}))
            if answer.status_code != 308:
                return dict(answer.json())
        self._at = _came(answer)
        return None

    def _put(self, body: bytes | _Body, span: str, headers: Mapping[str, str]) -> Response:
        return self.bucket.request(
            "PUT", self._url, 200, 201, 308, data=body or b"", headers={"Content-Range": span, **headers}
        )

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """The file from one byte to another, what was read before from the file again."""
        while start < min(stop, self.source.position):
            block = self.source.again(start, min(_BLOCK, stop - start))
            start += len(block)
            yield block
        yield from self._fresh(stop)

    def _fresh(self, stop: int) -> Iterator[bytes]:
        while self.source.position < stop:
            block = self.source.read(min(_BLOCK, stop - self.source.position))
            if not block:  # it became shorter: it cannot be what was promised
                raise faults.not_as_promised("store", self.key)
            self._crc32c.update(block)
            if self.progress:
                self.progress(len(block))
            yield block

    def _cancel(self) -> None:
        try:
            with self.bucket.errors("cancel", self.key):
                self.bucket.request("DELETE", self._url, _CANCELLED, 200, 204, 404, 410)
        except StorageError as error:
            # The first error is the one to report; the target drops the upload within a week.
            _log.warning("%s", error)


@dataclass(frozen=True)
class _Body:
    """What a request sends, read as it is sent; its length is known, so that it goes without chunks."""

    upload: Resumable
    start: int
    stop: int

    def __iter__(self) -> Iterator[bytes]:
        return self.upload.blocks(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


def _came(answer: Response) -> int:
    """How many bytes the target says it has; 0 where it says nothing."""
    span = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
    return int(span[1]) + 1 if span else 0
