"""Settings of targets: where backups are kept, each kind of storage with its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .fields import Place, Reference, Size, Strict

Lock = Literal["none", "governance", "compliance"]
"""Whether what is stored is locked until it expires: so that those may undo it whom the owner lets, or nobody."""


class _Target(Strict):
    """``jurisdiction``: where its bytes lie, one of ``residency.jurisdictions``; of a bucket its provider is asked."""

    lock: Lock = "none"
    jurisdiction: str | None = None


class LocalTarget(_Target):
    """A folder: a disk, a mounted share. ``quota``: how much it may hold; from ``quota_warning`` percent of it on that
    is told."""

    type: Literal["local"]
    path: Place
    quota: Size | None = None
    quota_warning: int = Field(default=80, ge=1, le=100)


class _Remote(_Target):
    """``emulator`` allows plain HTTP, for servers on this machine. ``customer_key``: refers to a key that the provider
    encrypts with and forgets, in place of one that it keeps."""

    prefix: str = ""
    endpoint_url: str | None = None
    emulator: bool = False
    customer_key: Reference | None = None

    @model_validator(mode="after")
    def _encrypted_on_the_way(self) -> _Remote:
        if self.endpoint_url and not self.endpoint_url.startswith("https://") and not self.emulator:
            raise ValueError("endpoint_url must be https:// unless the target is declared 'emulator: true'")
        return self

    @model_validator(mode="after")
    def _one_key(self) -> _Remote:
        kept = next((name for name in ("kms_key", "encryption_scope") if getattr(self, name, None)), None)
        if self.customer_key and kept:
            raise ValueError(f"customer_key and {kept} are two keys: give one")
        return self


class S3Target(_Remote):
    """A bucket of Amazon S3, or of what speaks its protocol. ``kms_key``: the id of a key in AWS KMS that the server
    encrypts with, beside our own encryption."""

    type: Literal["s3"]
    bucket: str
    region: str | None = None
    kms_key: str | None = None


class GcsTarget(_Remote):
    """A bucket of Google Cloud Storage. ``project``: who is billed where the credentials do not say; ``kms_key``: the
    name of a key in Cloud KMS."""

    type: Literal["gcs"]
    bucket: str
    project: str | None = None
    kms_key: str | None = None


class AzureTarget(_Remote):
    """A container of Azure Blob Storage. ``endpoint_url``: of the account, https://ACCOUNT.blob.core.windows.net;
    ``encryption_scope``: with which key the server encrypts. ``resource_id``: of the account, by which its region is
    asked for."""

    type: Literal["azure"]
    container: str
    endpoint_url: str
    encryption_scope: str | None = None
    resource_id: str | None = None


RemoteTarget = S3Target | GcsTarget | AzureTarget
Target = Annotated[LocalTarget | S3Target | GcsTarget | AzureTarget, Field(discriminator="type")]
