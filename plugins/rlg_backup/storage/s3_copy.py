"""An S3 object moved to a colder storage class: copied onto itself, within the service.

A copy is a new version. The old one goes if it is not locked; a locked one stays, and is paid for, until its lock has
passed and ``erase`` takes it along. (Only a lifecycle rule of the bucket changes the class of a version itself.)
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rlg_backup.core.errors import ObjectExists, StorageError, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage.parts import MIB, part_size_for
from rlg_backup.storage.port import ObjectInfo
from rlg_backup.storage.s3_bucket import CLASS_OF, PART_SIZE, WRITE_ID, Bucket, quoted, version_of
from rlg_backup.storage.s3_upload import MAX_PARTS, abort, begin
from rlg_backup.storage.s3_versions import remove_version

_WHOLE = 5_000_000_000  # bytes one CopyObject takes: Amazon S3 API Reference, "CopyObject"
_PART = 512 * MIB
_log = logging.getLogger(__name__)


def move(bucket: Bucket, key: str, tier: Tier, threads: int) -> ObjectInfo:
    """See ``Storage.move_to``. ``threads`` parts are copied at a time."""
    before = bucket.head("move", key)
    info = bucket.info(key, before["ContentLength"], before)
    if not tier.colder_than(info.tier):
        return info
    copy = _Copy(bucket, key, before, info, CLASS_OF[tier])
    try:
        with bucket.errors("move", key):
            if info.size <= _WHOLE:
                copy.whole()
            else:
                copy.in_parts(threads)
    except (ObjectExists, StorageUnavailable):
        if not _moved(bucket, key, before, tier):
            raise
    after = bucket.head("move", key)
    _drop_old(bucket, key, before, after)
    return bucket.info(key, after["ContentLength"], after)


def _moved(bucket: Bucket, key: str, before: Mapping[str, Any], tier: Tier) -> bool:
    """Whether the object there is our copy: its answer was lost, not the copy."""
    try:
        after = bucket.head("move", key)
    except StorageError:
        return False  # the error of the copy is the one to report
    ours = after.get("Metadata", {}).get(WRITE_ID, "?") == before.get("Metadata", {}).get(WRITE_ID)
    return ours and after.get("StorageClass") == CLASS_OF[tier]


def _drop_old(bucket: Bucket, key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    old = version_of(before)
    if old is None or old == version_of(after):
        return
    try:
        remove_version(bucket, "move", key, old)
    except StorageError as error:
        _log.info("the version that was moved stays in its class: %s", error)


class _Copy:
    """One copy of the version that ``before`` tells of, over itself and nothing else."""

    def __init__(self, bucket: Bucket, key: str, before: Mapping[str, Any], info: ObjectInfo, storage_class: str):
        self._bucket, self._key, self._info = bucket, key, info
        self._metadata = dict(before.get("Metadata", {}))
        source = bucket.address(key, version_of(before))
        opened = bucket.with_key("CopySourceSSECustomer")
        self._source: dict[str, Any] = {"CopySource": source, "CopySourceIfMatch": quoted(info.tag), **opened}
        kept = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
        locks = {name: before[name] for name in kept if name in before and info.locked_until}
        self._options = {"StorageClass": storage_class, "ChecksumAlgorithm": "SHA256", **locks, **bucket.making()}

    def whole(self) -> None:
        answer = self._bucket.client.copy_object(
            **self._bucket.address(self._key), **self._source, **self._options, IfMatch=quoted(self._info.tag)
        )
        self._bucket.require("move", self._key, answer, "CopyObjectResult")

    def in_parts(self, threads: int) -> None:
        client, address = self._bucket.client, self._bucket.address(self._key)
        size = part_size_for(self._info.size, _PART, MAX_PARTS)
        metadata = {**self._metadata, PART_SIZE: str(size)}
        upload = begin(self._bucket, "move", self._key, {"Metadata": metadata, **self._options})
        try:
            with ThreadPoolExecutor(threads, "s3-copy") as pool:
                starts = range(0, self._info.size, size)
                parts: Any = list(pool.map(lambda start: self._part(upload, start, size), starts))
            answer = client.complete_multipart_upload(
                **address,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                IfMatch=quoted(self._info.tag),
                **self._bucket.with_key(),
            )
            self._bucket.require("move", self._key, answer, "ETag")
        except BaseException:
            abort(self._bucket, self._key, upload)
            raise

    def _part(self, upload: str, start: int, size: int) -> dict[str, Any]:
        number, end = start // size + 1, min(start + size, self._info.size) - 1
        span = {"UploadId": upload, "PartNumber": number, "CopySourceRange": f"bytes={start}-{end}"}
        request: dict[str, Any] = {**self._bucket.address(self._key), **self._source, **span, **self._bucket.with_key()}
        client = self._bucket.client
        answer = self._bucket.ask("move", self._key, lambda: client.upload_part_copy(**request), "CopyPartResult")
        copied = answer["CopyPartResult"]
        return {"PartNumber": number, **{name: copied[name] for name in ("ETag", "ChecksumSHA256") if name in copied}}
