"""Multipart upload: parts in parallel, each with its SHA-256, nothing visible before the last word."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rlg_backup.core.errors import StorageError
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.port import Progress
from rlg_backup.storage.s3_bucket import Bucket
from rlg_backup.storage.s3_checksum import checksum

MIB = 1 << 20
MAX_PARTS = 10_000  # Amazon S3 User Guide, "Amazon S3 multipart upload limits"
MEMORY = 128 * MIB  # of parts on their way, unless a single one is larger
_log = logging.getLogger(__name__)


def part_size_for(size: int, least: int) -> int:
    """Bytes in a part, a whole number of MiB where ``least`` does not suffice.

    >>> part_size_for(10**12, 16 * MIB) // MIB
    96
    """
    return max(least, -(-size // MAX_PARTS // MIB) * MIB)


@dataclass
class Multipart:
    """One upload of one file. ``threads`` send at a time, and that many parts are in memory."""

    bucket: Bucket
    key: str
    part_size: int
    threads: int
    options: Mapping[str, Any]  # of CreateMultipartUpload
    progress: Progress | None
    _id: str = field(init=False, default="")

    def run(self, source: PromisedFile) -> Mapping[str, Any]:
        """Send everything, compare the digest, complete on condition that the key is free.

        Returns the answer. Raises the SDK's errors, and ObjectDamaged; either way the upload is aborted.
        """
        client, address = self.bucket.client, self.bucket.address(self.key)
        self._id = begin(self.bucket, "store", self.key, {"ChecksumAlgorithm": "SHA256", **self.options})
        try:
            parts: Any = self._send_all(source)
            source.verify()
            answer = client.complete_multipart_upload(
                **address, UploadId=self._id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            abort(self.bucket, self.key, self._id)
            raise
        return self.bucket.require("store", self.key, answer, "ETag")

    def _send_all(self, source: PromisedFile) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        sending: deque[Future[tuple[dict[str, Any], int]]] = deque()
        with ThreadPoolExecutor(self.threads, "s3-part") as pool:
            try:
                while block := source.read(self.part_size):
                    sending.append(pool.submit(self._send, len(parts) + len(sending) + 1, block))
                    del block
                    if len(sending) == self.threads:  # before the next one is read: that is the bound on memory
                        self._collect(sending, parts)
                while sending:
                    self._collect(sending, parts)
            except BaseException:
                # Leaving the pool waits for those under way: an abort before them would leave them behind.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return parts

    def _send(self, number: int, block: bytes) -> tuple[dict[str, Any], int]:
        sha256 = checksum(block)
        part: dict[str, Any] = {"UploadId": self._id, "PartNumber": number, "Body": block, "ChecksumSHA256": sha256}
        request = {**self.bucket.address(self.key), **part}
        answer = self.bucket.ask("store", self.key, lambda: self.bucket.client.upload_part(**request), "ETag")
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": sha256}, len(block)

    def _collect(self, sending: deque[Future[tuple[dict[str, Any], int]]], parts: list[dict[str, Any]]) -> None:
        part, length = sending.popleft().result()
        parts.append(part)
        if self.progress:
            self.progress(length)


def begin(bucket: Bucket, verb: str, key: str, options: Mapping[str, Any]) -> str:
    """Create an upload; its id. One whose answer was lost stays for sweep."""
    client, address = bucket.client, bucket.address(key)
    answer = bucket.ask(verb, key, lambda: client.create_multipart_upload(**address, **options), "UploadId")
    return str(answer["UploadId"])


def abort(bucket: Bucket, key: str, upload: str) -> None:
    """Drop an upload and its parts. An error is noted only: sweep removes what is left."""
    try:
        with bucket.errors("abort", key):
            bucket.client.abort_multipart_upload(**bucket.address(key), UploadId=upload)
    except StorageError as error:
        _log.warning("%s", error)
