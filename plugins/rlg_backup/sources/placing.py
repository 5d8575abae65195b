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
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..core.errors import BackupError, DestinationUnsuitable, StorageFull

log = logging.getLogger(__name__)

SIDE_FILES: Final = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a database
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
    """An unfinished copy of what will be ``path``. ``place`` is a name nobody uses, in the same folder: a rename is
    enough. A lock beside it ends with this process, so that it can be told from what a killed one left.

    Raises DestinationUnsuitable where there is no such folder, or none of its files can be made, and StorageFull.
    """

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise DestinationUnsuitable("restore to", str(path), f"there is no folder '{path.parent}'")
        try:
            _remove_dead(path)
            self._take_lock(path)
        except OSError as error:
            raise refused("restore to", str(path), error) from error

    def _take_lock(self, path: Path) -> None:
        while True:
            self.place = path.with_name(f".{_stem(path)}.{secrets.token_hex(8)}.partial")
            self._lock = os.open(_lock_of(self.place), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another restore took it for dead before it was locked
                os.close(self._lock)
                continue
            except OSError:  # a file system without locks: nothing there is ever taken for dead
                return
            if os.fstat(self._lock).st_nlink:
                return
            os.close(self._lock)

    def release(self) -> None:
        """To be called when nothing has the name ``place`` any more."""
        with suppress(OSError):  # what stays is an empty file, which the next restore removes
            _lock_of(self.place).unlink()
        os.close(self._lock)


def remove_copy(place: Path) -> None:
    """Remove a database with the files beside it, or a tree whatever its modes. Raises OSError."""
    if place.is_dir() and not place.is_symlink():
        open_up(place)
        shutil.rmtree(place)
    else:
        for suffix in ("", *SIDE_FILES):
            place.with_name(place.name + suffix).unlink(missing_ok=True)


def open_up(folder: Path) -> None:
    """Let its owner into every folder of a tree, whose modes, restored as they were, may keep the owner out.

    One that stays closed is met by who removes the tree.
    """
    root = os.fsencode(folder)
    with suppress(OSError):
        os.chmod(root, 0o700)  # noqa: PTH101 - bytes
    for above, names, _ in os.walk(root):  # from the top: a folder is opened up before it is walked
        for inner in (os.path.join(above, name) for name in names):  # noqa: PTH118 - bytes
            if not os.path.islink(inner):  # noqa: PTH114 - bytes
                with suppress(OSError):
                    os.chmod(inner, 0o700)  # noqa: PTH101 - bytes


def _remove_dead(path: Path) -> None:
    """What killed restores to ``path`` left. One that lives holds its lock; what another user made is left alone: the
    folder may be open to all, and hold traps."""
    name = re.compile(rf"\.{re.escape(_stem(path))}\.[0-9a-f]{{16}}\.partial\.lock")
    for lock in [found for found in path.parent.iterdir() if name.fullmatch(found.name)]:
        with suppress(OSError):  # it lives, or another restore removes it at this moment
            held = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                place = lock.with_name(lock.name.removesuffix(".lock"))
                mine = [state.st_uid == os.geteuid() for state in (os.fstat(held), *_states(place))]
                if all(mine):
                    remove_copy(place)
                    lock.unlink()
                    log.info("removed what a killed restore to '%s' left there", path)
            finally:
                os.close(held)


def _states(place: Path) -> Iterator[os.stat_result]:
    """What is known of a place that may not be there."""
    with suppress(FileNotFoundError):
        yield place.lstat()


def _stem(path: Path) -> str:
    """As much of the name as leaves room for the rest, in bytes."""
    return os.fsdecode(os.fsencode(path.name)[:200])


def _lock_of(place: Path) -> Path:
    return place.with_name(place.name + ".lock")


def refuse_existing(path: Path) -> None:
    """Raises DestinationUnsuitable if ``path`` names anything, a dangling link included."""
    if os.path.lexists(path):
        hint = "name a file that does not exist, or move that one away first"
        raise DestinationUnsuitable("restore to", str(path), "it exists already", hint)


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
