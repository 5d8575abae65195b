"""Where a restored copy is built and how it takes its name: beside it, and never over anything.

What a killed restore left there lies in clear: the next restore to the same place removes it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
import shutil
import socket
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..core.errors import BackupError, DestinationUnsuitable, StorageFull

log = logging.getLogger(__name__)

_LOCK: Final = "lock"
_NO_SPACE: Final = {
    errno.ENOSPC: "no space is left on its disk",
    errno.EDQUOT: "this user's share of its disk is used up",
    errno.EFBIG: "its disk takes no file that large",
}


def refused(verb: str, subject: str, error: OSError) -> BackupError:
    """What the system refuses of a place that is restored to: StorageFull without space, else DestinationUnsuitable."""
    if error.errno in _NO_SPACE:
        return StorageFull(verb, subject, _NO_SPACE[error.errno])
    return DestinationUnsuitable(verb, subject, (error.strerror or "the system refuses").lower())


class Partial:
    """A private folder beside ``path``, in which what will be ``path`` is built as ``copy``: nobody else gets in before
    it is whole, whatever its modes, and a rename from there is enough.

    A lock in the folder ends with this process, so that the next restore to ``path`` can tell a living one from what a
    killed one left. Raises DestinationUnsuitable where the folder cannot be made, and StorageFull.
    """

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise DestinationUnsuitable("restore to", str(path), f"there is no folder '{path.parent}'")
        _remove_dead(path)
        self.folder = path.with_name(f".{_stem(path)}.{secrets.token_hex(8)}.partial")
        self.copy = self.folder / "copy"
        try:
            self.folder.mkdir(0o700)
            self._opened = _open_folder(self.folder)
        except OSError as error:
            raise refused("restore to", str(path), error) from error
        try:
            self._lock = _lock(self._opened)
        except OSError as error:
            os.close(self._opened)
            shutil.rmtree(self.folder, ignore_errors=True)
            raise refused("restore to", str(path), error) from error

    def close(self) -> None:
        """Remove the folder with all that is still in it. Raises OSError for data that cannot be removed; that an empty
        folder stays is logged."""
        try:
            _clear(self._opened)
        finally:
            os.close(self._lock)
            os.close(self._opened)
        try:
            self.folder.rmdir()
        except OSError as error:
            log.warning("the empty folder '%s' stays: %s", self.folder, (error.strerror or "").lower())


def open_up(folder: Path | str, *, inside: int | None = None) -> None:
    """Let its owner into every folder of a tree, whose modes, restored as they were, may keep the owner out.

    ``inside`` is an open folder that ``folder`` lies in. Nobody else may be able to change the tree meanwhile. A folder
    that stays closed is met by who removes the tree.
    """
    with suppress(OSError):
        os.chmod(folder, 0o700, dir_fd=inside)
        for _, names, _, opened in os.fwalk(folder, dir_fd=inside):  # from the top: opened up before it is walked
            for name in names:
                with suppress(OSError):
                    if not stat.S_ISLNK(os.lstat(name, dir_fd=opened).st_mode):
                        os.chmod(name, 0o700, dir_fd=opened)


def _remove_dead(path: Path) -> None:
    """What killed restores to ``path`` left. One that lives holds its lock; nothing but what a restore of this user on
    this host made is touched: the folder may be open to all, and hold traps."""
    name = re.compile(rf"\.{re.escape(_stem(path))}\.[0-9a-f]{{16}}\.partial")
    try:
        found = [item for item in path.parent.iterdir() if name.fullmatch(item.name)]
    except OSError:  # a folder that may be written to and not be looked into
        return
    for folder in found:
        try:
            opened = _open_folder(folder)
        except OSError:  # no folder, another user's, or gone by now
            continue
        try:
            if _is_dead(opened):
                _clear(opened)
                folder.rmdir()
                log.info("removed what a killed restore to '%s' left there", path)
        except OSError as error:
            log.warning("what a killed restore left in '%s' stays there, in clear: %s", folder, error.strerror)
        finally:
            os.close(opened)


def _is_dead(folder: int) -> bool:
    """Whether a folder is of a restore whose process has ended: private, ours, with its own lock, which is free."""
    state = os.fstat(folder)
    if state.st_uid != os.geteuid() or state.st_mode & 0o077:
        return False
    try:
        lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:  # killed before it had one, when the folder was empty: or it begins at this moment
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.read(lock, 1024) == _whose(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)


def _lock(folder: int) -> int:
    """A file that says which folder on which host it belongs to, locked as long as this process lives."""
    lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with suppress(OSError):  # a file system without locks: nobody else gets one, so nothing is taken for dead
            fcntl.flock(lock, fcntl.LOCK_EX)  # who looks at it this moment lets go at once, for it is empty
        os.write(lock, _whose(folder))
    except OSError:
        os.close(lock)
        raise
    return lock


def _whose(folder: int) -> bytes:
    """A folder's identity: what was made to look like it has another. The host, for some locks are of one host only."""
    state = os.fstat(folder)
    return f"{socket.gethostname()} {state.st_dev}:{state.st_ino}".encode()


def _clear(folder: int) -> None:
    """Remove what an open folder holds, the lock last: a removal that is killed can be ended by the next restore."""
    for name in os.listdir(folder):
        if name == _LOCK:
            continue
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            open_up(name, inside=folder)
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    with suppress(FileNotFoundError):
        os.unlink(_LOCK, dir_fd=folder)


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _stem(path: Path) -> str:
    """As much of the name as leaves room for the rest, in bytes."""
    return os.fsdecode(os.fsencode(path.name)[:200])


def refuse_existing(path: Path) -> None:
    """Raises DestinationUnsuitable if ``path`` names anything, a dangling link included."""
    if os.path.lexists(path):
        hint = "name a file that does not exist, or move that one away first"
        raise DestinationUnsuitable("restore to", str(path), "it exists already", hint)


class Closing(ABC):
    """A destination as a context manager: it ends with the block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_after(self.close, error)

    @abstractmethod
    def close(self) -> None:
        """Removes what is not finished; idempotent. Raises DestinationUnsuitable when it cannot."""


def close_after(close: Callable[[], None], error: BaseException | None) -> None:
    """Ends a destination. After an error, that is the one to tell: what cannot be removed either is logged."""
    try:
        close()
    except BackupError as left:
        if error is None:
            raise
        log.warning("%s", left)


def not_removed(partial: Path, error: OSError) -> DestinationUnsuitable:
    hint = "remove it by hand: it holds restored data"
    return DestinationUnsuitable("remove", str(partial), (error.strerror or "the system refuses").lower(), hint)


def take_name(built: Path, path: Path) -> None:
    """Gives the file ``built`` the name ``path``, which must still be free: a link fails where a rename would
    overwrite. On a file system without links an empty file of ours holds the name first."""
    try:
        os.link(built, path, follow_symlinks=False)
        built.unlink()
    except FileExistsError as error:
        raise DestinationUnsuitable("restore to", str(path), "something took its name meanwhile") from error
    except OSError:
        refuse_existing(path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            built.replace(path)
        except OSError:
            path.unlink()
            raise
    sync(path.parent)


def sync(path: Path) -> None:
    """fsync of a file or folder that nobody has locked (closing a descriptor drops this process's locks on it)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
