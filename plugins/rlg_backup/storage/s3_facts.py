"""What an S3 bucket says of itself. Each question is one request, and one that is refused is an answer not had."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rlg_backup.core.errors import ObjectMissing, StorageDenied
from rlg_backup.storage.clock import skew
from rlg_backup.storage.port import TargetFacts
from rlg_backup.storage.s3_bucket import Bucket, answer
from rlg_backup.storage.s3_versions import keeps_locks

_FIRST_REGION = "us-east-1"  # has no location: Amazon S3 API Reference, "GetBucketLocation"
_EVERYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)


def facts(bucket: Bucket) -> TargetFacts:
    """See ``Storage.facts``."""
    client, name = bucket.client, {"Bucket": bucket.name}
    begun = datetime.now(UTC)
    head = _ask(bucket, lambda: client.head_bucket(**name))  # a bucket that is not there ends it here
    ended = datetime.now(UTC)
    date = (head or {}).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    versioning = _ask(bucket, lambda: client.get_bucket_versioning(**name))
    return TargetFacts(
        region=(head or {}).get("BucketRegion") or _location(bucket),
        versioned=None if versioning is None else versioning.get("Status") == "Enabled",
        locks=keeps_locks(bucket),
        public=_public(bucket),
        clock_skew=skew(date, begun, ended),
        may_delete=_may_delete(bucket, never_versioned=versioning is not None and "Status" not in versioning),
    )


def _ask(bucket: Bucket, question: Callable[[], Any], absent: str = "") -> Any:
    """The answer; None if it is refused, or, for the code ``absent``, an empty one."""
    try:
        with bucket.errors("ask", bucket.name):
            try:
                return bucket.ask("ask", bucket.name, question)
            except bucket.client.exceptions.ClientError as error:
                if absent and answer(error)[1] == absent:
                    return {}
                raise
    except StorageDenied:
        return None
    except ObjectMissing:
        raise ObjectMissing("ask", bucket.name, f"the bucket of target '{bucket.target}' does not exist") from None


def _location(bucket: Bucket) -> str | None:
    found = _ask(bucket, lambda: bucket.client.get_bucket_location(Bucket=bucket.name))
    if found is None:
        return None
    location = found.get("LocationConstraint") or _FIRST_REGION
    return "eu-west-1" if location == "EU" else str(location)


def _public(bucket: Bucket) -> bool | None:
    """Whether the bucket's policy or its access list lets everybody in, if they are not blocked."""
    client, name = bucket.client, {"Bucket": bucket.name}
    block = _ask(bucket, lambda: client.get_public_access_block(**name), "NoSuchPublicAccessBlockConfiguration")
    blocked = (block or {}).get("PublicAccessBlockConfiguration", {})
    policy = _ask(bucket, lambda: client.get_bucket_policy_status(**name), "NoSuchBucketPolicy")
    grants = _ask(bucket, lambda: client.get_bucket_acl(**name))
    by_policy = None if policy is None else policy.get("PolicyStatus", {}).get("IsPublic", False)
    by_grant = None if grants is None else any(g["Grantee"].get("URI") in _EVERYBODY for g in grants["Grants"])
    ways = (
        False if blocked.get("RestrictPublicBuckets") else by_policy,
        False if blocked.get("IgnorePublicAcls") else by_grant,
    )
    return True if True in ways else None if None in ways else False


def _may_delete(bucket: Bucket, *, never_versioned: bool) -> bool | None:
    """Asked by deleting what is not there: a key of a random name, which S3 answers as it would one that is.

    Where versions are kept, or may be, the version "null" of it: that asks for the right to delete versions, which
    is the one that loses data, and leaves no delete marker behind.
    """
    probe = bucket.address(f"no-such-object-{secrets.token_hex(8)}", None if never_versioned else "null")
    try:
        with bucket.errors("ask", bucket.name):
            bucket.client.delete_object(**probe)
    except StorageDenied as error:
        return False if "answered 403" in error.cause else None
    except ObjectMissing:
        return None
    return True
