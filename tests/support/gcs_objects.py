"""Buckets and objects as Cloud Storage keeps them, for the emulator in gcs_server.py.

Each rule names the page of Google's documentation it is taken from ("Object Retention Lock" and the like).
No emulator in PyPI or npm knows them: of fake-gcs-server 1.54, gcp-storage-emulator and others none refuses
to delete a retained object, compares a checksum that was sent, answers how far an upload has come, moves an
object to another class or tells what credentials may do.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import google_crc32c

Resource = dict[str, Any]
QUANTUM = 256 * 1024  # "Resumable uploads": what is kept of an upload is a multiple of this
_REWRITTEN = 4 << 20  # bytes a rewrite does in one call; Google's number is larger, and its callers must loop too


class Refused(Exception):
    """A request that is answered with an error: "HTTP status and error codes for JSON"."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(status, reason, message)
        self.status, self.reason, self.message = status, reason, message


def now() -> datetime:
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


@dataclass
class Version:
    """One generation of an object. ``key`` is the SHA-256 of a customer's key, which is not kept."""

    resource: Resource
    data: bytes
    key: str | None = None

    @property
    def generation(self) -> int:
        return int(self.resource["generation"])

    @property
    def retained_until(self) -> datetime | None:
        held = self.resource.get("retention")
        return _until(held) if held and _until(held) > now() else None


@dataclass
class Upload:
    """A resumable upload: what was said at its start, and what has come since."""

    bucket: Bucket
    wanted: Resource
    conditions: dict[str, int]
    key: str | None
    data: bytearray = field(default_factory=bytearray)
    done: Version | None = None
    cancelled: bool = False


class Bucket:
    """Objects live, noncurrent and soft-deleted. Everything happens under one lock."""

    def __init__(self, resource: Resource) -> None:
        made = stamp(now())
        defaults: Resource = {
            "kind": "storage#bucket",
            "location": "US",
            "storageClass": "STANDARD",
            "timeCreated": made,
            "metageneration": "1",
            "versioning": {"enabled": False},
            "softDeletePolicy": {"retentionDurationSeconds": "604800"},  # "Soft delete": seven days unless told
            "iamConfiguration": {
                "publicAccessPrevention": "inherited",
                "uniformBucketLevelAccess": {"enabled": True},
            },
        }
        self.resource = defaults | resource
        self.name: str = resource["name"]
        self.lock = threading.RLock()
        self.live: dict[str, Version] = {}
        self.noncurrent: list[Version] = []
        self.softly: list[Version] = []
        self.denied: set[str] = set()  # permissions that the caller has not
        self.bindings: list[Resource] = []
        self._generations = itertools.count(time.time_ns() // 1000)

    # --- looking ------------------------------------------------------------------------------------

    def demand(self, *permissions: str) -> None:
        """ "IAM permissions for JSON methods"."""
        for permission in permissions:
            if permission in self.denied:
                text = f"caller does not have {permission} access to the Google Cloud Storage object."
                raise Refused(403, "forbidden", text)

    def find(self, name: str, generation: int | None = None) -> Version:
        """The live version, or the one asked for."""
        version = self.live.get(name)
        if generation is not None and (version is None or version.generation != generation):
            matching = (v for v in self.noncurrent if v.resource["name"] == name and v.generation == generation)
            version = next(matching, None)
        if version is None:
            raise Refused(404, "notFound", f"No such object: {self.name}/{name}")
        return version

    def listed(self, prefix: str, *, versions: bool, softly: bool) -> list[Version]:
        """In order of name, then of generation: "Objects: list"."""
        found = list(self.softly) if softly else list(self.live.values())
        if versions:
            found += self.noncurrent
        chosen = (v for v in found if v.resource["name"].startswith(prefix))
        return sorted(chosen, key=lambda v: (v.resource["name"].encode(), v.generation))

    def check(self, name: str, conditions: dict[str, int]) -> None:
        """ "Request preconditions": generation 0 is an object that is not there."""
        version = self.live.get(name)
        present = {"ifGenerationMatch": 0, "ifMetagenerationMatch": 0}
        if version:
            present = {
                "ifGenerationMatch": version.generation,
                "ifMetagenerationMatch": int(version.resource["metageneration"]),
            }
        if any(present.get(condition, value) != value for condition, value in conditions.items()):
            text = "At least one of the pre-conditions you specified did not hold."
            raise Refused(412, "conditionNotMet", text)

    def check_retention(self, wanted: Resource) -> None:
        if wanted.get("retention") and self.resource.get("objectRetention", {}).get("mode") != "Enabled":
            text = "Object retention can be set on objects of buckets that have it enabled only."
            raise Refused(400, "invalid", text)

    # --- changing -----------------------------------------------------------------------------------

    def store(self, wanted: Resource, data: bytes, conditions: dict[str, int], key: str | None) -> Version:
        """A new generation, if the conditions hold and the checksums that were sent are the bytes' own."""
        checksums = {"crc32c": crc32c(data), "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode()}
        with self.lock:
            self.check(wanted["name"], conditions)
            self.demand("storage.objects.create")
            for kind, value in checksums.items():
                if wanted.get(kind, value) != value:
                    text = f'Provided {kind} "{wanted[kind]}" doesn\'t match calculated {kind} "{value}".'
                    raise Refused(400, "invalid", text)
            self.check_retention(wanted)
            self._displace(wanted["name"])
            made = stamp(now())
            generation = str(next(self._generations))
            kept = ("name", "contentType", "metadata", "storageClass", "retention", "kmsKeyName")
            resource: Resource = {
                "kind": "storage#object",
                "bucket": self.name,
                "storageClass": self.resource["storageClass"],
                **{field_: wanted[field_] for field_ in kept if wanted.get(field_) is not None},
                "size": str(len(data)),
                "generation": generation,
                "metageneration": "1",
                "timeCreated": made,
                "updated": made,
                "etag": base64.b64encode(generation.encode()).decode(),
                **checksums,
            }
            if key:
                resource["customerEncryption"] = {"encryptionAlgorithm": "AES256", "keySha256": key}
            version = Version(resource, data, key)
            self.live[wanted["name"]] = version
            return version

    def patch(self, name: str, changes: Resource, conditions: dict[str, int], *, override: bool) -> Version:
        with self.lock:
            self.demand("storage.objects.update")
            version = self.find(name)
            self.check(name, conditions)
            if "retention" in changes:
                self._retain(version, changes, override=override)
            version.resource |= {field_: changes[field_] for field_ in ("metadata",) if field_ in changes}
            version.resource["metageneration"] = str(int(version.resource["metageneration"]) + 1)
            version.resource["updated"] = stamp(now())
            return version

    def delete(self, name: str, generation: int | None, conditions: dict[str, int]) -> None:
        """ "Object Versioning": without a generation the live one becomes noncurrent, where versions are kept."""
        with self.lock:
            self.demand("storage.objects.delete")
            version = self.find(name, generation)
            self.check(name, conditions)
            if generation is None:
                self._displace(name)
                return
            self._removable(version)
            if self.live.get(name) is version:
                del self.live[name]
            else:
                self.noncurrent.remove(version)
            self._soft_delete(version)

    def rewrite(
        self, name: str, wanted: Resource, conditions: dict[str, int], done: int, key: str | None
    ) -> tuple[int, Version | None]:
        """ "Objects: rewrite", onto itself: how many bytes are done, and the new version once all are."""
        with self.lock:
            version = self.find(name)
            self.check(name, conditions)
            done = min(done + _REWRITTEN, len(version.data))
            if done < len(version.data):
                return done, None
            kept = wanted if wanted else version.resource
            return done, self.store({**kept, "name": name, "crc32c": crc32c(version.data)}, version.data, {}, key)

    def _displace(self, name: str) -> None:
        version = self.live.get(name)
        if version is None:
            return
        self.demand("storage.objects.delete")  # replacing takes it too
        if self.resource["versioning"]["enabled"]:
            # "Object Retention Lock": one that is retained can still be made noncurrent.
            version.resource["timeDeleted"] = stamp(now())
            self.noncurrent.append(version)
        else:
            self._removable(version)
            self._soft_delete(version)
        del self.live[name]

    def _removable(self, version: Version) -> None:
        if until := version.retained_until:
            text = f"Object '{version.resource['name']}' is subject to retention until '{stamp(until)}'"
            raise Refused(403, "retentionPolicyNotMet", text)

    def _soft_delete(self, version: Version) -> None:
        """ "Soft delete": it can be listed and restored, and nobody can delete it before its time."""
        if kept := int(self.resource["softDeletePolicy"]["retentionDurationSeconds"]):
            gone = {"softDeleteTime": stamp(now()), "hardDeleteTime": stamp(now() + timedelta(seconds=kept))}
            self.softly.append(Version(version.resource | gone, version.data, version.key))

    def _retain(self, version: Version, changes: Resource, *, override: bool) -> None:
        """ "Object Retention Lock": Locked never becomes shorter or Unlocked; "Objects: patch": Unlocked becomes
        shorter or Locked where that is asked for."""
        self.demand("storage.objects.setRetention")
        self.check_retention(changes)
        held, wanted = version.resource.get("retention"), changes["retention"]
        if held:
            reduced = not wanted or _until(wanted) < _until(held)
            switched = bool(wanted) and wanted["mode"] != held["mode"]
            if (reduced or switched) and (held["mode"] == "Locked" or not override):
                raise Refused(403, "retentionPolicyNotMet", "The retention of the object cannot be changed so.")
        version.resource["retention"] = wanted


def _until(retention: Resource) -> datetime:
    return datetime.fromisoformat(retention["retainUntilTime"])


def pages(found: list[Version], size: int, after: str) -> tuple[list[Version], str | None]:
    """A page of a listing, and the token of the next one."""
    start = int(after or 0)
    end = start + min(size, 1000)
    return found[start:end], str(end) if end < len(found) else None


def received(upload: Upload, start: int, total: int | None, pieces: Iterator[bytes]) -> Version | None:
    """ "Resumable uploads": takes a chunk in, and gives the object once that was the last.

    What was taken in already is passed over. Unless the chunk is the last, what is kept ends at a multiple
    of 256 KiB; so does what is kept of a chunk whose connection broke.
    """
    if start > len(upload.data):
        raise Refused(400, "invalid", "The chunk does not begin where the one before ended.")
    passed = len(upload.data) - start
    try:
        for piece in pieces:
            upload.data += piece[passed:]
            passed = max(0, passed - len(piece))
    finally:
        if total is None or len(upload.data) < total:
            del upload.data[len(upload.data) // QUANTUM * QUANTUM :]
    if total is None or len(upload.data) < total:
        return None
    upload.done = upload.bucket.store(upload.wanted, bytes(upload.data), upload.conditions, upload.key)
    return upload.done
