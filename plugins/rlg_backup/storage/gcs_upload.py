"""Resumable upload: one chunk after the other, nothing visible before the last one.

Why not in parallel, as the SDK's transfer_manager does it over the XML API: its completion takes no precondition
("XML API multipart uploads": it overwrites what has the name), so that two writers could overwrite each other. The
other way, parts composed into one ("Parallel composite uploads"), leaves parts to be deleted, which a worker that
may not delete cannot, nor anybody where the bucket retains them; soft delete keeps and bills each for a week. So
one connection sends, while the next chunk is read and hashed beside it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import StorageError, StorageUnavailable
from rlg_backup.storage.gcs_bucket import Bucket, Crc32c
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.port import Progress

if TYPE_CHECKING:
    from google.cloud.storage import Blob
    from requests import Response

CONTENT_TYPE = "application/octet-stream"
QUANTUM = 256 * 1024  # chunks are multiples of it: "Resumable uploads"
_CANCELLED = 499
_PIECES = 64  # requests a chunk may take, where the target keeps a part of each
_log = logging.getLogger(__name__)


@dataclass
class Resumable:
    """One upload of one file. Two chunks of ``chunk_size`` bytes are in memory: one on its way, one being read."""

    bucket: Bucket
    key: str
    blob: Blob
    chunk_size: int
    progress: Progress | None
    _url: str = field(init=False, default="")
    _unsure: bool = field(init=False, default=False)  # whether a request broke off: how much came is to be asked

    def run(self, source: PromisedFile) -> Mapping[str, Any]:
        """Send everything, compare the digest before the last chunk, end on condition that the key is free.

        Returns the object's resource. Raises the SDK's errors, and ours; either way the upload is cancelled.
        """
        self._url = self.blob.create_resumable_upload_session(
            CONTENT_TYPE, source.size, if_generation_match=0, checksum=None, **self.bucket.calls
        )
        try:
            with ThreadPoolExecutor(1, "gcs-chunk") as sender:
                return self._send_all(source, sender)
        except BaseException:
            self._cancel()
            raise

    def _send_all(self, source: PromisedFile, sender: ThreadPoolExecutor) -> Mapping[str, Any]:
        crc32c, start, block = Crc32c(), 0, source.read(self.chunk_size)
        crc32c.update(block)
        while block and start + len(block) < source.size:
            sent = sender.submit(self._send, block, start, "*", {})
            following = source.read(self.chunk_size)
            crc32c.update(following)
            sent.result()
            self._count(len(block))
            start, block = start + len(block), following
        source.verify()
        resource = self._send(block, start, str(start + len(block)), {"X-Goog-Hash": f"crc32c={crc32c.text}"})
        if resource is None:
            raise StorageUnavailable("store", self.key, f"target '{self.bucket.target}' left the upload open")
        if resource.get("crc32c", crc32c.text) != crc32c.text:  # with a customer's key it is not told
            raise self.bucket.corrupt("store", self.key)
        self._count(len(block))
        return resource

    def _send(self, block: bytes, start: int, total: str, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Until the target has all of a chunk; the object's resource if that was the last."""
        at, end = start, start + len(block)

        def attempt() -> Mapping[str, Any] | None:
            nonlocal at
            asked = self._unsure
            if asked:
                answer = self._put(b"", f"bytes */{total}", {})
            else:
                self._unsure = True
                span = f"{at}-{end - 1}" if at < end else "*"
                answer = self._put(block[at - start :], f"bytes {span}/{total}", headers)
            if answer.status_code != 308:
                return dict(answer.json())
            if (came := _came(answer)) >= start:
                at, self._unsure = came, False
            elif asked:  # what came before this chunk is not in memory any more
                raise StorageUnavailable("store", self.key, f"target '{self.bucket.target}' lost a part of the upload")
            return None

        for _ in range(_PIECES):
            resource = self.bucket.persist(attempt)
            if resource is not None or (at == end and total == "*"):
                return resource
        return None

    def _put(self, data: bytes, span: str, headers: Mapping[str, str]) -> Response:
        return self.bucket.request(
            "PUT", self._url, 200, 201, 308, data=data, headers={"Content-Range": span, **headers}
        )

    def _count(self, length: int) -> None:
        if self.progress:
            self.progress(length)

    def _cancel(self) -> None:
        try:
            with self.bucket.errors("cancel", self.key):
                self.bucket.request("DELETE", self._url, _CANCELLED, 200, 204, 404, 410)
        except StorageError as error:
            # The first error is the one to report; the target drops the upload within a week.
            _log.warning("%s", error)


def _came(answer: Response) -> int:
    """How many bytes the target says it has; 0 where it says nothing."""
    span = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
    return int(span[1]) + 1 if span else 0
