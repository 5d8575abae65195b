"""What Amazon documents of S3 and moto does not do, put in front of moto, one writing request at a time.

Checksums that a writer sends are compared. Of Object Lock: uploads in parts carry it, and a lock in COMPLIANCE never
becomes shorter. Of copies: both conditions. Of RestoreObject: it takes its time, until a test says it is over, and
asking meanwhile is a conflict. (Amazon S3 User Guide, "How S3 Object Lock works"; API Reference, "CopyObject",
"RestoreObject".)
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Refusal = tuple[str, str]  # status line, code
_LOCK_MODE, _LOCK_UNTIL = "HTTP_X_AMZ_OBJECT_LOCK_MODE", "HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE"
_FAILED = ("412 Precondition Failed", "PreconditionFailed")
_INVALID = ("400 Bad Request", "InvalidRequest")


class Rules:
    """One emulator's. ``check`` comes before moto, ``finish`` after it has carried a request out."""

    def __init__(self) -> None:
        from moto.moto_api import state_manager

        state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 1 << 62})
        self._locks: dict[str, tuple[str, str]] = {}  # of uploads under way, by their id

    def check_body(self, environ: dict[str, Any], body: bytes) -> Refusal | None:
        """Why a body is refused that is not the one its writer sent. Several may be digested at a time."""
        kinds = {"SHA256": _sha256, "CRC32": _crc32}
        sent = ((environ.get(f"HTTP_X_AMZ_CHECKSUM_{kind}"), digest) for kind, digest in kinds.items())
        same = all(base64.b64encode(digest(body)).decode() == text for text, digest in sent if text)
        return None if same else ("400 Bad Request", "XAmzContentChecksumMismatch")

    def check(self, environ: dict[str, Any], body: bytes) -> Refusal | None:
        """Why a request is refused; None if moto is to answer it."""
        request = _Request(environ)
        if request.method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
            return _check_copy(request, environ)
        if request.method == "PUT" and "retention" in request.query:
            return _check_retention(request, body)
        if request.method == "POST" and "uploads" in request.query and _LOCK_MODE in environ:
            return None if request.bucket.object_lock_enabled else _INVALID
        if request.method == "POST" and "uploadId" in request.query and not _still(request, environ):
            return _FAILED
        if request.method == "POST" and "restore" in request.query and (key := request.key()):
            return ("409 Conflict", "RestoreAlreadyInProgress") if _thawing(key) else None
        return None

    def finish(self, environ: dict[str, Any], answer: bytes) -> None:
        request = _Request(environ)
        if request.method != "POST":
            return
        if "uploads" in request.query and _LOCK_MODE in environ:
            found = re.search(rb"<UploadId>([^<]+)</UploadId>", answer)
            if found:
                self._locks[found[1].decode()] = environ[_LOCK_MODE], environ[_LOCK_UNTIL]
        elif "uploadId" in request.query and b"CompleteMultipartUploadResult" in answer:
            if lock := self._locks.pop(request.query["uploadId"][0], None):
                request.key().lock_mode, request.key().lock_until = lock
        elif "restore" in request.query and (key := request.key()) and key.status is None:
            key.status = "IN_PROGRESS"

    def thaw(self, bucket: str) -> None:
        """Ends the restores under way in a bucket."""
        for key in backend().get_bucket(bucket).keys.values():
            if _thawing(key):
                key.status = "RESTORED"

    def seed(self, bucket: str, keys: list[str]) -> None:
        """Makes many one-byte objects."""
        for key in keys:
            backend().put_object(bucket, key, b"x")


def backend() -> Any:
    """moto's, of the account that made-up credentials belong to."""
    from moto.s3.models import s3_backends

    return s3_backends["123456789012"]["aws"]


class _Request:
    def __init__(self, environ: dict[str, Any]) -> None:
        self.method = environ["REQUEST_METHOD"]
        self.query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        self._bucket, _, self._key = environ["PATH_INFO"].lstrip("/").partition("/")

    @property
    def bucket(self) -> Any:
        return backend().get_bucket(self._bucket)

    def key(self) -> Any:
        """The object, or the version of it that is asked for; None if there is none."""
        if self._bucket not in backend().buckets:
            return None
        return backend().get_object(self._bucket, self._key, version_id=self.query.get("versionId", [None])[0])


def _sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _crc32(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")


def _check_copy(request: _Request, environ: dict[str, Any]) -> Refusal | None:
    environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "SHA256")  # what only moto asks of a copy that locks
    place = urlsplit(environ["HTTP_X_AMZ_COPY_SOURCE"])
    bucket, _, name = unquote(place.path).lstrip("/").partition("/")
    source = backend().get_object(bucket, name, version_id=parse_qs(place.query).get("versionId", [None])[0])
    wanted = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH")
    if source is not None and wanted and source.etag != wanted:
        return _FAILED
    return None if _still(request, environ) else _FAILED


def _still(request: _Request, environ: dict[str, Any]) -> bool:
    """Whether the object is the one that If-Match names."""
    wanted, key = environ.get("HTTP_IF_MATCH"), request.key()
    return not wanted or (key is not None and key.etag == wanted)


def _check_retention(request: _Request, body: bytes) -> Refusal | None:
    key, until = request.key(), re.search(rb"<RetainUntilDate>([^<]+)<", body)
    if key is None or not key.is_locked(governance_bypass=False) or key.lock_mode != "COMPLIANCE":
        return None
    shorter = until is None or until[1].decode()[:19] < key.lock_until[:19]
    return ("403 Forbidden", "AccessDenied") if shorter or b"COMPLIANCE" not in body else None


def _thawing(key: Any) -> bool:
    return getattr(key, "_expiry", None) is not None and key.status == "IN_PROGRESS"
