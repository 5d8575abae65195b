"""Records as they lie on a target: read and checked, written once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..core.errors import CatalogForged, CatalogGap, DamageError, ObjectDamaged, ObjectExists, ObjectMissing
from ..format.commit import CommitRecord
from ..format.retention import RetentionRecord
from ..format.signing import Signer
from .points import MOVED_HINT, Entry, RestorePoint
from .store import Store

RECORD_LIMIT = 1024 * 1024  # bytes; a commit record has some 600 and 120 for each other target, a retention record
# some 300 for each backup it names
_TRIES = 3  # times a record is read back, and sent again when it came back damaged


@dataclass(frozen=True)
class Head:
    """A record that was read and checked, and the SHA-256 of its bytes, in hex."""

    entry: Entry
    record: CommitRecord | RetentionRecord
    sha256: str


def check_record(data: bytes, entry: Entry, trusted: Sequence[Signer]) -> Head:
    """The record whose bytes are ``data``, as found at ``entry``.

    Raises DocumentDamaged, FormatUnsupported, SignatureInvalid, SignerUnknown, and CatalogForged when it
    is the record of another place, target or source.
    """
    form = CommitRecord if isinstance(entry, RestorePoint) else RetentionRecord
    record = form.load(data, trusted, path=entry.key, target=entry.target)
    return Head(entry, record, hashlib.sha256(data).hexdigest())


def read_record(store: Store, entry: Entry, trusted: Sequence[Signer]) -> Head:
    """Reads and checks a listed record; CatalogGap when it is gone by now, else as ``check_record``."""
    try:
        data, _ = store.get_bytes(entry.key, limit=RECORD_LIMIT)
    except ObjectMissing:
        cause = f"it was listed on target '{store.name}' and is gone"
        raise CatalogGap("read", entry.key, cause, "list the catalog again") from None
    return check_record(data, entry, trusted)


def put_record(store: Store, entry: Entry, data: bytes, trusted: Sequence[Signer]) -> None:
    """Stores a record once, and reads it back. The same bytes there already are fine.

    What stands there and is nobody's record was damaged on its way: no reader believes it, so the record that was
    decided takes its place. Raises CatalogForged for another record that is believed, ObjectDamaged when the target
    does not give back what it was sent.
    """
    with suppress(ObjectExists):
        store.put_bytes(entry.key, data)
    for _ in range(_TRIES):
        found, info = store.get_bytes(entry.key, limit=RECORD_LIMIT)
        if found == data:
            return
        if _is_record(found, entry, trusted):
            cause = f"target '{store.name}' holds another record of that name"
            raise CatalogForged("commit", entry.key, cause, MOVED_HINT)
        with suppress(ObjectExists):  # somebody else finishes the same commit
            store.put_bytes(entry.key, data, replacing=info.tag)
    raise ObjectDamaged("commit", entry.key, f"target '{store.name}' gives back other bytes than were sent")


def _is_record(data: bytes, entry: Entry, trusted: Sequence[Signer]) -> bool:
    try:
        check_record(data, entry, trusted)
    except DamageError:
        return False
    except CatalogForged:  # one that was made for another place
        return True
    return True


def follows(entries: Sequence[Entry], head: Head | None, record: CommitRecord | RetentionRecord) -> bool:
    """Whether a record is the next one after the newest of a listing."""
    previous = head.sha256 if head else None
    return (record.sequence, record.previous_sha256) == (len(entries) + 1, previous)
