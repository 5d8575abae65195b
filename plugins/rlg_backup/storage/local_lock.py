"""The lock of a file: its time in an extended attribute, no write mode, and where possible the immutable attribute.

The time is what this program goes by: every storage on the folder refuses to delete or replace the file
before it. The immutable attribute (chattr(1), ioctl_iflags(2)) is what binds others: who may not clear it,
and that is everybody but root, can neither delete nor change the file, though he can rename a folder above.
It needs CAP_LINUX_IMMUTABLE and a file system that has it (ext4, XFS, Btrfs); without, a lock resists mistakes
only, and ``binds_others`` says so. It cannot be set on a file that is still to get its name, so it comes last: a
crash before that leaves a file that is locked by its time alone, which the next ``lock`` makes up for.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import re
from datetime import UTC, datetime
from pathlib import Path

_TIME = "user.rlg.locked-until"
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # linux/fs.h: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
_CAP_LINUX_IMMUTABLE = 9  # linux/capability.h
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.ENOSYS, errno.ENOTTY, errno.EINVAL}
_NEVER_SET = {errno.ENODATA, *_NO_ATTRIBUTES}


class NoAttributes(Exception):
    """The file system, or the system, keeps no extended attributes: there is no place for a lock's time."""


class LockTimeDamaged(Exception):
    """The time of a lock is none."""


def may_be_locked(status: os.stat_result) -> bool:
    """Whether it is worth asking for a lock's time: a locked file has no write mode."""
    return not status.st_mode & 0o222


def time_of(file: int) -> datetime | None:
    """Until when a file is, or was, locked. LockTimeDamaged, OSError."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        until = datetime.fromisoformat(os.getxattr(file, _TIME).decode("ascii"))
    except OSError as error:
        if error.errno not in _NEVER_SET:
            raise
        return None
    except ValueError:
        raise LockTimeDamaged from None
    if until.utcoffset() is None:
        raise LockTimeDamaged
    return until.astimezone(UTC)


def note(file: int, until: datetime) -> None:
    """Write down a lock's time, and take the write modes away. NoAttributes; OSError."""
    if not hasattr(os, "setxattr"):
        raise NoAttributes
    os.fchmod(file, 0o600)  # a file without a write mode takes no attribute, but from root
    try:
        os.setxattr(file, _TIME, until.strftime(_FORMAT).encode("ascii"))
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
        raise NoAttributes from None
    os.fchmod(file, 0o400)


def hold(file: int) -> None:
    """Complete a lock: no write mode, and the immutable attribute where it can be set. Idempotent."""
    if (flags := _flags(file)) & _IMMUTABLE:
        return
    os.fchmod(file, 0o400)
    if binds_others(file):
        _set_flags(file, flags | _IMMUTABLE)


def release(file: int) -> None:
    """Clear the immutable attribute, if it is set; OSError where that is not allowed."""
    if (flags := _flags(file)) & _IMMUTABLE:
        _set_flags(file, flags & ~_IMMUTABLE)


def binds_others(file: int) -> bool:
    """Whether a lock of this file, or of one in this folder, holds against more than this program."""
    try:
        fcntl.ioctl(file, _GET_FLAGS, array.array("l", [0]), True)
    except OSError:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_LINUX_IMMUTABLE & 1)


def _flags(file: int) -> int:
    flags = array.array("l", [0])
    try:
        fcntl.ioctl(file, _GET_FLAGS, flags, True)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return 0
        raise
    return flags[0] & 0xFFFFFFFF


def _set_flags(file: int, flags: int) -> None:
    fcntl.ioctl(file, _SET_FLAGS, array.array("l", [flags]), True)
