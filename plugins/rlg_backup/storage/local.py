"""A target that is a folder: a disk, a mounted share, a volume."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from rlg_backup.core.errors import (
    InvalidSetting,
    ObjectDamaged,
    ObjectExists,
    StorageDenied,
    StorageFull,
    StorageUnavailable,
)
from rlg_backup.core.model import Tier
from rlg_backup.storage import faults, local_lock
from rlg_backup.storage.folder import TEMPORARY, Folder, LinkRefused, sync
from rlg_backup.storage.intake import PromisedFile
from rlg_backup.storage.keys import check_key, check_prefix, is_key
from rlg_backup.storage.local_file import Reading, begin_writeback, describe, move_on, write
from rlg_backup.storage.locks import lock_time, still_locked
from rlg_backup.storage.port import ObjectInfo, Progress, TargetFacts

_BLOCK = 1 << 20
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalStorage:
    """``Storage`` in a folder. An object is a file of the key's name; writers write elsewhere and link.

    A tag is made of the file's time, size and inode; the driver sets the time itself and moves it on
    at each replacement. Symbolic links below the root are refused wherever they lead. A key cannot be
    another key's folder. The folder is created at the first write. How far a lock holds is told in
    storage/local_lock.py. There is one tier, hot, and nothing keeps versions. A file that would have the folder hold
    more than ``quota`` bytes is StorageFull; small objects are not asked, for without them nothing could be removed.
    """

    def __init__(self, name: str, root: Path, *, quota: int | None = None) -> None:
        self.name = name
        self._folder = Folder(root.absolute())
        self._quota = quota

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
        until = lock_time("store", check_key("store", key), locked_until)
        with self._errors("store", key), PromisedFile("store", key, path, sha256) as source:
            self._folder.make()
            if not replacing:
                self._refuse_existing(key)  # before the copy, which may take hours
            self._require_room(key, source.size, source.size)
            with self._writing(key, until) as (file, temporary):
                while block := source.read(_BLOCK):
                    write(file, block)
                    begin_writeback(file)
                    if progress:
                        progress(len(block))
                source.verify()
                self._require_room(key, source.size)  # others may have written as much meanwhile
                info = self._publish(key, file, temporary, replacing)
        return replace(info, locked_until=until)

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        until = lock_time("store", check_key("store", key), locked_until)
        with self._errors("store", key):
            self._folder.make()
            if replacing is None:
                self._refuse_existing(key)  # also where there is no room for a copy to try it with
            with self._writing(key, until) as (file, temporary):
                write(file, data)
                info = self._publish(key, file, temporary, replacing)
        return replace(info, locked_until=until)

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        with self._read(key) as stream, self._errors("read", key):
            info = self._describe(key, os.fstat(stream.fileno()), stream.fileno())
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
        return self._stat("read", key)

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with self._errors("list", prefix):
            yield from self._walk((), prefix)

    def lock(self, key: str, until: datetime) -> None:
        segments, wanted = check_key("lock", key).split("/"), lock_time("lock", key, until)
        with self._errors("lock", key):
            self._folder.status(segments)  # a folder never written to gets no lock file
            with self._folder.locked(), self._opened(segments) as file:
                present = still_locked(local_lock.time_of(file))
                longest = max((time for time in (present, wanted) if time), default=None)
                if longest is None:
                    return
                if longest != present:
                    local_lock.release(file)
                    local_lock.note(file, longest)
                local_lock.hold(file)  # also where a crash came before it
                sync(file)

    def delete(self, key: str) -> None:
        self._remove("delete", key)

    def erase(self, key: str) -> int:
        return self._remove("erase", key)

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        if tier is not Tier.HOT:
            raise faults.has_no_tier(check_key("move", key), tier, self.name)
        return self._stat("move", key)

    def thaw(self, key: str, days: int) -> bool:
        faults.check_days(key, days)
        return self._stat("thaw", key).readable

    def facts(self) -> TargetFacts:
        """Tried with a file of our own that is gone again; all None of a folder that was never written to.

        ``locks`` says whether the immutable attribute can be set, ``public`` whether others than owner and
        group may enter, read or write the folder.
        """
        with self._errors("ask", str(self._folder.root)):
            if not self._folder.root.exists():
                return TargetFacts()
            with self._folder.at(()) as root:
                public, binding = bool(os.fstat(root).st_mode & 0o007), local_lock.binds_others(root)
            try:
                with self._folder.temporary() as (file, _):
                    ahead = timedelta(seconds=round(os.fstat(file).st_mtime - time.time()))
                    local_lock.note(file, datetime.now(UTC))
            except local_lock.NoAttributes:
                binding = False
            except OSError as error:
                if error.errno not in _DENIED:
                    raise
                return TargetFacts(versioned=False, locks=binding, public=public, may_delete=False)
        return TargetFacts(versioned=False, locks=binding, public=public, clock_skew=ahead, may_delete=True)

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

    def _require_room(self, key: str, size: int, more: int = 0) -> None:
        """StorageFull where the quota does not allow ``more`` bytes than there are."""
        if self._quota is not None and (used := self._folder.used()) + more > self._quota:
            raise faults.over_quota(key, size, used + more - size, self._quota, self.name)

    def _refuse_existing(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._folder.status(key.split("/"))
            raise faults.exists("store", key, self.name)

    @contextlib.contextmanager
    def _writing(self, key: str, until: datetime | None) -> Iterator[tuple[int, str]]:
        """A temporary file to write and publish, which is locked before it is written."""
        with self._folder.temporary() as (file, temporary):
            if until is not None:
                local_lock.note(file, until)
            yield file, temporary
        if until is not None:
            with self._opened(key.split("/")) as file:
                local_lock.hold(file)
                sync(file)

    def _publish(self, key: str, file: int, temporary: str, replacing: str | bool | None = None) -> ObjectInfo:
        """``replacing``: the tag of what is to stand there, or True for whatever does, if anything."""
        segments = key.split("/")
        os.utime(file, ns=(time.time_ns(),) * 2)
        sync(file)
        with self._folder.locked():
            present = self._present(segments) if replacing else None
            if isinstance(replacing, str) and (present is None or describe(key, present).tag != replacing):
                raise faults.replaced("store", key, self.name)
            if present is None:
                self._folder.publish(temporary, segments)
                return describe(key, os.fstat(file))
            self._free("store", key)
            move_on(file, present.st_mtime_ns)
            self._folder.replace(temporary, segments)
            return describe(key, os.fstat(file))

    def _present(self, segments: Sequence[str]) -> os.stat_result | None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return self._folder.status(segments)
        return None

    def _remove(self, verb: str, key: str) -> int:
        segments = check_key(verb, key).split("/")
        with self._errors(verb, key), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._folder.status(segments)  # a folder never written to gets no lock file
            with self._folder.locked():
                self._free(verb, key)
                self._folder.remove(segments)
                return 1
        return 0

    def _free(self, verb: str, key: str) -> None:
        """ObjectLocked while the file is; the immutable attribute of a lock that has passed goes. Call it locked."""
        with self._opened(key.split("/")) as file:
            noted = local_lock.time_of(file)
            if until := still_locked(noted):
                raise faults.locked(verb, key, until)
            if noted is not None:  # else the attribute is not ours
                local_lock.release(file)

    def _stat(self, verb: str, key: str) -> ObjectInfo:
        segments = check_key(verb, key).split("/")
        with self._errors(verb, key):
            status = self._folder.status(segments)
            if not local_lock.may_be_locked(status):
                return describe(key, status)
            with self._opened(segments) as file:
                return self._describe(key, os.fstat(file), file)

    @contextlib.contextmanager
    def _opened(self, segments: Sequence[str]) -> Iterator[int]:
        file = self._folder.open(segments)
        try:
            yield file
        finally:
            os.close(file)

    def _describe(self, key: str, status: os.stat_result, file: int) -> ObjectInfo:
        noted = local_lock.time_of(file) if local_lock.may_be_locked(status) else None
        return describe(key, status, still_locked(noted))

    def _read(self, key: str) -> io.BufferedReader:
        segments = check_key("read", key).split("/")
        with self._errors("read", key):
            file = self._folder.open(segments)
            return io.BufferedReader(Reading(file, lambda: self._errors("read", key)), _BLOCK)

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
        return describe(key, status)

    @contextlib.contextmanager
    def _errors(self, verb: str, key: str) -> Iterator[None]:
        """The operating system's errors as the storage port's."""
        try:
            yield
        except LinkRefused:
            cause = f"a symbolic link, device or pipe stands in its path on target '{self.name}'"
            raise StorageDenied(verb, key, cause) from None
        except local_lock.NoAttributes:
            raise faults.keeps_no_locks(verb, key, self.name) from None
        except local_lock.LockTimeDamaged:
            raise ObjectDamaged(verb, key, "the time of its lock cannot be read") from None
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
