"""What a target must be able to do. Each driver passes tests/contract/test_storage.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from rlg_backup.core.model import Tier

Progress = Callable[[int], None]  # called with the number of bytes done since the last call


@dataclass(frozen=True)
class ObjectInfo:
    """An object as the target lists it. ``tag`` changes with every version of the object.

    ``locked_until`` (UTC, whole seconds) is in the future, or None: not locked, or no longer. ``readable``
    is False where the object must be thawed first. ``stat`` tells all of it; a listing and the others what
    they know for free: ``locked_until`` may be None there, and ``readable`` False of what was thawed.
    """

    key: str
    size: int
    tag: str
    modified: datetime
    tier: Tier = Tier.HOT
    locked_until: datetime | None = None
    readable: bool = True


@dataclass(frozen=True)
class TargetFacts:
    """What the target itself says; None where it does not, or where the credentials may not ask.

    ``region`` is the provider's name of where the bytes lie, asked from the provider. ``locks``: whether
    locks hold against the worker's own credentials. ``public``: whether strangers may read, or look.
    ``clock_skew``: the target's clock less ours, to the second. ``may_delete``: whether these credentials
    may remove an object for good.
    """

    region: str | None = None
    versioned: bool | None = None
    locks: bool | None = None
    public: bool | None = None
    clock_skew: timedelta | None = None
    may_delete: bool | None = None


class Storage(Protocol):
    """A flat store of immutable objects, and a few small ones replaced by compare-and-swap.

    Keys are relative, '/'-separated, of the characters ``A-Za-z0-9._-`` and '/'; anything else is
    refused with InvalidSetting before the target is touched. Every method raises StorageError's
    subclasses only: ObjectMissing, ObjectExists, ObjectLocked, ObjectFrozen, LockUnavailable,
    StorageUnavailable (transient), StorageDenied, StorageFull. Vendor exceptions never leak.

    Times of locks are aware, and rounded up to a whole second; one that has passed locks nothing.
    """

    name: str

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        progress: Progress | None = None,
        locked_until: datetime | None = None,
        replacing: bool = False,
    ) -> ObjectInfo:
        """Store a file's bytes under a key that must not exist yet (else ObjectExists), atomically.

        The bytes read are hashed on the way; if they are not ``sha256`` (hex), or cannot be read, nothing
        becomes visible and ObjectDamaged is raised. With ``locked_until`` the object is locked from the
        moment it is visible; LockUnavailable where the target keeps no locks, and nothing is stored.

        ``replacing``: whatever stands under the key is no ObjectExists, but is there until the new object takes its
        place, at once. ObjectLocked where it is locked; of a remote target, ObjectExists where another took its place
        meanwhile.
        """
        ...

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        """Store a small object if it does not exist (``replacing=None``) or still has the tag
        ``replacing``; else ObjectExists. Atomic between hosts: of two writers one wins. A locked object is
        not replaced (ObjectLocked); ``locked_until`` as for put_file."""
        ...

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        """A small object whole; ObjectDamaged if it is larger than ``limit`` bytes."""
        ...

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """The object as a stream that is read once, forward; memory stays bounded."""
        ...

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; ObjectDamaged if the object ends before."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Size, tag, tier and lock of an object."""
        ...

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        """Every object whose key starts with ``prefix``, in order of key; unfinished uploads never.

        ``edges``, in order, do not change what is listed: a target that gives pages may ask for what is between two of
        them at the same time as for the rest.
        """
        ...

    def lock(self, key: str, until: datetime) -> None:
        """Nobody with these credentials deletes or overwrites this version of the object before ``until``.

        Locks only ever become longer: a shorter one changes nothing. Idempotent. ObjectMissing,
        LockUnavailable.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone already is fine (idempotent). ObjectLocked while it is locked.

        A target that keeps versions hides it only: see erase.
        """
        ...

    def erase(self, key: str) -> int:
        """Delete an object and with it every older version, delete marker and soft-deleted copy; returns how
        many of them went, 0 if nothing was there (idempotent). ObjectLocked if one of them is locked: then
        the newest stays, and whatever of the rest went stays gone."""
        ...

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        """Move an object to a colder tier without its bytes passing through here.

        Content, metadata and lock stay; the tag may change. One that lies as cold already stays where it is
        (idempotent). Conditional on the version seen: ObjectExists if it was replaced meanwhile.
        InvalidSetting for a tier the target does not have.
        """
        ...

    def thaw(self, key: str, days: int) -> bool:
        """Ask that an object can be read, for that many days if it lies frozen; True once it can. Idempotent.

        Until then open, get_bytes and read_range raise ObjectFrozen.
        """
        ...

    def facts(self) -> TargetFacts:
        """What the target says of itself. StorageUnavailable or ObjectMissing where it does not answer at all."""
        ...

    def sweep(self, older_than: timedelta) -> int:
        """Remove what uploads that were broken off left behind; returns how many."""
        ...
