"""Clients of targets from Airflow's connections: keys, roles, workload identity, whatever their provider takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config.targets import RemoteTarget

PREFIX = "rlg_target_"


def client(name: str, target: RemoteTarget) -> Any:
    """The client of the connection ``rlg_target_<name>``, or of the SDK's own chain where there is none. Raises
    StorageDenied where the connection gives none; a vendor's text may hold what the connection does."""
    from ..core.errors import BackupError, StorageDenied

    try:
        return _client(f"{PREFIX}{name}", name, target)
    except (BackupError, ImportError):
        raise
    except Exception as error:
        cause = f"its connection gives no client ({type(error).__name__})"
        raise StorageDenied("use", name, cause, f"look at the connection {PREFIX}{name}") from None


def _client(connection: str, name: str, target: RemoteTarget) -> Any:
    if not connection_exists(connection):
        from ..engine.targets import own_client

        return own_client(name, target)
    if target.type == "s3":
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return S3Hook(aws_conn_id=connection, region_name=target.region).get_conn()
    if target.type == "gcs":
        from airflow.providers.google.cloud.hooks.gcs import GCSHook

        return GCSHook(gcp_conn_id=connection).get_conn()
    from airflow.providers.microsoft.azure.hooks.wasb import WasbHook

    return WasbHook(wasb_conn_id=connection).get_conn()


def connection_exists(name: str) -> bool:
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        Connection.get(name)
    except AirflowNotFoundException:
        return False
    return True
