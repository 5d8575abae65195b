"""One bucket and prefix as the other S3 modules see it: names, answers, and errors as the storage port's.

Vendor texts are left out of our errors, since they may quote a request; status and code are enough.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import (
    BackupError,
    InvalidSetting,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults
from rlg_backup.storage.locks import FOR_EVER, still_locked
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

CONFLICT = "ConditionalRequestConflict"
WRITE_ID = "rlg-write"  # user metadata: which write made this version of the object
PART_SIZE = "rlg-part"  # user metadata: bytes in each part but the last of an upload in parts
# Amazon S3 User Guide, "Understanding and managing Amazon S3 storage classes". GLACIER_IR is read at once; what nobody
# expects to read again lies in DEEP_ARCHIVE, at a quarter of the price of GLACIER, which takes hours to thaw, too.
CLASS_OF = {
    Tier.HOT: "STANDARD",
    Tier.COOL: "STANDARD_IA",
    Tier.COLD: "GLACIER_IR",
    Tier.ARCHIVE: "DEEP_ARCHIVE",
}
_TIER_OF = {name: tier for tier, name in CLASS_OF.items()} | {"ONEZONE_IA": Tier.COOL, "GLACIER": Tier.ARCHIVE}
_ANSWERS = 3  # in a row that may be half ones
_DENIED_HINT = "check the credentials and the bucket policy; without s3:ListBucket a missing object is answered 403 too"
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_PASSING = {  # answered with a 4xx, and yet worth another try
    "BadDigest",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "XAmzContentChecksumMismatch",
}


@dataclass(frozen=True)
class Bucket:
    """Where a target keeps its objects, and how. ``prefix`` is empty or ends in '/'.

    ``lock_mode`` is that of Object Lock; ``encryption`` goes into every request that makes an object, ``customer_key``
    also into each that reads one.
    """

    target: str
    client: S3Client
    name: str
    prefix: str
    lock_mode: str = "COMPLIANCE"
    encryption: Mapping[str, Any] = field(default_factory=dict)
    customer_key: bytes | None = field(default=None, repr=False)

    def address(self, key: str, version: str | None = None) -> dict[str, Any]:
        """``Bucket`` and ``Key`` of a request, and ``VersionId`` where there is one."""
        place = {"Bucket": self.name, "Key": self.prefix + key}
        return {**place, "VersionId": version} if version else place

    def with_key(self, of: str = "SSECustomer") -> dict[str, Any]:
        """What a request needs that reads an object, or adds to one; ``of`` a copy's source: CopySourceSSECustomer. The
        SDK writes the digest of the key beside it."""
        return {f"{of}Algorithm": "AES256", f"{of}Key": self.customer_key} if self.customer_key else {}

    def making(self) -> dict[str, Any]:
        """What a request needs that makes an object."""
        return {**self.encryption, **self.with_key()}

    def lock_options(self, until: datetime | None) -> dict[str, Any]:
        """What makes a request lock the object that it makes."""
        return {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": until} if until else {}

    def head(self, verb: str, key: str, version: str | None = None) -> Mapping[str, Any]:
        """Everything a target tells of an object, or of one version of it, but its bytes."""
        place = {**self.address(key, version), **self.with_key()}
        with self.errors(verb, key):
            head: Mapping[str, Any] = self.ask(
                verb, key, lambda: self.client.head_object(**place), "ContentLength", "ETag"
            )
            return head

    def ask(self, verb: str, key: str, request: Callable[[], Mapping[str, Any]], *fields: str) -> Any:
        """The answer of an idempotent request, asked for again while it is not whole; else StorageUnavailable."""
        for _ in range(_ANSWERS - 1):
            try:
                answered = request()
            except ValueError:  # the SDK's, of a field that is cut off
                continue
            except self.client.exceptions.ClientError as error:
                if _says_why(error):
                    raise
            else:
                if _is_whole(answered, fields):
                    return answered
        return self.require(verb, key, request(), *fields)

    def require(self, verb: str, key: str, answered: Mapping[str, Any], *fields: str) -> Mapping[str, Any]:
        """StorageUnavailable unless an answer is whole and has those fields."""
        if not _is_whole(answered, fields):
            raise StorageUnavailable(verb, key, f"target '{self.target}' broke off its answer")
        return answered

    def pages(
        self, verb: str, key: str, operation: str, markers: Mapping[str, str], **request: Any
    ) -> Iterator[Mapping[str, Any]]:
        """The pages of a listing; ``markers`` says what of a page goes into the request for the next one."""
        call = partial(getattr(self.client, operation), Bucket=self.name)
        with self.errors(verb, key):
            while True:
                page = self.ask(verb, key, partial(call, **request), "IsTruncated")
                yield page
                if not page["IsTruncated"]:
                    return
                self.require(verb, key, page, *list(markers)[:1])  # else the same page for ever
                request |= {to: page[found] for found, to in markers.items() if found in page}

    @contextlib.contextmanager
    def errors(self, verb: str, key: str) -> Iterator[None]:
        """The SDK's errors, and its HTTP library's, as the storage port's."""
        from botocore import exceptions as sdk
        from urllib3.exceptions import HTTPError

        try:
            yield
        except sdk.ClientError as error:
            raise self._answered(verb, key, error) from None
        except sdk.FlexibleChecksumError:
            raise differs(key, self.target) from None
        except (
            sdk.NoCredentialsError,
            sdk.PartialCredentialsError,
            sdk.CredentialRetrievalError,
            sdk.TokenRetrievalError,
            sdk.SSOError,
        ) as error:
            cause = f"there are no usable credentials for target '{self.target}' ({type(error).__name__})"
            raise StorageDenied(verb, key, cause) from None
        except sdk.ParamValidationError:
            cause = f"the bucket or an option of target '{self.target}' is not valid"
            raise InvalidSetting(verb, key, cause) from None
        except (sdk.BotoCoreError, HTTPError, OSError, ValueError) as error:  # ValueError: an answer that is garbled
            cause = f"target '{self.target}' cannot be reached ({type(error).__name__})"
            raise StorageUnavailable(verb, key, cause) from None

    def _answered(self, verb: str, key: str, error: ClientError) -> BackupError:
        """Meaning of status codes: Amazon S3 API Reference, "Error responses" and "Conditional writes"."""
        status, code = answer(error)
        said = f"target '{self.target}' answered {status} {code}".rstrip()
        if code == "NoSuchBucket":
            return ObjectMissing(verb, key, f"the bucket of target '{self.target}' does not exist")
        if code == "NoSuchUpload":
            return StorageUnavailable(verb, key, f"target '{self.target}' dropped the upload before its end")
        if status == 404 and verb == "store":
            return faults.replaced(verb, key, self.target)
        if status == 404:
            return faults.missing(verb, key, self.target)
        if code == "InvalidObjectState" and verb == "read":
            return faults.frozen(key, self.target)
        if status == 412 and verb == "move":
            return faults.replaced(verb, key, self.target)
        if status == 412 and verb == "read":
            return ObjectDamaged(verb, key, "it was replaced while it was read")
        if status == 412:
            return faults.exists(verb, key, self.target)
        if code == CONFLICT:
            return ObjectExists(verb, key, f"another writer was changing it on target '{self.target}'")
        if code in _FULL or status == 507:
            return StorageFull(verb, key, said)
        if (status >= 500 and status != 501) or status == 429 or code in _PASSING:
            return StorageUnavailable(verb, key, said)
        return StorageDenied(verb, key, said, _DENIED_HINT if status == 403 else None)

    def info(self, key: str, size: int, response: Mapping[str, Any]) -> ObjectInfo:
        """From an answer that carries an ETag; the time is the object's, or the answer's own."""
        modified = response.get("LastModified")
        if not isinstance(modified, datetime):
            date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
            modified = parsedate_to_datetime(date) if date else datetime.now(UTC)
        tier = _TIER_OF.get(response.get("StorageClass", "STANDARD"), Tier.HOT)
        frozen = response.get("StorageClass") in ("GLACIER", "DEEP_ARCHIVE") or "ArchiveStatus" in response
        return ObjectInfo(
            key,
            size,
            response["ETag"].strip('"'),
            modified.astimezone(UTC),
            tier,
            locked_until(response),
            not frozen or 'ongoing-request="false"' in response.get("Restore", ""),
        )


def _is_whole(answered: Mapping[str, Any], fields: Collection[str]) -> bool:
    """Whether an answer has these fields, and its head an end.

    One that breaks off within its head is, to the SDK and to the HTTP library below it, an answer without a body: a
    listing without an object. What is missing then is the length of the body; a body that is shorter than its length
    they find themselves.
    """
    meta = answered["ResponseMetadata"]
    headers = meta["HTTPHeaders"]
    ends = "content-length" in headers or "transfer-encoding" in headers or headers.get("connection") == "close"
    return (ends or meta["HTTPStatusCode"] == 204) and all(name in answered for name in fields)


def _says_why(error: ClientError) -> bool:
    """Whether a refusal is whole: where its body breaks off the SDK puts the status in the place of the code. A refusal
    of a HEAD request never has a body."""
    return error.operation_name.startswith("Head") or not str(error.response["Error"]["Code"]).isdecimal()


def differs(key: str, target: str) -> ObjectDamaged:
    return ObjectDamaged("read", key, f"its bytes differ from the checksum that target '{target}' keeps of them")


def locked_until(response: Mapping[str, Any]) -> datetime | None:
    """Until when the version of an answer is locked: by its retention, or for ever by a legal hold."""
    if response.get("ObjectLockLegalHoldStatus") == "ON":
        return FOR_EVER
    return still_locked(response.get("ObjectLockRetainUntilDate"))


def version_of(response: Mapping[str, Any]) -> str | None:
    """The version of an answer; None where the bucket keeps none."""
    version = response.get("VersionId")
    return None if version in (None, "null") else str(version)


def answer(error: ClientError) -> tuple[int, str]:
    """Status and code of an error response; a code that is not a plain word is left out."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.response.get("Error", {}).get("Code", ""))
    return status, code if re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{0,60}", code) else ""


def quoted(tag: str) -> str:
    """A tag as an If-Match header has it."""
    return f'"{tag}"'
