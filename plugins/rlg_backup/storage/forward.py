"""An object read once and forward, over connections that may break: what the drivers of remote targets share."""

from __future__ import annotations

import io
import logging
from abc import abstractmethod
from typing import TYPE_CHECKING

from rlg_backup.core.errors import StorageUnavailable
from rlg_backup.storage import faults
from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 20
_TRIES = 4  # connections in a row that may yield nothing
_log = logging.getLogger(__name__)


class ForwardStream(io.RawIOBase):
    """The bytes of an object, or ``length`` of them from ``start``; ``info`` is the object's.

    A connection that breaks is followed by another one from that byte on, for the same version of the object; a
    version replaced in between is ObjectDamaged. After several connections that yield nothing,
    StorageUnavailable. What a driver says: how to connect, how to read, and what to compare at the end.
    """

    info: ObjectInfo

    def __init__(self, target: str, key: str, start: int = 0, length: int | None = None) -> None:
        self._target, self._key, self._at = target, key, start
        self._wanted = None if length is None else start + length
        self._whole = start == 0 and length is None
        self._tries = 0
        self._end = 0
        self._connect()

    @abstractmethod
    def _connect(self) -> None:
        """Begin to read at byte ``_at``; the first time sets ``info`` and ``_end``. Raises StorageError."""

    @abstractmethod
    def _take(self, count: int) -> bytes:
        """Some bytes, ``count`` at most; none, or StorageUnavailable, where the connection broke off."""

    @abstractmethod
    def _compare(self) -> None:
        """ObjectDamaged unless the bytes have the target's checksum. Called once, if a whole object was read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while self._at < self._end:
            block = self._next(min(len(view), self._end - self._at))
            if block:
                view[: len(block)] = block
                self._at += len(block)
                self._tries = 0
                return len(block)
            self._resume()
        if self._whole:
            self._whole = False
            self._compare()
        return 0

    def readall(self) -> bytes:
        blocks = []
        while block := self.read(_BLOCK):
            blocks.append(block)
        return b"".join(blocks)

    def _reached(self, end: int) -> int:
        """Where to stop, of an answer that goes up to ``end``; ObjectDamaged if that is too early."""
        if self._wanted is not None and end < self._wanted:
            raise faults.too_short(self._key, self._at, self._wanted - self._at)
        return end if self._wanted is None else self._wanted

    def _next(self, count: int) -> bytes:
        try:
            return self._take(count)
        except StorageUnavailable as error:
            _log.info("%s; taking it up at byte %d", error, self._at)
            return b""

    def _resume(self) -> None:
        self._tries += 1
        if self._tries >= _TRIES:
            cause = f"target '{self._target}' broke off {_TRIES} times at byte {self._at}"
            raise StorageUnavailable("read", self._key, cause)
        self._connect()
