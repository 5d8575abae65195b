"""What a bucket of Google Cloud Storage says of itself: region, versions, locks, strangers, clock, rights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from rlg_backup.core.errors import StorageDenied
from rlg_backup.storage.gcs_bucket import Bucket
from rlg_backup.storage.port import TargetFacts

Result = TypeVar("Result")

_DELETE, _UNLOCK = "storage.objects.delete", "storage.objects.overrideUnlockedRetention"
_STRANGERS = {"allUsers", "allAuthenticatedUsers"}


def ask_facts(bucket: Bucket, lock_mode: str) -> TargetFacts:
    """From "Buckets: get", "testIamPermissions" and "getIamPolicy". Raises StorageUnavailable and ObjectMissing.

    ``region`` is the location in lower case; ``versioned`` counts soft delete too, since what it keeps comes back.
    An Unlocked retention locks as far as these credentials may not override it.
    """
    said, skew = _bucket(bucket)
    granted = _asked(bucket, lambda of: of.test_iam_permissions([_DELETE, _UNLOCK], **bucket.calls))
    locks = None
    if said is not None:
        locks = said.get("objectRetention", {}).get("mode") == "Enabled"
        if locks and lock_mode != "Locked":
            locks = None if granted is None else _UNLOCK not in granted
    return TargetFacts(
        region=said["location"].lower() if said else None,
        versioned=_keeps_versions(said) if said else None,
        locks=locks,
        public=_public(bucket, said),
        clock_skew=skew,
        may_delete=None if granted is None else _DELETE in granted,
    )


def _bucket(bucket: Bucket) -> tuple[Mapping[str, Any] | None, timedelta]:
    """The bucket's resource, if it may be asked, and the target's clock less ours."""
    url = f"{bucket.client.api_endpoint}/storage/v1{bucket.client.bucket(bucket.name).path}"
    with bucket.errors("ask", bucket.name):
        began = datetime.now(UTC)
        answer = bucket.persist(lambda: bucket.request("GET", url, 200, 403))
        middle = began + (datetime.now(UTC) - began) / 2
    ahead = parsedate_to_datetime(answer.headers["Date"]) - middle
    return answer.json() if answer.status_code == 200 else None, timedelta(seconds=round(ahead.total_seconds()))


def _keeps_versions(said: Mapping[str, Any]) -> bool:
    softly = int(said.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0))
    return bool(said.get("versioning", {}).get("enabled") or softly)


def _public(bucket: Bucket, said: Mapping[str, Any] | None) -> bool | None:
    """ "Public access prevention" where it is enforced; else the policy, which tells all where no ACLs are."""
    iam = said.get("iamConfiguration", {}) if said else {}
    if iam.get("publicAccessPrevention") == "enforced":
        return False
    policy = _asked(bucket, lambda of: of.get_iam_policy(**bucket.calls))
    if policy is None:
        return None
    if any(_STRANGERS & set(binding["members"]) for binding in policy.bindings):
        return True
    return False if iam.get("uniformBucketLevelAccess", {}).get("enabled") else None


def _asked(bucket: Bucket, call: Callable[[Any], Result]) -> Result | None:
    """What a call of the SDK's bucket says; None where these credentials may not ask."""
    try:
        with bucket.errors("ask", bucket.name):
            return call(bucket.client.bucket(bucket.name))
    except StorageDenied:
        return None
