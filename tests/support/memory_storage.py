"""A target without a disk: cheap enough for tens of thousands of trials. It passes tests/contract/test_storage.py."""

from __future__ import annotations

import io
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from rlg_backup.core.model import Tier
from rlg_backup.storage import faults
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix
from rlg_backup.storage.locks import lock_time, still_locked
from rlg_backup.storage.port import ObjectInfo, Progress, TargetFacts

_PIECE = 1 << 20
_SPOOLED = 4 << 20  # bytes; a larger object is kept in an unnamed file


class Content:
    """Bytes that are added to, and then read at an offset."""

    def __init__(self, data: bytes = b"") -> None:
        self._spool = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115  # it lives as long as the object
        self._lock = threading.Lock()
        self.size = 0
        self.append(data)

    def append(self, data: bytes) -> None:
        self._spool.write(data)
        self.size += len(data)

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._spool.seek(offset)
            return self._spool.read(length)


@dataclass
class Shelf:
    """What several storages, as of several processes, have in common: the objects, and one lock.

    ``clock`` is the target's. With ``versioned``, what is deleted or replaced stays until it is erased: ``older``
    has it, by key, oldest first. What is asked to be thawed stays frozen until ``MemoryStorage.melt``.
    """

    objects: dict[str, tuple[ObjectInfo, Content]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    versioned: bool = False
    locks: bool = True
    may_delete: bool = True
    older: dict[str, list[tuple[ObjectInfo, Content]]] = field(default_factory=dict)
    thawing: set[str] = field(default_factory=set)


class MemoryStorage:
    """``Storage`` on a shelf in memory, with every tier; what lies in ``archive`` must be thawed."""

    def __init__(self, name: str, shelf: Shelf | None = None) -> None:
        self.name, self.shelf = name, shelf or Shelf()

    # --- what a test does behind the driver's back --------------------------------------------------

    def plant(self, key: str, data: bytes) -> None:
        """Makes an object be these bytes, whatever was there."""
        self._place(key, Content(data))

    def bytes_of(self, key: str) -> bytes:
        """An object whole."""
        info, content = self.shelf.objects[key]
        return content.read(0, info.size)

    def keys(self, prefix: str = "") -> list[str]:
        return [info.key for info in self.list(prefix)]

    def melt(self) -> None:
        """Ends the thaws that were asked for."""
        for key in self.shelf.thawing & self.shelf.objects.keys():
            info, content = self.shelf.objects[key]
            self.shelf.objects[key] = replace(info, readable=True), content
        self.shelf.thawing.clear()

    # --- the port -----------------------------------------------------------------------------------

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
        until = self._lock_time("store", check_key("store", key), locked_until)
        content = Content()
        with PromisedFile("store", key, path, sha256) as source:
            standing = self.shelf.objects.get(key)
            if standing is not None and not replacing:
                raise faults.exists("store", key, self.name)
            while block := source.read(_PIECE):
                content.append(block)
                if progress:
                    progress(len(block))
            source.verify()
        with self.shelf.lock:
            if self.shelf.objects.get(key) != standing:
                raise (faults.replaced if replacing else faults.exists)("store", key, self.name)
            if standing is not None:
                self._take_down("store", key)
            return self._place(key, content, until)

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        until = self._lock_time("store", check_key("store", key), locked_until)
        with self.shelf.lock:
            found = self.shelf.objects.get(key)
            if replacing is None and found is not None:
                raise faults.exists("store", key, self.name)
            if replacing is not None:
                if found is None or found[0].tag != replacing:
                    raise faults.replaced("store", key, self.name)
                self._take_down("store", key)
            return self._place(key, Content(data), until)

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        info, content = self._readable(key)
        if info.size > limit:
            raise faults.too_large(key, info.size, limit)
        return content.read(0, info.size), info

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return cast(BinaryIO, io.BufferedReader(_Reading(self._readable(key)[1]), _PIECE))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        faults.check_range(check_key("read", key), offset, length)
        info, content = self._readable(key)
        if info.size < offset + length:
            raise faults.too_short(key, offset, length)
        return content.read(offset, length)

    def stat(self, key: str) -> ObjectInfo:
        return self._find("read", key)[0]

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self.shelf.lock:
            found = sorted(key for key in self.shelf.objects if key.startswith(prefix))
        for key in found:
            if key in self.shelf.objects:  # else deleted since
                yield self.stat(key)

    def lock(self, key: str, until: datetime) -> None:
        wanted = self._lock_time("lock", check_key("lock", key), until)
        with self.shelf.lock:
            info, content = self._find("lock", key)
            if wanted is not None and (info.locked_until is None or wanted > info.locked_until):
                self.shelf.objects[key] = replace(info, locked_until=wanted), content

    def delete(self, key: str) -> None:
        check_key("delete", key)
        with self.shelf.lock:
            self._take_down("delete", key)

    def erase(self, key: str) -> int:
        check_key("erase", key)
        with self.shelf.lock:
            older = self.shelf.older.get(key, [])
            if until := max((time for info, _ in older if (time := self._locked_until(info))), default=None):
                raise faults.locked("erase", key, until)
            self._take_down("erase", key)
            return len(self.shelf.older.pop(key, []))

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        check_key("move", key)
        with self.shelf.lock:
            info, content = self._find("move", key)
            if tier.colder_than(info.tier):
                info = replace(info, tier=tier, readable=tier is not Tier.ARCHIVE)
                self.shelf.objects[key] = info, content
            return info

    def thaw(self, key: str, days: int) -> bool:
        faults.check_days(check_key("thaw", key), days)
        if self._find("thaw", key)[0].readable:
            return True
        self.shelf.thawing.add(key)
        return False

    def facts(self) -> TargetFacts:
        shelf = self.shelf
        skew = timedelta(seconds=round((shelf.clock() - datetime.now(UTC)).total_seconds()))
        return TargetFacts("memory", shelf.versioned, shelf.locks, False, skew, shelf.may_delete)

    def sweep(self, older_than: timedelta) -> int:
        return 0  # an upload that was broken off is not on the shelf

    def _place(self, key: str, content: Content, until: datetime | None = None) -> ObjectInfo:
        tag = f"version-{next(self.shelf.versions)}"
        info = ObjectInfo(key, content.size, tag, self.shelf.clock(), locked_until=until)
        self.shelf.objects[key] = info, content
        return info

    def _take_down(self, verb: str, key: str) -> None:
        """An object leaves its place, and the shelf, or with versions the front of it."""
        found = self.shelf.objects.get(key)
        if found is None:
            return
        if until := self._locked_until(found[0]):
            raise faults.locked(verb, key, until)
        del self.shelf.objects[key]
        if self.shelf.versioned or verb == "erase":
            self.shelf.older.setdefault(key, []).append(found)

    def _find(self, verb: str, key: str) -> tuple[ObjectInfo, Content]:
        found = self.shelf.objects.get(check_key(verb, key))
        if found is None:
            raise faults.missing(verb, key, self.name)
        return replace(found[0], locked_until=self._locked_until(found[0])), found[1]

    def _readable(self, key: str) -> tuple[ObjectInfo, Content]:
        found = self._find("read", key)
        if not found[0].readable:
            raise faults.frozen(key, self.name)
        return found

    def _lock_time(self, verb: str, key: str, until: datetime | None) -> datetime | None:
        wanted = lock_time(verb, key, until, self.shelf.clock())
        if wanted is not None and not self.shelf.locks:
            raise faults.keeps_no_locks(verb, key, self.name)
        return wanted

    def _locked_until(self, info: ObjectInfo) -> datetime | None:
        return still_locked(info.locked_until, self.shelf.clock())


class _Reading(io.RawIOBase):
    """An object as a stream."""

    def __init__(self, content: Content) -> None:
        self._content, self._at = content, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than io's
        data = self._content.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
