"""Parsers of JSON documents."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.fuzz.target import SIGNING, file_of, target
from tests.unit.format import documents

from rlg_backup.catalog.lease_file import LeaseFile, Pending
from rlg_backup.catalog.seen import SeenHead, SeenHeads
from rlg_backup.format.canonical import parse, serialize
from rlg_backup.format.change_state import ChangeState
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.manifest import Manifest
from rlg_backup.format.profile import Profile
from rlg_backup.format.retention import RetentionRecord
from rlg_backup.format.signing import sign, verify


def canonical_documents() -> list[bytes]:
    return [serialize(value, "seed") for value in ({}, {"a": [1, -0.5, "ü\0", None, True, {"b": {}}]})]


@target("canonical", canonical_documents, json=True)
def canonical(data: bytes) -> object:
    value = parse(data, "document")
    assert serialize(value, "document") == data
    return value


@target("manifest", lambda: [serialize(documents.MANIFEST, "seed")], json=True)
def manifest(data: bytes) -> object:
    found = Manifest.from_dict(parse(data, "manifest"), "manifest")
    assert Manifest.from_dict(found.to_dict(), "manifest") == found
    return found


@target("commit", lambda: [serialize(documents.COMMIT, "seed")], json=True)
def commit(data: bytes) -> object:
    found = CommitRecord.from_dict(parse(data, "record"), "record")
    assert CommitRecord.from_dict(found.to_dict(), "record") == found
    return found


@target("retention", lambda: [serialize(documents.RETENTION, "seed")], json=True)
def retention(data: bytes) -> object:
    found = RetentionRecord.from_dict(parse(data, "record"), "record")
    assert RetentionRecord.from_dict(found.to_dict(), "record") == found
    assert found.state.after(found.events).to_dict()
    return found


def profiles() -> list[bytes]:
    return [serialize({"type": "profile", "version": 1, **documents.PROFILE}, "seed")]


@target("profile", profiles, json=True)
def profile(data: bytes) -> object:
    found = Profile.load(data, sha256=hashlib.sha256(data).hexdigest())
    given: dict[str, Any] = parse(data, "profile")  # of before, what is named since may be missing
    tables = [{"within": [], "change": None, **table} for table in given["tables"]]
    tree = given["tree"] and {"change": None, **given["tree"]}
    assert found.to_bytes() == serialize({"row_digest": "sha256", **given, "tables": tables, "tree": tree}, "profile")
    return found


def change_states() -> list[bytes]:
    return [serialize({"type": "change-state", "version": 1, **documents.STATE}, "seed")]


@target("change_state", change_states, json=True)
def change_state(data: bytes) -> object:
    found = ChangeState.load(data, source="rlg_data", backup_id=documents.BACKUP)
    assert ChangeState.load(found.to_bytes(), source="rlg_data", backup_id=documents.BACKUP) == found
    return found


@target("signed", lambda: [sign("commit", documents.COMMIT, SIGNING)], json=True)
def signed(data: bytes) -> object:
    """Bytes with the signature that only the seed can have; whatever is accepted is the seed's body."""
    found = verify("commit", data, [SIGNING.signer])
    assert found == documents.COMMIT, "a document nobody signed was accepted"
    return found


def leases() -> list[bytes]:
    pending = Pending("catalog/app/00000001-20261123T020000Z-7f3a9c2e-full.json", b"{}")
    held = {"token": 3, "nonce": "0" * 16, "holder": "host/1", "seconds": 60, "pending": pending}
    from datetime import UTC, datetime

    return [
        LeaseFile(1, "0" * 16, None, 60, None).to_bytes("seed"),
        LeaseFile(**held, expires_at=datetime(2026, 11, 23, tzinfo=UTC)).to_bytes("seed"),  # type: ignore[arg-type]
    ]


@target("lease", leases, json=True)
def lease(data: bytes) -> object:
    found = LeaseFile.parse(data, "lease.json")
    assert found.to_bytes("lease.json") == data
    return found


def seen_heads() -> list[bytes]:
    with file_of(b"", "seen.json") as path:
        path.unlink()
        seen = SeenHeads(path)
        for name in ("local", "s3"):
            seen.remember(name, "app", SeenHead(7, "a" * 64))
        return [path.read_bytes()]


@target("seen", seen_heads, json=True)
def seen(data: bytes) -> object:
    with file_of(data, "seen.json") as path:
        heads = SeenHeads(path)
        heads.remember("other", "app", SeenHead(1, "b" * 64))
        return heads.get("local", "app")
