"""What stat does not tell of a file: its holes and its extended attributes."""

from __future__ import annotations

import errno
import os
from typing import Final

_MOST_HOLES: Final = 4096  # more are not worth their bytes in the index; what is not a hole is read as zeros
_NO_XATTRS: Final = (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA, errno.ENOENT)


def holes_of(folder: int, name: bytes, state: os.stat_result) -> tuple[tuple[int, int], ...]:
    """(offset, length) of the largest holes of a file in an open folder, in order; none where the file system
    does not say. Raises OSError if the file cannot be opened."""
    if state.st_blocks * 512 >= state.st_size:
        return ()
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    holes: list[tuple[int, int]] = []
    try:
        position = 0
        while position < state.st_size:
            start = os.lseek(descriptor, position, os.SEEK_HOLE)
            if start >= state.st_size:
                break
            position = _next_data(descriptor, start, state.st_size)
            holes.append((start, position - start))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENXIO):  # no such seek here; cut short meanwhile
            raise
    finally:
        os.close(descriptor)
    largest = sorted(holes, key=lambda hole: hole[1], reverse=True)[:_MOST_HOLES]
    return tuple(sorted(largest))


def _next_data(descriptor: int, start: int, size: int) -> int:
    try:
        return min(os.lseek(descriptor, start, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole to the end
            return size
        raise


def extended_attributes(folder: int, name: bytes = b"") -> tuple[tuple[bytes, bytes], ...]:
    """The ``user.*`` attributes of an open folder, or of a name in it (a link is not followed), sorted.

    Empty where the system has none.
    """
    if not hasattr(os, "listxattr"):
        return ()
    # No call takes a folder and a name; this path is that of the open folder, whatever its name is now.
    place: bytes | int = b"/proc/self/fd/%d/%s" % (folder, name) if name else folder
    follow = not name
    try:
        names = sorted(one for one in os.listxattr(place, follow_symlinks=follow) if one.startswith("user."))
        return tuple((os.fsencode(one), os.getxattr(place, one, follow_symlinks=follow)) for one in names)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return ()
        raise
