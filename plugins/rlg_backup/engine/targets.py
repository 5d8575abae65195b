"""Settings of a target to its driver. The command line's clients find credentials by the SDK's own chain; Airflow's
side hands in those of its connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ..config.targets import AzureTarget, GcsTarget, LocalTarget, RemoteTarget, S3Target, Target
from ..core.errors import InvalidSetting, StorageError

if TYPE_CHECKING:
    from ..storage.port import Storage

Clients = Callable[[str, RemoteTarget], Any]
"""The vendor's client for a target, by its name and settings."""


def open_storage(
    name: str, target: Target, clients: Clients | None = None, customer_key: bytes | None = None
) -> Storage:
    """The driver; nothing is sent yet. Without usable credentials it is a target that is down: each operation says why.
    Raises InvalidSetting."""
    try:
        return _opened(name, target, clients, customer_key)
    except StorageError as error:
        return cast("Storage", _Unusable(name, error))
    except ImportError as error:
        cause = f"what speaks to it is not installed here (no module '{error.name}')"
        raise InvalidSetting("use", name, cause, "requirements-cli.lock has it") from None


class _Unusable:
    """A target that no client could be made for."""

    def __init__(self, name: str, error: StorageError) -> None:
        self.name, self._error = name, error

    def __getattr__(self, operation: str) -> Callable[..., NoReturn]:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise self._error

        return refuse


def _opened(name: str, target: Target, clients: Clients | None, customer_key: bytes | None) -> Storage:
    if isinstance(target, LocalTarget):
        from ..storage.local import LocalStorage

        return LocalStorage(name, target.path, quota=target.quota)
    client = (clients or own_client)(name, target)
    if isinstance(target, S3Target):
        return _s3(name, target, client, customer_key)
    if isinstance(target, GcsTarget):
        return _gcs(name, target, client, customer_key)
    return _azure(name, target, client, customer_key)


def own_client(name: str, target: RemoteTarget) -> Any:
    """The client of a target, ``name`` or any other, by the SDK's chain of credentials."""
    if isinstance(target, S3Target):
        from ..storage.s3_client import s3_client

        return s3_client(region=target.region, endpoint_url=target.endpoint_url)
    if isinstance(target, GcsTarget):
        from ..storage.gcs import gcs_client

        return gcs_client(target.project, target.endpoint_url, emulator=target.emulator)
    from ..storage.azure_client import azure_client

    return azure_client(target.endpoint_url, emulator=target.emulator)


def _s3(name: str, target: S3Target, client: Any, customer_key: bytes | None) -> Storage:
    from ..storage.s3 import S3Storage

    own_key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": target.kms_key, "BucketKeyEnabled": True}
    return S3Storage(
        name,
        client,
        target.bucket,
        target.prefix,
        encryption=own_key if target.kms_key else None,
        customer_key=customer_key,
        lock_mode="GOVERNANCE" if target.lock == "governance" else "COMPLIANCE",
        emulator=target.emulator,
    )


def _gcs(name: str, target: GcsTarget, client: Any, customer_key: bytes | None) -> Storage:
    from ..storage.gcs import GcsStorage

    return GcsStorage(
        name,
        client,
        target.bucket,
        target.prefix,
        lock_mode="Unlocked" if target.lock == "governance" else "Locked",
        kms_key_name=target.kms_key,
        customer_key=customer_key,
        emulator=target.emulator,
    )


def _azure(name: str, target: AzureTarget, client: Any, customer_key: bytes | None) -> Storage:
    from ..storage.azure import AzureStorage

    account = None
    if target.resource_id:
        from azure.identity import DefaultAzureCredential

        from ..storage.azure_facts import StorageAccount

        account = StorageAccount(target.resource_id, DefaultAzureCredential())
    return AzureStorage(
        name,
        client,
        target.container,
        target.prefix,
        lock_mode="Unlocked" if target.lock == "governance" else "Locked",
        encryption_scope=target.encryption_scope,
        customer_key=customer_key,
        account=account,
        emulator=target.emulator,
    )
