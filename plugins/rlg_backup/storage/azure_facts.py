"""What a container of Azure Blob Storage, and the account it is in, say of themselves.

The storage service itself tells neither region nor versioning: these are known to Azure Resource Manager, by another
endpoint and with the account's resource id.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import InvalidSetting, ObjectMissing, StorageDenied, StorageUnavailable
from rlg_backup.storage.azure_container import Container, but_gone, whole
from rlg_backup.storage.port import TargetFacts

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.pipeline.transport import HttpResponse
    from azure.storage.blob import ContainerProperties

_RESOURCE_ID = re.compile(
    r"/subscriptions/[0-9A-Za-z-]+/resourceGroups/[\w.()-]+/providers/Microsoft\.Storage/storageAccounts/([a-z0-9]+)",
    re.IGNORECASE,
)
_MANAGEMENT = "https://management.azure.com"
_API_VERSION = "2023-05-01"
_NO_VERSION = "2000-01-01T00:00:00.0000000Z"


class StorageAccount:
    """A storage account as Azure Resource Manager knows it; ``resource_id`` is its id there, as the portal shows it.

    The credential needs the role Reader on the account; sovereign clouds have an ``endpoint`` of their own. Raises
    InvalidSetting; nothing is sent.
    """

    def __init__(self, resource_id: str, credential: TokenCredential, endpoint: str = _MANAGEMENT) -> None:
        given = _RESOURCE_ID.fullmatch(resource_id)
        if given is None:
            raise InvalidSetting("use", "azure", "the resource id is not one of a storage account")
        self.name = given[1]
        self._url, self._credential, self._scope = endpoint + resource_id, credential, endpoint + "/.default"

    def region(self) -> str:
        """Where the account lies ("Storage Accounts - Get Properties"). Raises the SDK's errors."""
        return str(self._get("")["location"]).lower()

    def versioned(self) -> bool:
        """Whether it keeps versions, or what is deleted ("Blob Services - Get Service Properties")."""
        said = self._get("/blobServices/default")["properties"]
        return bool(said.get("isVersioningEnabled") or said.get("deleteRetentionPolicy", {}).get("enabled"))

    def _get(self, below: str) -> Mapping[str, Any]:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
        from azure.core.rest import HttpRequest

        token = BearerTokenCredentialPolicy(self._credential, self._scope)
        client: Any = PipelineClient(self._url, policies=[RetryPolicy(retry_total=3), token])
        with client:
            answer = client.send_request(HttpRequest("GET", f"{self._url}{below}?api-version={_API_VERSION}"))
            answer.raise_for_status()
            said: Mapping[str, Any] = answer.json()
        return said


def ask_facts(container: Container, account: StorageAccount | None) -> TargetFacts:
    """Raises StorageUnavailable and ObjectMissing.

    ``locks``: an Unlocked policy does not hold against who set it. ``public``: what the container lets strangers do;
    that an account may forbid it to all its containers is not asked.
    """
    said, skew = _container(container)
    immutable = bool(said.immutable_storage_with_versioning_enabled) if said else None
    region, versioned = _account(container, account)
    return TargetFacts(
        region=region,
        versioned=True if immutable else versioned,
        locks=immutable and container.lock_mode == "Locked",
        public=bool(said.public_access) if said else None,
        clock_skew=skew,
        may_delete=_may_delete(container, bool(immutable or versioned)),
    )


def _container(container: Container) -> tuple[ContainerProperties | None, timedelta | None]:
    """The container's properties, if they may be asked, and the target's clock less ours."""
    dates: list[str] = []

    def note(answer: HttpResponse) -> None:
        if "date" in answer.headers:
            dates.append(answer.headers["date"])

    begun, said = datetime.now(UTC), None
    try:
        with container.errors("ask", container.client.container_name):
            said = container.client.get_container_properties(**whole("date", note=note))
    except StorageDenied:
        if not dates:
            raise
    if not dates:
        return said, None
    middle = begun + (datetime.now(UTC) - begun) / 2
    ahead = parsedate_to_datetime(dates[-1]).astimezone(UTC) - middle
    return said, timedelta(seconds=round(ahead.total_seconds()))


def _account(container: Container, account: StorageAccount | None) -> tuple[str | None, bool | None]:
    if account is None:
        return None, None
    try:
        with container.errors("ask", account.name):
            return account.region(), account.versioned()
    except LookupError:
        cause = f"the resource manager of target '{container.target}' answered with something else"
        raise StorageUnavailable("ask", account.name, cause) from None
    except StorageDenied:
        return None, None
    except ObjectMissing:
        cause = f"the resource id of target '{container.target}' is of no account"
        raise ObjectMissing("ask", account.name, cause) from None


def _may_delete(container: Container, versioned: bool) -> bool | None:
    """Asked by deleting what is not there, which a right is asked of before it is looked for: a name of its own, or,
    where versions are kept, a version of it, since that is the right that loses data."""
    which: Any = {"version_id": _NO_VERSION} if versioned else {}
    name = f"no-such-object-{secrets.token_hex(8)}"
    try:
        with container.errors("ask", name), but_gone():
            container.blob(name).delete_blob(**which, **whole())
    except StorageDenied as error:
        return False if "answered 403" in error.cause else None
    return True
