"""The three clouds as a project meets them: a target's settings, and how its credentials are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support.azure_server import ACCOUNT, AzureServer
from tests.support.gcs_server import GcsServer
from tests.support.s3_server import S3Server

PLACE = "rlg-backups"
PREFIX = "deep/er"


@dataclass(frozen=True)
class Cloud:
    """``settings`` of a target below PREFIX, ``environment`` for the SDK's own chain, ``connection`` as Airflow has it;
    ``contents`` are all objects there, by key."""

    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    connection: str
    connection_environment: Mapping[str, str]
    contents: Callable[[], dict[str, bytes]]


@contextmanager
def cloud(kind: str) -> Iterator[Cloud]:
    """An emulator with an empty bucket or container: ``s3``, ``gcs`` or ``azure``."""
    with {"s3": _s3, "gcs": _gcs, "azure": _azure}[kind]() as found:
        yield found


@contextmanager
def _s3() -> Iterator[Cloud]:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    with S3Server() as server:
        client = server.client()
        client.create_bucket(Bucket=PLACE)

        def contents() -> dict[str, bytes]:
            listed = client.list_objects_v2(Bucket=PLACE).get("Contents", ())
            return {one["Key"]: client.get_object(Bucket=PLACE, Key=one["Key"])["Body"].read() for one in listed}

        settings = {"type": "s3", "bucket": PLACE, "region": "us-east-1"}
        yield Cloud(
            _below(settings, server.url),
            keys,
            f"aws://testing:testing@/?region_name=us-east-1&endpoint_url={quote(server.url, safe='')}",
            {},
            contents,
        )


@contextmanager
def _gcs() -> Iterator[Cloud]:
    with GcsServer() as server:
        server.make_bucket(PLACE)
        bucket = server.client().bucket(PLACE)

        def contents() -> dict[str, bytes]:
            return {blob.name: blob.download_as_bytes() for blob in bucket.list_blobs()}

        anonymous = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "p"}}
        emulator = {"STORAGE_EMULATOR_HOST": server.url}  # the one way to tell the hook's client
        settings = {"type": "gcs", "bucket": PLACE, "project": "p"}
        yield Cloud(_below(settings, server.url), {}, json.dumps(anonymous), emulator, contents)


@contextmanager
def _azure() -> Iterator[Cloud]:
    with AzureServer() as server:
        server.make_container(PLACE)
        client = server.client()
        container = client.get_container_client(PLACE)

        def contents() -> dict[str, bytes]:
            return {blob.name: container.download_blob(blob.name).readall() for blob in container.list_blobs()}

        key = client.credential.account_key
        wasb = {"conn_type": "wasb", "login": ACCOUNT, "password": key, "host": server.url}
        settings = {"type": "azure", "container": PLACE}
        yield Cloud(_below(settings, server.url), {}, json.dumps(wasb), {}, contents)


def _below(settings: dict[str, Any], url: str) -> dict[str, Any]:
    return {**settings, "endpoint_url": url, "emulator": True, "prefix": PREFIX}
