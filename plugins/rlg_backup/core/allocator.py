"""What a process gives back to the system of the memory it has used."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h of the GNU C library
_LARGE: Final = 5 << 18  # more than 1 MiB, in which files are read
_KEPT: Final = 8 << 20
_ARENAS: Final = 2


def give_back_large_pieces() -> None:
    """Has each piece of memory from 1.25 MiB on go back to the system when it is free, and what is free at the end of
    an arena from 8 MiB on; threads share two arenas.

    By itself the GNU C library keeps pieces of up to 32 MiB once one of that size was freed, each arena its own, and
    small ones in between keep them from being joined. Measured: a fifth less memory at the peak (590 to 390 MB in the
    search of a large table). What goes back has to be made anew, a page at a time: from 256 KiB on, that was a seventh
    of the processor time of a backup from PostgreSQL; now it is a third of that. A search that kept 1 MiB at the end of
    an arena made 350,000 pages anew; with 8 MiB, at the same peak, 100,000.
    Nothing happens where another C library is, or where the environment sets these (``MALLOC_...``). Idempotent.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for variable, option, value in (
        ("MALLOC_MMAP_THRESHOLD_", _MMAP_THRESHOLD, _LARGE),
        ("MALLOC_TRIM_THRESHOLD_", _TRIM_THRESHOLD, _KEPT),
        ("MALLOC_ARENA_MAX", _ARENA_MAX, _ARENAS),
    ):
        if variable not in os.environ:
            mallopt(option, value)
