"""Commit records as they lie on a target: read and checked, written once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import CatalogForged, CatalogGap, ObjectExists, ObjectMissing
from ..format.commit import CommitRecord
from ..format.signing import Signer
from .points import MOVED_HINT, RestorePoint
from .store import Store

RECORD_LIMIT = 1024 * 1024  # bytes; a record has some 600, and 120 for each other target


@dataclass(frozen=True)
class Head:
    """A record that was read and checked, and the SHA-256 of its bytes, in hex."""

    point: RestorePoint
    record: CommitRecord
    sha256: str


def check_record(data: bytes, point: RestorePoint, trusted: Sequence[Signer]) -> Head:
    """The record whose bytes are ``data``, as found at ``point``.

    Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, and CatalogForged when it
    is the record of another place, target or source.
    """
    record = CommitRecord.load(data, trusted, path=point.key, target=point.target)
    return Head(point, record, hashlib.sha256(data).hexdigest())


def read_record(store: Store, point: RestorePoint, trusted: Sequence[Signer]) -> Head:
    """Reads and checks a listed record; CatalogGap when it is gone by now, else as ``check_record``."""
    try:
        data, _ = store.get_bytes(point.key, limit=RECORD_LIMIT)
    except ObjectMissing:
        cause = f"it was listed on target '{store.name}' and is gone"
        raise CatalogGap("read", point.key, cause, "list the catalog again") from None
    return check_record(data, point, trusted)


def put_record(store: Store, point: RestorePoint, data: bytes) -> None:
    """Stores a record once. The same bytes there already are fine; others raise CatalogForged."""
    try:
        store.put_bytes(point.key, data)
    except ObjectExists:
        found, _ = store.get_bytes(point.key, limit=RECORD_LIMIT)
        if found != data:
            cause = f"target '{store.name}' holds another record of that name"
            raise CatalogForged("commit", point.key, cause, MOVED_HINT) from None


def follows(points: Sequence[RestorePoint], head: Head | None, record: CommitRecord) -> bool:
    """Whether a record is the next one after the newest of a listing."""
    previous = head.sha256 if head else None
    return (record.sequence, record.previous_sha256) == (len(points) + 1, previous)
