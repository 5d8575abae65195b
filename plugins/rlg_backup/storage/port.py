"""What a target must be able to do. Each driver passes tests/contract/test_storage.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

Progress = Callable[[int], None]  # called with the number of bytes done since the last call


@dataclass(frozen=True)
class ObjectInfo:
    """An object as the target lists it. ``tag`` changes with every version of the object."""

    key: str
    size: int
    tag: str
    modified: datetime


class Storage(Protocol):
    """A flat store of immutable objects, and a few small ones replaced by compare-and-swap.

    Keys are relative, '/'-separated, of the characters ``A-Za-z0-9._-`` and '/'; anything else is
    refused with InvalidSetting before the target is touched. Every method raises StorageError's
    subclasses only: ObjectMissing, ObjectExists, StorageUnavailable (transient), StorageDenied,
    StorageFull. Vendor exceptions never leak.
    """

    name: str

    def put_file(self, key: str, path: Path, *, sha256: str, progress: Progress | None = None) -> ObjectInfo:
        """Store a file's bytes under a key that must not exist yet (else ObjectExists), atomically.

        The bytes read are hashed on the way; if they are not ``sha256`` (hex), or cannot be read, nothing
        becomes visible and ObjectDamaged is raised.
        """
        ...

    def put_bytes(self, key: str, data: bytes, *, replacing: str | None = None) -> ObjectInfo:
        """Store a small object if it does not exist (``replacing=None``) or still has the tag
        ``replacing``; else ObjectExists. Atomic between hosts: of two writers one wins."""
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
        """Size and tag of an object."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with ``prefix``, in order of key; unfinished uploads never."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone already is fine (idempotent)."""
        ...

    def sweep(self, older_than: timedelta) -> int:
        """Remove what uploads that were broken off left behind; returns how many."""
        ...
