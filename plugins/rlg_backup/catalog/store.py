"""What the catalog asks of a target: the narrow part of the storage port that it uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol


class StoredObject(Protocol):
    """``tag`` changes with every version of the object; ``modified`` is by the target's own clock."""

    @property
    def key(self) -> str: ...

    @property
    def tag(self) -> str: ...

    @property
    def modified(self) -> datetime: ...


class Store(Protocol):
    """A target. Raises StorageError's subclasses only (storage/port.py has the whole contract)."""

    @property
    def name(self) -> str: ...

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> StoredObject:
        """Stores an object that is not there yet, or still has the tag ``replacing``; else ObjectExists."""
        ...

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, StoredObject]:
        """The object and its tag; ObjectMissing."""
        ...

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[StoredObject]:
        """Every object whose key starts with ``prefix``, in order of key; ``edges``: where it may be parted."""
        ...
