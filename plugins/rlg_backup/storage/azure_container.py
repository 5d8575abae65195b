"""One container and prefix as the other Azure modules see it: requests, answers, and errors as the storage port's.

Vendor texts are left out of our errors, since they may quote a request; status and code are enough.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from rlg_backup.core.errors import (
    BackupError,
    ObjectDamaged,
    ObjectLocked,
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
    from azure.core.pipeline import PipelineResponse
    from azure.core.pipeline.transport import HttpResponse
    from azure.storage.blob import BlobClient, BlobProperties, ContainerClient

LockMode = Literal["Locked", "Unlocked"]

TIERS = {Tier.HOT: "Hot", Tier.COOL: "Cool", Tier.COLD: "Cold", Tier.ARCHIVE: "Archive"}
DATED = ("date", "etag", "last-modified")  # what every good answer about an object has
SIZED = (*DATED, "content-length")
WRITE_ID = "rlg_write"  # names of metadata are identifiers: "Naming and Referencing Containers, Blobs, and Metadata"
_DENIED_HINT = "check the credentials and their roles: Storage Blob Data Contributor writes, reads, lists and deletes"
_FROZEN = {"BlobArchived", "BlobBeingRehydrated"}
_CHANGED = {"ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists", "UnauthorizedBlobOverwrite"}
_DROPPED = {"InvalidBlockList", "InvalidBlobOrBlock"}
_NO_CONTAINER = {"ContainerNotFound", "ContainerBeingDeleted"}
_ON_THE_WAY = {"Md5Mismatch", "InvalidMd5"}
_PASSING = {"OperationTimedOut", "ServerBusy", "InternalError"}  # whatever their status


@dataclass(frozen=True)
class Container:
    """Where a target keeps its objects. ``prefix`` is empty or ends in '/'."""

    target: str
    client: ContainerClient
    prefix: str
    lock_mode: LockMode = "Locked"
    encryption_scope: str | None = None
    customer_key: bytes | None = field(default=None, repr=False)

    def blob(self, key: str) -> BlobClient:
        """The SDK's handle of an object; nothing is sent."""
        return self.client.get_blob_client(self.prefix + key)

    @cached_property
    def key_headers(self) -> dict[str, str]:
        """A customer's key as a request has it ("Provide an encryption key on a request to Blob storage")."""
        if self.customer_key is None:
            return {}
        digest = hashlib.sha256(self.customer_key).digest()
        return {
            "x-ms-encryption-key": base64.b64encode(self.customer_key).decode(),
            "x-ms-encryption-key-sha256": base64.b64encode(digest).decode(),
            "x-ms-encryption-algorithm": "AES256",
        }

    @property
    def opening(self) -> dict[str, Any]:
        """What a call of the SDK needs to look into an object."""
        from azure.storage.blob import CustomerProvidedEncryptionKey

        if not self.key_headers:
            return {}
        key, digest = self.key_headers["x-ms-encryption-key"], self.key_headers["x-ms-encryption-key-sha256"]
        return {"cpk": CustomerProvidedEncryptionKey(key, digest)}

    @property
    def sealing(self) -> dict[str, Any]:
        """What a call of the SDK needs to write into an object."""
        return self.opening | ({"encryption_scope": self.encryption_scope} if self.encryption_scope else {})

    def look(self, verb: str, key: str) -> BlobProperties:
        """What the target says of an object. ObjectMissing."""
        with self.errors(verb, key):
            return self.blob(key).get_blob_properties(**self.opening, **whole(*SIZED))

    def get(self, key: str, headers: Mapping[str, str]) -> HttpResponse:
        """A GET of an object whose body is still to be read; its status is 200, 206 or 416. The SDK has no public call
        that streams."""
        client = self.blob(key)
        with self.errors("read", key):
            ran = self._run(client, client.url, {**self.key_headers, **headers}, *SIZED, stream=True)
        answer = ran.http_response
        if answer.status_code not in (200, 206, 416):
            answer.internal_response.close()
            raise self.answered("read", key, answer)
        return answer

    def ask(self, verb: str, key: str, question: Mapping[str, str]) -> Any:
        """What the container answers to a GET with that query, as the SDK decodes it: XML is an Element."""
        from azure.core.pipeline.policies import ContentDecodePolicy

        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in question.items())
        url = f"{self.client.url}{'&' if '?' in self.client.url else '?'}{query}"
        with self.errors(verb, key):
            answer = self._run(self.client, url, {})
        if answer.http_response.status_code != 200:
            raise self.answered(verb, key, answer.http_response)
        return answer.context[ContentDecodePolicy.CONTEXT_NAME]

    def _run(
        self, client: Any, url: str, headers: Mapping[str, str], *fields: str, stream: bool = False
    ) -> PipelineResponse[Any, HttpResponse]:
        """A GET by the client's own pipeline, with its credentials and its retries."""
        from azure.core.pipeline.transport import HttpRequest

        request = HttpRequest("GET", url, {"x-ms-version": client.api_version, **headers})
        answer: PipelineResponse[Any, HttpResponse] = client._pipeline.run(request, stream=stream, **whole(*fields))
        return answer

    def info(self, key: str, found: BlobProperties) -> ObjectInfo:
        """From the answer to ``look``."""
        tier = tier_named(found.blob_tier)
        return ObjectInfo(
            key,
            found.size,
            found.etag.strip('"'),
            found.last_modified.astimezone(UTC),
            tier,
            kept_until(found),
            tier is not Tier.ARCHIVE,
        )

    def made(self, key: str, size: int, answer: Mapping[str, Any], until: datetime | None) -> ObjectInfo:
        """From the answer to a write, which does not name the tier: it is the account's default one."""
        modified = answer["last_modified"].astimezone(UTC)
        return ObjectInfo(key, size, answer["etag"].strip('"'), modified, locked_until=until)

    @contextlib.contextmanager
    def errors(self, verb: str, key: str) -> Iterator[None]:
        """The errors of the SDK, its credentials and its HTTP library as the storage port's."""
        from azure.core import exceptions as sdk
        from urllib3.exceptions import HTTPError

        try:
            yield
        except sdk.HttpResponseError as error:
            if error.response is not None and not isinstance(error, sdk.DecodeError):
                raise self.answered(verb, key, error.response) from None
            if isinstance(error, sdk.ClientAuthenticationError):
                raise self._without_credentials(verb, key, error) from None
            raise self._silent(verb, key, error) from None
        except (sdk.ServiceRequestError, sdk.ServiceResponseError, HTTPError, OSError, ValueError) as error:
            raise self._silent(verb, key, error) from None  # ValueError: an answer that is garbled
        except sdk.AzureError:  # no subclass: the answer's Content-MD5 is not that of the bytes sent
            raise self._changed_on_the_way(verb, key) from None

    def answered(self, verb: str, key: str, response: Any) -> BackupError:
        """Meaning of statuses and codes: "Blob Storage error codes" and "Common REST API error codes"."""
        status, code = response.status_code or 0, code_of(response)
        said = f"target '{self.target}' answered {status} {code}".rstrip()
        if code in _NO_CONTAINER:
            return ObjectMissing(verb, key, f"the container of target '{self.target}' does not exist")
        if status == 404:
            return faults.missing(verb, key, self.target)
        if code in _FROZEN:
            return faults.frozen(key, self.target)
        if code.startswith("BlobImmutable"):
            return ObjectLocked(verb, key, f"target '{self.target}' answered that it is locked")
        if code in _ON_THE_WAY:
            return self._changed_on_the_way(verb, key)
        if code in _DROPPED:
            return StorageUnavailable(verb, key, f"target '{self.target}' dropped the upload before its end")
        if code.startswith("Lease"):
            return StorageUnavailable(verb, key, f"another worker is moving it on target '{self.target}'")
        if code in _CHANGED or status == 412:
            replaced = ObjectDamaged(verb, key, "it was replaced while it was read")
            return replaced if verb == "read" else faults.exists(verb, key, self.target)
        if status == 507:
            return StorageFull(verb, key, said)
        if status >= 500 or status in (408, 429) or code in _PASSING:
            return StorageUnavailable(verb, key, said)
        return StorageDenied(verb, key, said, _DENIED_HINT if status == 403 else None)

    def corrupt(self, key: str) -> ObjectDamaged:
        """The bytes here are not those the target has an MD5 of."""
        cause = f"its bytes differ from the checksum that target '{self.target}' keeps of them"
        return ObjectDamaged("read", key, cause)

    def _silent(self, verb: str, key: str, error: Exception) -> StorageUnavailable:
        return StorageUnavailable(verb, key, f"target '{self.target}' cannot be reached ({type(error).__name__})")

    def _without_credentials(self, verb: str, key: str, error: Exception) -> StorageDenied:
        cause = f"there are no usable credentials for target '{self.target}' ({type(error).__name__})"
        return StorageDenied(verb, key, cause)

    def _changed_on_the_way(self, verb: str, key: str) -> StorageUnavailable:
        return StorageUnavailable(verb, key, f"its bytes were changed on the way to target '{self.target}'")


def tier_named(name: str | None) -> Tier:
    """The tier that the service calls so; a premium account has none, and is hot."""
    return next((tier for tier, told in TIERS.items() if told == name), Tier.HOT)


@contextlib.contextmanager
def but_gone() -> Iterator[None]:
    """Lets a call of the SDK find that what it is to delete is not there."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        yield
    except ResourceNotFoundError as error:
        if error.response is None or code_of(error.response) in _NO_CONTAINER:
            raise


def code_of(response: Any) -> str:
    """The code of an error answer; one that is not a plain word is left out."""
    code = str(response.headers.get("x-ms-error-code", ""))
    return code if re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,60}", code) else ""


def kept(until: datetime | None, held: bool | None) -> datetime | None:
    """Until when a policy, or a legal hold, keeps a version; None if nothing does, or no longer."""
    if held:
        return FOR_EVER
    return still_locked(until.astimezone(UTC)) if until else None


def kept_until(found: BlobProperties) -> datetime | None:
    """The same, of the answer to ``look``."""
    policy = found.immutability_policy
    return kept(policy.expiry_time if policy else None, found.has_legal_hold)


def whole(*fields: str, note: Callable[[HttpResponse], None] | None = None) -> dict[str, Any]:
    """An option of a call of the SDK: a good answer whose head breaks off, or lacks one of these fields, is asked for
    again. To the HTTP library it is whole, and without a body: a list of nothing. ``note`` gets every other answer."""
    from azure.core.exceptions import ServiceResponseError

    def check(answer: Any) -> None:
        said = answer.http_response
        ends = answer.http_request.method == "HEAD" or "content-length" in said.headers
        ends = ends or "transfer-encoding" in said.headers or said.headers.get("connection") == "close"
        if said.status_code < 300 and not (ends and all(name in said.headers for name in fields)):
            said.internal_response.close()
            raise ServiceResponseError("the head of the answer breaks off")
        if note:
            note(said)

    def keep(request: Any) -> None:
        request.context["response_callback"] = check  # a raw_response_hook the SDK forgets where a connection breaks

    return {"raw_request_hook": keep}


def if_still(tag: str) -> dict[str, Any]:
    """The condition of a call of the SDK that an object still has this tag."""
    from azure.core import MatchConditions

    return {"etag": f'"{tag}"', "match_condition": MatchConditions.IfNotModified}


def if_free() -> dict[str, Any]:
    """The condition of a call of the SDK that no object has the name."""
    from azure.core import MatchConditions

    return {"match_condition": MatchConditions.IfMissing}
