"""Clients of Azure Blob Storage for the command line, with credentials from the SDK's own chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import InvalidSetting

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

_EMULATOR = {  # the same in every emulator: "Use the Azurite emulator for local Azure Storage development"
    "account_name": "devstoreaccount1",
    "account_key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
}


def azure_client(
    account_url: str,
    *,
    emulator: bool = False,
    ca_bundle: Path | None = None,
    attempts: int = 6,
    pause: int = 2,
    connect_timeout: float = 10,
    read_timeout: float = 60,
) -> BlobServiceClient:
    """A client of the account at ``https://<account>.blob.core.windows.net``, for DefaultAzureCredential's identity.

    That is, the first there is of: environment variables, workload identity, managed identity, Azure CLI and the
    like. An ``emulator`` is spoken to with its well-known key. ``attempts`` counts the first one too; the n-th pause is
    ``pause`` ** n, more or less by a second at random. Times are in seconds. Nothing is sent. Raises InvalidSetting.
    """
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import BlobServiceClient, ExponentialRetry

    again = attempts - 1
    retries: dict[str, Any] = {"retry_total": again, "retry_connect": again, "retry_read": again, "retry_status": again}
    credential: Any = _EMULATOR if emulator else DefaultAzureCredential()
    try:
        return BlobServiceClient(
            account_url,
            credential,
            retry_policy=ExponentialRetry(0, pause, random_jitter_range=min(pause, 1), **retries),
            connection_timeout=connect_timeout,
            read_timeout=read_timeout,
            connection_verify=str(ca_bundle) if ca_bundle else True,
        )
    except ValueError:
        raise InvalidSetting("use", "azure", "its account URL is not one") from None
