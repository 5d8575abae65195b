"""An object of a folder as an open file: how it is written, read and described."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rlg_backup.storage.port import ObjectInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WRITEBACK = 8 << 20
_COARSE_CLOCK = 2_000_000_000  # ns; the coarsest file times in use (FAT) count two seconds


class Reading(io.RawIOBase):
    """An open object whose read errors come as the storage port's: ``errors`` is what they happen in."""

    def __init__(self, file: int, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._file, self._errors = file, errors

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file

    def readinto(self, buffer: WriteableBuffer) -> int:
        with self._errors():
            return os.readv(self._file, [buffer])

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def describe(key: str, status: os.stat_result, locked_until: datetime | None = None) -> ObjectInfo:
    """A file as the storage port's object."""
    tag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(key, status.st_size, tag, modified, locked_until=locked_until)


def move_on(file: int, before: int) -> None:
    """Give a file a later time than ``before`` (ns). Inodes are used again at once: the time of a replacement must
    be later than that of what it replaces."""
    for at in (max(time.time_ns(), before + 1), before + _COARSE_CLOCK):
        os.utime(file, ns=(at, at))
        if os.fstat(file).st_mtime_ns > before:
            return


def begin_writeback(file: int) -> None:
    """Has the system begin to put on the disk what it holds of a file: else all of that waits for the fsync."""
    if hasattr(os, "posix_fadvise") and not (end := os.lseek(file, 0, os.SEEK_CUR)) % _WRITEBACK:
        os.posix_fadvise(file, end - _WRITEBACK, _WRITEBACK, os.POSIX_FADV_DONTNEED)


def write(file: int, data: bytes) -> None:
    """All of the data, where one call may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
