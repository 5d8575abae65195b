"""Multipart upload: parts in parallel, each with its CRC-32, nothing visible before the last word."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlg_backup.core.errors import StorageError
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.parts import send_parts
from rlg_backup.storage.port import Progress
from rlg_backup.storage.s3_bucket import Bucket
from rlg_backup.storage.s3_checksum import PART, checksum

MAX_PARTS = 10_000  # Amazon S3 User Guide, "Amazon S3 multipart upload limits"
_log = logging.getLogger(__name__)


@dataclass
class Multipart:
    """One upload of one file. ``threads`` send at a time, and that many parts are in memory."""

    bucket: Bucket
    key: str
    part_size: int
    threads: int
    condition: Mapping[str, Any]  # of CompleteMultipartUpload
    options: Mapping[str, Any]  # of CreateMultipartUpload
    progress: Progress | None
    _id: str = field(init=False, default="")

    def run(self, source: PromisedFile) -> Mapping[str, Any]:
        """Send everything, compare the digest, complete on the condition.

        Returns the answer. Raises the SDK's errors, and ObjectDamaged; either way the upload is aborted.
        """
        client, address = self.bucket.client, self.bucket.address(self.key)
        self._id = begin(self.bucket, "store", self.key, {"ChecksumAlgorithm": PART, **self.options})
        try:
            parts: Any = send_parts(
                source.read, self._send, part_size=self.part_size, threads=self.threads, progress=self.progress
            )
            source.verify()
            answer = client.complete_multipart_upload(
                **address,
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
                **self.condition,
                **self.bucket.with_key(),
            )
        except BaseException:
            abort(self.bucket, self.key, self._id)
            raise
        return self.bucket.require("store", self.key, answer, "ETag")

    def _send(self, index: int, block: bytes) -> dict[str, Any]:
        kept, number = checksum(block, PART), index + 1
        part: dict[str, Any] = {"UploadId": self._id, "PartNumber": number, "Body": block, **kept}
        request = {**self.bucket.address(self.key), **part, **self.bucket.with_key()}
        answer = self.bucket.ask("store", self.key, lambda: self.bucket.client.upload_part(**request), "ETag")
        return {"PartNumber": number, "ETag": answer["ETag"], **kept}


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
