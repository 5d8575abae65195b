"""A target that is an S3 bucket, at Amazon or at a service that speaks the same protocol.

What the service must do: conditional writes (If-None-Match and If-Match, on PutObject and on CompleteMultipartUpload:
Amazon S3 User Guide, "Conditional writes") and strong consistency.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlg_backup.core.errors import (
    InvalidSetting,
    StorageDenied,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults, s3_copy, s3_facts, s3_versions
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix, is_key
from rlg_backup.storage.locks import lock_time
from rlg_backup.storage.parts import MIB, part_size_for, threads_for
from rlg_backup.storage.port import ObjectInfo, Progress, TargetFacts
from rlg_backup.storage.remote import RemoteStorage, in_stretches
from rlg_backup.storage.s3_bucket import CONFLICT, PART_SIZE, WRITE_ID, Bucket, answer, quoted
from rlg_backup.storage.s3_checksum import WHOLE, checksum
from rlg_backup.storage.s3_read import ObjectStream
from rlg_backup.storage.s3_upload import MAX_PARTS, Multipart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LEAST_PART = 5 * MIB  # Amazon S3 User Guide, "Amazon S3 multipart upload limits"
_CONFLICT_WAITS = (0.1, 0.3, 0.9)  # seconds


class S3Storage(RemoteStorage):
    """``Storage`` in a bucket, below ``prefix``, over a client that the caller built.

    Files larger than ``part_size`` bytes go up in parts, ``threads`` at a time; memory stays under 128
    MiB for files up to a terabyte. ``upload_options`` are added to PutObject and CreateMultipartUpload of
    files, not of small objects (StorageClass ...), ``encryption`` to every request that makes an object
    (ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled); in its place ``customer_key``, 32 bytes that the service
    forgets, goes into every request that makes or reads one. ``lock_mode`` is COMPLIANCE, which nobody can shorten, or
    GOVERNANCE, which those can whom the bucket's owner lets; s3_versions.py tells what a lock protects.
    Plain HTTP is InvalidSetting unless ``emulator``. Each write carries a random id as metadata: a write whose answer
    was lost, and that the SDK repeated, is recognised as ours instead of being taken for somebody else's.
    """

    def __init__(
        self,
        name: str,
        client: S3Client,
        bucket: str,
        prefix: str = "",
        *,
        part_size: int = 8 * MIB,
        threads: int = 10,
        upload_options: Mapping[str, Any] | None = None,
        encryption: Mapping[str, Any] | None = None,
        customer_key: bytes | None = None,
        lock_mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE",
        emulator: bool = False,
    ) -> None:
        if not emulator and not client.meta.endpoint_url.startswith("https://"):
            raise InvalidSetting("use", name, "its endpoint is not https", "only an emulator may do without TLS")
        if part_size < _LEAST_PART or threads < 1:
            raise InvalidSetting("use", name, f"parts have at least {_LEAST_PART} bytes, and at least one thread sends")
        if customer_key is not None and (encryption or len(customer_key) != 32):
            raise InvalidSetting("use", name, "a customer key has 32 bytes, and no key in AWS KMS beside it")
        below = prefix.strip("/")
        above = check_key("use", below) + "/" if below else ""
        self.name = name
        self._bucket = Bucket(name, client, bucket, above, lock_mode, dict(encryption or {}), customer_key)
        self._part_size, self._threads = part_size, threads
        self._upload_options = dict(upload_options or {})

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        progress: Progress | None = None,
        locked_until: datetime | None = None,
        replacing: bool = False,
    ) -> ObjectInfo:
        options = self._options("store", key, locked_until, self._upload_options)
        standing = self._standing(key) if replacing else None
        with PromisedFile("store", key, path, sha256) as source:
            return self._sent(
                source,
                progress,
                single=self._part_size,
                small=lambda data: self._put(key, data, standing, options),
                large=lambda: self._put_parts(key, source, standing, options, progress),
            )

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        options = self._options("store", key, locked_until)
        if replacing is not None:
            s3_versions.refuse_locked(self._bucket, "store", key)
        return self._put(key, data, replacing, options)

    def _stream(self, key: str, start: int = 0, length: int | None = None) -> ObjectStream:
        return ObjectStream(self._bucket, key, start, length)

    def _seen(self, verb: str, key: str) -> tuple[ObjectInfo, str | None]:
        head = self._bucket.head(verb, key)
        return self._bucket.info(key, head["ContentLength"], head), head.get("Metadata", {}).get(WRITE_ID)

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        return in_stretches(partial(self._between, check_prefix(prefix)), edges)

    def _between(self, prefix: str, after: str | None, until: str | None) -> Iterator[ObjectInfo]:
        above = len(self._bucket.prefix)
        markers = {"NextContinuationToken": "ContinuationToken"}
        request = {"Prefix": self._bucket.prefix + prefix}
        if after is not None:
            request["StartAfter"] = self._bucket.prefix + after
        for page in self._bucket.pages("list", prefix, "list_objects_v2", markers, **request):
            for entry in page.get("Contents", ()):
                key = entry["Key"][above:]
                if until is not None and key > until:
                    return
                if is_key(key):  # nothing of ours has another name: the "folders" of a web console
                    yield self._bucket.info(key, entry["Size"], entry)

    def lock(self, key: str, until: datetime) -> None:
        s3_versions.lock(self._bucket, key, lock_time("lock", check_key("lock", key), until))

    def delete(self, key: str) -> None:
        s3_versions.refuse_locked(self._bucket, "delete", check_key("delete", key))
        with self._bucket.errors("delete", key):
            self._bucket.client.delete_object(**self._bucket.address(key))

    def erase(self, key: str) -> int:
        return s3_versions.erase(self._bucket, check_key("erase", key))

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        return s3_copy.move(self._bucket, check_key("move", key), tier, self._threads)

    def thaw(self, key: str, days: int) -> bool:
        """Standard retrieval: within 12 hours from DEEP_ARCHIVE, 5 from GLACIER. Asked again it lasts from then on."""
        faults.check_days(check_key("thaw", key), days)
        head = self._bucket.head("thaw", key)
        frozen = self._bucket.info(key, 0, head).tier is Tier.ARCHIVE
        return s3_versions.restore(self._bucket, key, days) if frozen else True

    def facts(self) -> TargetFacts:
        """``public`` by policy and access list; s3_facts.py tells how ``may_delete`` is asked."""
        return s3_facts.facts(self._bucket)

    def sweep(self, older_than: timedelta) -> int:
        """Abort uploads begun longer ago than that, which only the bill lists; the number aborted. Idempotent."""
        limit, aborted, above = datetime.now(UTC) - older_than, 0, self._bucket.prefix
        markers = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}
        for page in self._bucket.pages("sweep", above, "list_multipart_uploads", markers, Prefix=above):
            for upload in page.get("Uploads", ()):
                if upload["Initiated"] < limit:
                    with self._bucket.errors("sweep", above):
                        self._bucket.client.abort_multipart_upload(
                            Bucket=self._bucket.name, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
                    aborted += 1
        return aborted

    def _options(
        self, verb: str, key: str, until: datetime | None, options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What a request that makes an object is to say beside its content."""
        lock = self._bucket.lock_options(lock_time(verb, check_key(verb, key), until))
        return {**(options or {}), **self._bucket.making(), **lock}

    def _put_parts(
        self,
        key: str,
        source: PromisedFile,
        replacing: str | None,
        options: Mapping[str, Any],
        progress: Progress | None,
    ) -> ObjectInfo:
        if replacing is None:
            self._refuse_taken(key)
        part_size = part_size_for(source.size, self._part_size, MAX_PARTS)
        threads = threads_for(part_size, self._threads)
        write_id = secrets.token_hex(16)
        request = {**options, "Metadata": {WRITE_ID: write_id, PART_SIZE: str(part_size)}}
        upload = Multipart(self._bucket, key, part_size, threads, _condition(replacing), request, progress)

        def send() -> ObjectInfo:
            with self._storing(key, options):
                return self._bucket.info(key, source.size, {**options, **upload.run(source)})

        return self._written(key, write_id, send, replacing=replacing is not None)

    def _put(self, key: str, data: bytes, replacing: str | None, options: Mapping[str, Any]) -> ObjectInfo:
        write_id = secrets.token_hex(16)
        kept = {"ChecksumAlgorithm": WHOLE, **checksum(data, WHOLE), "Metadata": {WRITE_ID: write_id}}
        request = {**options, **_condition(replacing), **kept}

        def send() -> ObjectInfo:
            with self._storing(key, options):
                answered = self._bucket.require("store", key, self._put_object(key, data, request), "ETag")
                return self._bucket.info(key, len(data), {**options, **answered})

        return self._written(key, write_id, send, replacing=replacing is not None)

    @contextmanager
    def _storing(self, key: str, options: Mapping[str, Any]) -> Iterator[None]:
        """A refusal may be of the lock that was asked for."""
        try:
            with self._bucket.errors("store", key):
                yield
        except StorageDenied as error:
            raise s3_versions.refused(self._bucket, options, error) from None

    def _put_object(self, key: str, data: bytes, request: Mapping[str, Any]) -> Mapping[str, Any]:
        # 409 says that another request on the key was under way, not how it ended: ask again.
        client = self._bucket.client
        for wait in _CONFLICT_WAITS:
            try:
                return client.put_object(**self._bucket.address(key), Body=data, **request)
            except client.exceptions.ClientError as error:
                if answer(error)[1] != CONFLICT:
                    raise
                time.sleep(wait)
        return client.put_object(**self._bucket.address(key), Body=data, **request)


def _condition(replacing: str | None) -> dict[str, Any]:
    """That nothing has the key yet, or that what has it still has this tag."""
    return {"IfNoneMatch": "*"} if replacing is None else {"IfMatch": quoted(replacing)}
