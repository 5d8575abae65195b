"""What the drivers of remote targets do alike: reading by streams, and telling whether a write landed."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import BinaryIO

from rlg_backup.core.errors import (
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
    StorageDenied,
    StorageError,
    StorageUnavailable,
)
from rlg_backup.storage import faults
from rlg_backup.storage.forward import ForwardStream
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key
from rlg_backup.storage.port import ObjectInfo, Progress

_BLOCK = 1 << 20
_STRETCHES = 8  # of a listing, at a time


def in_stretches(
    between: Callable[[str | None, str | None], Iterator[ObjectInfo]], edges: Sequence[str]
) -> Iterator[ObjectInfo]:
    """What ``between(after, until)`` lists over all stretches that the edges part, several asked for at a time: a page
    holds a thousand names, and the way to a target in another country takes longer than the page."""
    if not edges:
        yield from between(None, None)
        return
    with ThreadPoolExecutor(_STRETCHES, "rlg-list") as pool:
        for found in pool.map(lambda ends: list(between(*ends)), pairwise((None, *edges, None))):
            yield from found


class RemoteStorage(ABC):
    """The part of ``Storage`` that is the same wherever an object is made by a request and read by others."""

    name: str

    @abstractmethod
    def _stream(self, key: str, start: int = 0, length: int | None = None) -> ForwardStream:
        """An object, or ``length`` bytes of it; raises StorageError."""

    @abstractmethod
    def _seen(self, verb: str, key: str) -> tuple[ObjectInfo, str | None]:
        """An object as it is, and the id of the write that made it, if it was ours; raises StorageError."""

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        with self._stream(check_key("read", key)) as stream:
            if stream.info.size > limit:
                raise faults.too_large(key, stream.info.size, limit)
            return stream.readall(), stream.info

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return io.BufferedReader(self._stream(check_key("read", key)), _BLOCK)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        faults.check_range(check_key("read", key), offset, length)
        if length == 0:  # not expressible as a range
            if self.stat(key).size < offset:
                raise faults.too_short(key, offset, length)
            return b""
        with self._stream(key, offset, length) as stream:
            return stream.readall()

    def stat(self, key: str) -> ObjectInfo:
        return self._seen("read", check_key("read", key))[0]

    def _sent(
        self,
        source: PromisedFile,
        progress: Progress | None,
        *,
        single: int,
        small: Callable[[bytes], ObjectInfo],
        large: Callable[[], ObjectInfo],
    ) -> ObjectInfo:
        """A file as one request, of ``single`` bytes at most and once its digest is known, or else as ``large`` sends
        it, which tells the progress and compares the digest itself."""
        if source.size > single:
            return large()
        data = source.read(single + 1)
        source.verify()
        info = small(data)
        if progress:
            progress(len(data))
        return info

    def _written(
        self, key: str, write_id: str, write: Callable[[], ObjectInfo], *, replacing: bool = False
    ) -> ObjectInfo:
        """What a write made; a write that landed and whose answer was lost is one that was answered."""
        try:
            return write()
        except (ObjectExists, StorageUnavailable) as error:
            if info := self._landed(key, write_id):
                return info
            if replacing and isinstance(error, ObjectExists):
                raise faults.replaced("store", key, self.name) from None
            raise

    def _landed(self, key: str, write_id: str) -> ObjectInfo | None:
        """What our write left, if the object there is of that write."""
        try:
            info, found = self._seen("store", key)
        except (StorageError, ObjectDamaged):
            return None  # the error of the write is the one to report
        return info if found == write_id else None

    def _standing(self, key: str) -> str | None:
        """The tag of the object that another is to replace; None where there is none. ObjectLocked."""
        try:
            info, _ = self._seen("store", check_key("store", key))
        except (ObjectMissing, ObjectExists):  # as a write is told of what is not there
            return None
        if info.locked_until:
            raise faults.locked("store", key, info.locked_until)
        return info.tag

    def _refuse_taken(self, key: str) -> None:
        # Before hours of upload. One who may write but not look is told at the end, by the condition.
        try:
            self._seen("read", key)
        except (ObjectMissing, StorageDenied):
            return
        raise faults.exists("store", key, self.name)
