"""A target without a disk: cheap enough for tens of thousands of trials. It passes tests/contract/test_storage.py."""

from __future__ import annotations

import io
import itertools
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from rlg_backup.storage import faults
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix
from rlg_backup.storage.port import ObjectInfo, Progress

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
    """What several storages, as of several processes, have in common: the objects, and one lock."""

    objects: dict[str, tuple[ObjectInfo, Content]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class MemoryStorage:
    """``Storage`` on a shelf in memory."""

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

    # --- the port -----------------------------------------------------------------------------------

    def put_file(self, key: str, path: Path, *, sha256: str, progress: Progress | None = None) -> ObjectInfo:
        check_key("store", key)
        content = Content()
        with PromisedFile("store", key, path, sha256) as source:
            if key in self.shelf.objects:
                raise faults.exists("store", key, self.name)
            while block := source.read(_PIECE):
                content.append(block)
                if progress:
                    progress(len(block))
            source.verify()
        with self.shelf.lock:
            if key in self.shelf.objects:
                raise faults.exists("store", key, self.name)
            return self._place(key, content)

    def put_bytes(self, key: str, data: bytes, *, replacing: str | None = None) -> ObjectInfo:
        check_key("store", key)
        with self.shelf.lock:
            found = self.shelf.objects.get(key)
            if replacing is None and found is not None:
                raise faults.exists("store", key, self.name)
            if replacing is not None and (found is None or found[0].tag != replacing):
                raise faults.replaced("store", key, self.name)
            return self._place(key, Content(data))

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        info, content = self._find(key)
        if info.size > limit:
            raise faults.too_large(key, info.size, limit)
        return content.read(0, info.size), info

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return cast(BinaryIO, io.BufferedReader(_Reading(self._find(key)[1]), _PIECE))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        faults.check_range(check_key("read", key), offset, length)
        info, content = self._find(key)
        if info.size < offset + length:
            raise faults.too_short(key, offset, length)
        return content.read(offset, length)

    def stat(self, key: str) -> ObjectInfo:
        return self._find(key)[0]

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self.shelf.lock:
            found = sorted((key, info) for key, (info, _) in self.shelf.objects.items() if key.startswith(prefix))
        yield from (info for _, info in found)

    def delete(self, key: str) -> None:
        with self.shelf.lock:
            self.shelf.objects.pop(check_key("delete", key), None)

    def sweep(self, older_than: timedelta) -> int:
        return 0  # an upload that was broken off is not on the shelf

    def _place(self, key: str, content: Content) -> ObjectInfo:
        info = ObjectInfo(key, content.size, f"version-{next(self.shelf.versions)}", datetime.now(UTC))
        self.shelf.objects[key] = info, content
        return info

    def _find(self, key: str) -> tuple[ObjectInfo, Content]:
        found = self.shelf.objects.get(check_key("read", key))
        if found is None:
            raise faults.missing("read", key, self.name)
        return found


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
