"""A folder reached through descriptors, so that no symbolic link below it is ever followed.

Everything here raises OSError, or LinkRefused; the local driver gives them their names.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TEMPORARY = ".tmp-"
_LOCK = ".lock"
_LOCK_PATIENCE = 60.0  # seconds; what is done under the lock takes milliseconds
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LinkRefused(Exception):
    """What stands at this place is a symbolic link, a device or a pipe: never an object of ours."""


class Folder:
    """The folder of a target. Files are 0600 and folders 0700 whatever the umask."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self) -> None:
        """Create the folder itself where it is missing; one that exists keeps its mode. Idempotent."""
        if not self.root.is_dir():
            for path in (*reversed(self.root.parents), self.root):
                with contextlib.suppress(FileExistsError):
                    path.mkdir(0o700)
                    path.chmod(0o700)

    @contextlib.contextmanager
    def at(self, segments: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder below the root; LinkRefused where a segment is a symbolic link."""
        here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for segment in segments:
                if create:
                    _make_folder(here, segment)
                inner = _enter(here, segment)
                os.close(here)
                here = inner
            yield here
        finally:
            os.close(here)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all processes that use this folder. Ends with the process, so a crash leaves no lock; one that is
        frozen keeps it, and to the others the folder does not answer."""
        with self.at(()) as root:
            lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root)
        try:
            os.fchmod(lock, 0o600)
            deadline = time.monotonic() + _LOCK_PATIENCE
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(errno.ETIMEDOUT, "another process holds the folder's lock") from None
                    time.sleep(0.003)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def temporary(self) -> Iterator[tuple[int, str]]:
        """A new, empty file in the root that nobody lists, and its name; gone at the end."""
        name = TEMPORARY + secrets.token_hex(8)
        with self.at(()) as root:
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=root)
            try:
                os.fchmod(file, 0o600)
                yield file, name
            finally:
                os.close(file)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=root)

    def used(self) -> int:
        """Bytes of every file below, of those in the making too; what goes meanwhile counts or not."""

        def below(path: str) -> int:
            with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
                return sum(below(one.path) if one.is_dir(follow_symlinks=False) else size(one) for one in entries)
            return 0

        def size(entry: os.DirEntry[str]) -> int:
            with contextlib.suppress(FileNotFoundError):
                return entry.stat(follow_symlinks=False).st_size
            return 0

        return below(str(self.root))

    def publish(self, temporary: str, segments: Sequence[str]) -> None:
        """Give a temporary file its name; FileExistsError if the name is taken. Call it locked.

        Where that fails no folder stays that was made for it.
        """
        try:
            with self.at(()) as root, self.at(segments[:-1], create=True) as folder:
                _link(root, temporary, folder, segments[-1])
                sync(folder)
        except OSError:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                self._remove_empty(segments)
            raise

    def replace(self, temporary: str, segments: Sequence[str]) -> None:
        """Put a temporary file in the place of an object. Call it locked."""
        with self.at(()) as root, self.at(segments[:-1]) as folder:
            os.replace(temporary, segments[-1], src_dir_fd=root, dst_dir_fd=folder)
            sync(folder)

    def remove(self, segments: Sequence[str]) -> None:
        """Unlink an object, then the folders that this leaves empty. Call it locked."""
        with self.at(segments[:-1]) as folder:
            regular(os.stat(segments[-1], dir_fd=folder, follow_symlinks=False))
            os.unlink(segments[-1], dir_fd=folder)
            sync(folder)
        self._remove_empty(segments)

    def _remove_empty(self, segments: Sequence[str]) -> None:
        """Remove the folders of an object's path that hold nothing, from the innermost on."""
        for depth in range(len(segments) - 2, -1, -1):
            try:
                with self.at(segments[:depth]) as folder:
                    os.rmdir(segments[depth], dir_fd=folder)
                    sync(folder)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                    return
                if error.errno != errno.ENOENT:
                    raise

    def status(self, segments: Sequence[str]) -> os.stat_result:
        """What stands at a name; LinkRefused unless it is a regular file."""
        with self.at(segments[:-1]) as folder:
            return regular(os.stat(segments[-1], dir_fd=folder, follow_symlinks=False))

    def open(self, segments: Sequence[str]) -> int:
        """A descriptor to read an object from; LinkRefused unless it is a regular file."""
        with self.at(segments[:-1]) as folder:
            regular(os.stat(segments[-1], dir_fd=folder, follow_symlinks=False))
            # Not blocking: should a pipe take the name in between, opening it must not hang.
            file = os.open(segments[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            regular(os.fstat(file))
        except BaseException:
            os.close(file)
            raise
        return file


def regular(status: os.stat_result) -> os.stat_result:
    """The status itself; a folder is FileNotFoundError (no object has that name), the rest LinkRefused."""
    if stat.S_ISDIR(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not stat.S_ISREG(status.st_mode):
        raise LinkRefused
    return status


def sync(file: int) -> None:
    """Make a file's bytes, or a folder's names, survive a loss of power."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot do it to folders
            raise


def _make_folder(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    os.chmod(name, 0o700, dir_fd=parent)  # the umask may have taken bits away
    sync(parent)


def _enter(parent: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise LinkRefused from None
        raise


def _link(root: int, temporary: str, folder: int, name: str) -> None:
    try:
        os.link(temporary, name, src_dir_fd=root, dst_dir_fd=folder)
    except FileExistsError:
        # A network file system may repeat a request whose answer it lost: then the name is ours.
        if os.stat(temporary, dir_fd=root).st_nlink != 2:
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_to_free_name(root, temporary, folder, name)


def _rename_to_free_name(root: int, temporary: str, folder: int, name: str) -> None:
    # For file systems without hard links. The lock keeps our own writers apart between look and rename.
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(temporary, name, src_dir_fd=root, dst_dir_fd=folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
