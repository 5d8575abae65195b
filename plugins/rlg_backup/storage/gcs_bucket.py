"""One bucket and prefix as the other GCS modules see it: requests, answers, and errors as the storage port's.

Vendor texts are left out of our errors, since they may quote a request; status and reason are enough.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from rlg_backup.core.errors import (
    BackupError,
    ObjectDamaged,
    ObjectExists,
    ObjectLocked,
    ObjectMissing,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults
from rlg_backup.storage.locks import lock_time
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client
    from requests import Response

Result = TypeVar("Result")

CLASSES = {Tier.HOT: "STANDARD", Tier.COOL: "NEARLINE", Tier.COLD: "COLDLINE", Tier.ARCHIVE: "ARCHIVE"}
TIERS = {storage_class: tier for tier, storage_class in CLASSES.items()}
WRITE_ID = "rlg-write"  # metadata: which write made this version of the object
_CONNECT_TIMEOUT = 10.0  # seconds
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 30.0  # seconds, about which the SDK draws a random one; twice as long each time
_DENIED_HINT = "check the credentials and the roles; without storage.objects.list a missing object is answered 403 too"
_KEPT = {"retentionPolicyNotMet", "objectUnderActiveHold"}
_OTHER_KEY = {"customerEncryptionKeyIsIncorrect", "resourceIsEncryptedWithCustomerEncryptionKey"}
_FULL = {"quotaExceeded", "insufficientStorage"}
_PASSING = {"rateLimitExceeded", "userRateLimitExceeded"}  # answered with a 403


class Crc32c:
    """A checksum as it grows; ``text`` is how Cloud Storage writes it: base64 of four bytes, the highest first."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        import google_crc32c

        self._value = google_crc32c.extend(self._value, data)

    @property
    def text(self) -> str:
        return base64.b64encode(self._value.to_bytes(4, "big")).decode()


@dataclass(frozen=True)
class Bucket:
    """Where a target keeps its objects, and how it is asked: ``GcsStorage`` has what each means. ``prefix`` is empty
    or ends in '/'."""

    target: str
    client: Client
    name: str
    prefix: str
    patience: float
    read_timeout: float
    kms_key_name: str | None = None
    customer_key: bytes | None = None

    def __post_init__(self) -> None:
        hooks = self.client._http.hooks["response"]
        if check_head not in hooks:
            hooks.append(check_head)

    def blob(self, key: str, generation: int | None = None) -> Blob:
        """The SDK's handle of an object; nothing is sent."""
        return self.client.bucket(self.name).blob(
            self.prefix + key,
            generation=generation,
            encryption_key=self.customer_key,
            kms_key_name=self.kms_key_name,
        )

    @property
    def timeout(self) -> tuple[float, float]:
        """Seconds: to connect, and between bytes."""
        return _CONNECT_TIMEOUT, self.read_timeout

    @property
    def calls(self) -> dict[str, Any]:
        """How every call of the SDK is made: its timeouts, and its own choice of what to try again, with jitter."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_delay(initial=_FIRST_WAIT, maximum=_LONGEST_WAIT).with_timeout(self.patience)
        return {"timeout": self.timeout, "retry": retry}

    def pauses(self) -> Iterator[float]:
        """How long to wait before each next try, in seconds: longer each time, with jitter."""
        from google.api_core.retry import exponential_sleep_generator

        yield from exponential_sleep_generator(_FIRST_WAIT, _LONGEST_WAIT)

    def persist(self, call: Callable[[], Result]) -> Result:
        """Make a call that is not the SDK's as its own are made: again, if the error may pass."""
        again: Callable[[], Result] = self.calls["retry"](call)
        return again()

    def request(self, method: str, url: str, *expected: int, **options: Any) -> Response:
        """One request with the client's credentials; the SDK's error unless the status is an expected one.

        For what the SDK has no public call for: a chunk of an upload, an object as a stream, an answer's Date.
        """
        from google.api_core.exceptions import from_http_response

        answered: Response = self.client._http.request(method, url, timeout=self.timeout, **options)
        if answered.status_code not in expected:
            with answered:
                raise from_http_response(answered)  # type: ignore[no-untyped-call]
        return answered

    def find(self, verb: str, key: str) -> Blob | None:
        """The object with what the target says of it; None if it is not there. ObjectMissing is the bucket's."""
        from google.api_core.exceptions import NotFound

        blob = self.blob(key)
        with self.errors(verb, key):
            try:
                blob.reload(**self.calls)
            except NotFound as error:
                if _of_bucket(answer(error.response)[2]):
                    raise
                return None
        return blob

    def look(self, verb: str, key: str) -> Blob:
        """The object with what the target says of it. ObjectMissing."""
        blob = self.find(verb, key)
        if blob is None:
            raise faults.missing(verb, key, self.target)
        return blob

    def listed(self, prefix: str, **which: Any) -> Iterator[Blob]:
        """Objects in order of key, then of generation. Raises the SDK's errors."""
        found: Iterator[Blob] = iter(
            self.client.list_blobs(self.name, prefix=self.prefix + prefix, **which, **self.calls)
        )
        return found

    @contextlib.contextmanager
    def errors(self, verb: str, key: str, *, locking: bool = False) -> Iterator[None]:
        """The errors of the SDK, its credentials and its HTTP library as the storage port's.

        ``locking``: what is asked for names a retention, and a target that keeps none calls that invalid.
        """
        from google.api_core import exceptions as sdk
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from urllib3.exceptions import HTTPError

        try:
            try:
                yield
            except sdk.RetryError as error:  # the last of several tries
                raise error.cause or StorageUnavailable(verb, key, self._silent(error)) from None
        except (sdk.GoogleAPICallError, InvalidResponse) as error:
            raise self._answered(verb, key, error.response, locking=locking) from None
        except DataCorruption:
            raise self.corrupt(verb, key) from None
        except (TransportError, HTTPError, OSError) as error:
            raise StorageUnavailable(verb, key, self._silent(error)) from None
        except GoogleAuthError as error:
            if error.retryable:
                raise StorageUnavailable(verb, key, self._silent(error)) from None
            cause = f"there are no usable credentials for target '{self.target}' ({type(error).__name__})"
            raise StorageDenied(verb, key, cause) from None

    def _silent(self, error: Exception) -> str:
        return f"target '{self.target}' cannot be reached ({type(error).__name__})"

    def corrupt(self, verb: str, key: str) -> ObjectDamaged:
        """The bytes here are not those the target has a CRC32C of."""
        return ObjectDamaged(verb, key, f"its bytes differ from the checksum that target '{self.target}' keeps of them")

    def _answered(self, verb: str, key: str, response: Any, *, locking: bool) -> BackupError:
        """Meaning of statuses and reasons: Cloud Storage documentation, "HTTP status and error codes for JSON"."""
        status, reason, text = answer(response)
        said = f"target '{self.target}' answered {status} {reason}".rstrip()
        if _of_bucket(text):
            return ObjectMissing(verb, key, f"the bucket of target '{self.target}' does not exist")
        if re.match("Provided (crc32c|md5)", text, re.IGNORECASE):
            return StorageUnavailable(verb, key, f"its bytes were changed on the way to target '{self.target}'")
        if reason in _KEPT:
            return ObjectLocked(verb, key, f"target '{self.target}' answered that it is locked")
        if reason in _OTHER_KEY:
            return StorageDenied(verb, key, f"it is encrypted with another customer key on target '{self.target}'")
        if status == 400 and locking:
            return faults.keeps_no_locks(verb, key, self.target)
        if status == 410 or (status == 404 and verb == "store"):  # a write needs nothing to be there but its upload
            return StorageUnavailable(verb, key, f"target '{self.target}' dropped the upload before its end")
        if status == 404:
            return faults.missing(verb, key, self.target)
        if status == 412 and verb == "read":
            return ObjectDamaged(verb, key, "it was replaced while it was read")
        if status == 412:
            return faults.exists(verb, key, self.target)
        if status == 409:
            return ObjectExists(verb, key, f"another writer was changing it on target '{self.target}'")
        if reason in _FULL or status == 507:
            return StorageFull(verb, key, said)
        if status >= 500 or status in (408, 429) or reason in _PASSING:
            return StorageUnavailable(verb, key, said)
        return StorageDenied(verb, key, said, _DENIED_HINT if status == 403 else None)

    def info(self, key: str, resource: Mapping[str, Any]) -> ObjectInfo:
        """From an object's resource ("Objects" in the JSON API's reference)."""
        try:
            tier = TIERS.get(resource.get("storageClass", ""), Tier.HOT)
            made, until = datetime.fromisoformat(resource["timeCreated"]), kept_until(key, resource)
            size, tag = int(resource["size"]), str(int(resource["generation"]))
        except (LookupError, ValueError, TypeError):  # not what it sent, or not a Cloud Storage
            cause = f"target '{self.target}' answered with something that describes no object"
            raise StorageUnavailable("read", key, cause) from None
        return ObjectInfo(key, size, tag, made.astimezone(UTC), tier, until)


def kept_until(key: str, resource: Mapping[str, Any]) -> datetime | None:
    """When an object's own retention, and its bucket's, let it go; None if that has been."""
    times = (resource.get("retention", {}).get("retainUntilTime"), resource.get("retentionExpirationTime"))
    known = [datetime.fromisoformat(time) for time in times if time]
    return lock_time("read", key, max(known)) if known else None


def check_head(answer: Response, *_: Any, **__: Any) -> None:
    """A hook of the client's session: an answer whose head was cut off is a broken connection.

    The HTTP library takes it for whole, and for one without a body.
    """
    if answer.status_code != 204 and not ("Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers):
        answer.close()
        raise cut_off()


def cut_off() -> Exception:
    """What is tried again: an answer that lacks a part of its head."""
    from requests import ConnectionError as Broken

    return Broken("the head of an answer was cut off")


def resource(blob: Blob) -> Mapping[str, Any]:
    """What the target said of an object, as it said it."""
    said: Mapping[str, Any] = blob._properties
    return said


def _of_bucket(text: str) -> bool:
    return text.startswith("The specified bucket does not exist")


def answer(response: Any) -> tuple[int, str, str]:
    """Status, reason and text of an error answer; a reason that is not a plain word is left out.

    The text decides what an error means, and is shown to nobody.
    """
    try:
        said = response.json()["error"]
        text, reason = str(said["message"]), str(said["errors"][0]["reason"])
    except (ValueError, LookupError, TypeError):
        text, reason = response.text, ""
    return response.status_code, reason if re.fullmatch(r"[A-Za-z]{1,60}", reason) else "", text
