"""A target that is a folder: a disk, a mounted share, a volume."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rlg_backup.core.errors import InvalidSetting, ObjectExists, StorageDenied, StorageFull, StorageUnavailable
from rlg_backup.storage import faults
from rlg_backup.storage.folder import TEMPORARY, Folder, LinkRefused, sync
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix, is_key
from rlg_backup.storage.port import ObjectInfo, Progress

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 20
_WRITEBACK = 8 << 20
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_COARSE_CLOCK = 2_000_000_000  # ns; the coarsest file times in use (FAT) count two seconds


class LocalStorage:
    """``Storage`` in a folder. An object is a file of the key's name; writers write elsewhere and link.

    A tag is made of the file's time, size and inode; the driver sets the time itself and moves it on
    at each replacement. Symbolic links below the root are refused wherever they lead. A key cannot be
    another key's folder. The folder is created at the first write.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._folder = Folder(root.absolute())

    def put_file(self, key: str, path: Path, *, sha256: str, progress: Progress | None = None) -> ObjectInfo:
        check_key("store", key)
        with self._errors("store", key), PromisedFile("store", key, path, sha256) as source:
            self._folder.make()
            self._refuse_existing(key)  # before the copy, which may take hours
            with self._folder.temporary() as (file, temporary):
                while block := source.read(_BLOCK):
                    _write(file, block)
                    _begin_writeback(file)
                    if progress:
                        progress(len(block))
                source.verify()
                return self._publish(key, file, temporary)

    def put_bytes(self, key: str, data: bytes, *, replacing: str | None = None) -> ObjectInfo:
        check_key("store", key)
        with self._errors("store", key):
            self._folder.make()
            if replacing is None:
                self._refuse_existing(key)  # also where there is no room for a copy to try it with
            with self._folder.temporary() as (file, temporary):
                _write(file, data)
                return self._publish(key, file, temporary, replacing)

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        with self._read(key) as stream, self._errors("read", key):
            info = _info(key, os.fstat(stream.fileno()))
            if info.size > limit:
                raise faults.too_large(key, info.size, limit)
            return stream.read(info.size), info

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self._read(key)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        faults.check_range(check_key("read", key), offset, length)
        with self._read(key) as stream, self._errors("read", key):
            if os.fstat(stream.fileno()).st_size < offset + length:
                raise faults.too_short(key, offset, length)
            data = os.pread(stream.fileno(), length, offset)
            while len(data) < length:  # one call gives 2 GiB at most
                more = os.pread(stream.fileno(), length - len(data), offset + len(data))
                if not more:
                    raise faults.too_short(key, offset, length)
                data += more
        return data

    def stat(self, key: str) -> ObjectInfo:
        segments = check_key("read", key).split("/")
        with self._errors("read", key):
            return _info(key, self._folder.status(segments))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self._errors("list", prefix):
            yield from self._walk((), prefix)

    def delete(self, key: str) -> None:
        segments = check_key("delete", key).split("/")
        with self._errors("delete", key), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._folder.status(segments)  # a folder never written to gets no lock file
            with self._folder.locked():
                self._folder.remove(segments)

    def sweep(self, older_than: timedelta) -> int:
        """Remove what writers that were killed left, if older than that; the number removed. Idempotent."""
        limit, removed = time.time() - older_than.total_seconds(), 0
        with self._errors("sweep", str(self._folder.root)):
            for path in self._folder.root.glob(TEMPORARY + "*"):
                with contextlib.suppress(FileNotFoundError):  # its writer has finished, or another sweep came first
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_mtime < limit:
                        path.unlink()
                        removed += 1
        return removed

    def _refuse_existing(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._folder.status(key.split("/"))
            raise faults.exists("store", key, self.name)

    def _publish(self, key: str, file: int, temporary: str, replacing: str | None = None) -> ObjectInfo:
        segments = key.split("/")
        os.utime(file, ns=(time.time_ns(),) * 2)
        sync(file)
        with self._folder.locked():
            if replacing is None:
                self._folder.publish(temporary, segments)
                return _info(key, os.fstat(file))
            try:
                present = self._folder.status(segments)
            except (FileNotFoundError, NotADirectoryError):
                raise faults.replaced("store", key, self.name) from None
            if _info(key, present).tag != replacing:
                raise faults.replaced("store", key, self.name)
            _move_on(file, present.st_mtime_ns)
            self._folder.replace(temporary, segments)
            return _info(key, os.fstat(file))

    def _read(self, key: str) -> io.BufferedReader:
        segments = check_key("read", key).split("/")
        with self._errors("read", key):
            return io.BufferedReader(_Reading(self, key, self._folder.open(segments)), _BLOCK)

    def _walk(self, above: tuple[str, ...], prefix: str) -> Iterator[ObjectInfo]:
        # Sorted with the '/' of folders in place, names come in the order of the whole keys.
        with contextlib.suppress(FileNotFoundError), self._folder.at(above) as folder:
            with os.scandir(folder) as entries:
                names = sorted(e.name + "/" * e.is_dir(follow_symlinks=False) for e in entries)
            for name in names:
                key = "/".join((*above, name))
                if not is_key(key.removesuffix("/")):
                    continue  # nothing of ours has such a name: lost+found, .tmp-*
                if name.endswith("/"):
                    if key.startswith(prefix) or prefix.startswith(key):
                        yield from self._walk((*above, name[:-1]), prefix)
                elif key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):  # deleted since
                        yield self._listed(key, folder, name)

    def _listed(self, key: str, folder: int, name: str) -> ObjectInfo:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise LinkRefused
        return _info(key, status)

    @contextlib.contextmanager
    def _errors(self, verb: str, key: str) -> Iterator[None]:
        """The operating system's errors as the storage port's."""
        try:
            yield
        except LinkRefused:
            cause = f"a symbolic link, device or pipe stands in its path on target '{self.name}'"
            raise StorageDenied(verb, key, cause) from None
        except FileExistsError:
            raise faults.exists(verb, key, self.name) from None
        except NotADirectoryError:
            if self._folder.root.is_file():
                raise InvalidSetting(verb, key, f"the folder of target '{self.name}' is a file") from None
            if any(parent.is_file() for parent in self._folder.root.parents):
                raise InvalidSetting(verb, key, f"the folder of target '{self.name}' lies below a file") from None
            if verb == "store":
                raise ObjectExists(verb, key, f"a part of its path is an object of target '{self.name}'") from None
            raise faults.missing(verb, key, self.name) from None
        except FileNotFoundError:
            raise faults.missing(verb, key, self.name) from None
        except OSError as error:
            cause = f"{os.strerror(error.errno or errno.EIO)} on target '{self.name}'"
            if error.errno in _DENIED:
                raise StorageDenied(verb, key, cause) from None
            if error.errno in _FULL:
                raise StorageFull(verb, key, cause) from None
            if error.errno == errno.ENAMETOOLONG:
                raise InvalidSetting(verb, key, cause) from None
            raise StorageUnavailable(verb, key, cause) from None


class _Reading(io.RawIOBase):
    """An open object whose read errors come as the storage port's."""

    def __init__(self, storage: LocalStorage, key: str, file: int) -> None:
        self._storage, self._key, self._file = storage, key, file

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file

    def readinto(self, buffer: WriteableBuffer) -> int:
        with self._storage._errors("read", self._key):
            return os.readv(self._file, [buffer])

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    tag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return ObjectInfo(key, status.st_size, tag, datetime.fromtimestamp(status.st_mtime, UTC))


def _move_on(file: int, before: int) -> None:
    # Inodes are used again at once: the time of a replacement must be later than that of what it replaces.
    for at in (max(time.time_ns(), before + 1), before + _COARSE_CLOCK):
        os.utime(file, ns=(at, at))
        if os.fstat(file).st_mtime_ns > before:
            return


def _begin_writeback(file: int) -> None:
    """Has the system begin to put on the disk what it holds of a file: else all of that waits for the fsync."""
    if hasattr(os, "posix_fadvise") and not (end := os.lseek(file, 0, os.SEEK_CUR)) % _WRITEBACK:
        os.posix_fadvise(file, end - _WRITEBACK, _WRITEBACK, os.POSIX_FADV_DONTNEED)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
