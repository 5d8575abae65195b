"""The client with which the command line reaches S3; in Airflow the provider's hook makes one."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlg_backup.core.errors import InvalidSetting

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(
    region: str | None = None,
    endpoint_url: str | None = None,
    *,
    profile: str | None = None,
    ca_bundle: Path | None = None,
    attempts: int = 6,
    connect_timeout: float = 10,
    read_timeout: float = 60,
) -> S3Client:
    """A client for the command line: credentials come from the SDK's own chain (environment, profile, role).

    ``attempts`` counts the first one too, and the SDK slows down when told to; times are in seconds. With an
    ``endpoint_url`` the bucket goes into the path. Nothing is sent. Raises InvalidSetting.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        tcp_keepalive=True,
        signature_version="s3v4",
        # The signature covers the checksum of the body, which the service compares: not the body once more.
        s3={"addressing_style": "path" if endpoint_url else "auto", "payload_signing_enabled": False},
    )
    verify = str(ca_bundle) if ca_bundle else None
    try:
        core = get_session()
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_instant)
        session = boto3.Session(profile_name=profile, region_name=region, botocore_session=core)
        return session.client("s3", endpoint_url=endpoint_url, config=config, verify=verify)
    except (BotoCoreError, ValueError) as error:
        cause = f"the SDK refuses its region, endpoint or profile ({type(error).__name__})"
        raise InvalidSetting("use", "s3", cause) from None


def _instant(value: Any) -> datetime:
    """A time of an answer. The SDK guesses the format of each, which is two thirds of the work of a listing."""
    from botocore.utils import parse_timestamp

    if isinstance(value, str) and value.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value)
    parsed: datetime = parse_timestamp(value)  # of a header, as HTTP writes it
    return parsed
