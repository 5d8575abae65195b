"""Where a use case ends: a machine that has no more to give is told in our words, too.

Memory, open files and threads can run out at any line, so no step expects it. Cleaning up is done by then; what is
left to do is to say what was missing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import BackupError, ResourceExhausted, SystemRefused

MEMORY = "no memory is left"
FILES = "too many files are open"
THREADS = "no further thread or process can be started"
HINT = "raise the limit of this process (ulimit, systemd, the container), or run less beside it"
_BY_NUMBER = {errno.ENOMEM: MEMORY, errno.EMFILE: FILES, errno.ENFILE: FILES, errno.EAGAIN: THREADS}
# How the standard library and Polars (whose panics are no Exception) tell it.
_BY_WORDS = {
    "can't start new thread": THREADS,
    "can't spawn worker thread": THREADS,
    "could not spawn threads": THREADS,
    "WouldBlock": THREADS,
    "TooManyOpenFiles": FILES,
    "Cannot allocate memory": MEMORY,
}


@contextmanager
def in_our_words(verb: str, subject: str) -> Iterator[None]:
    """Turns what the machine refuses in the block into ResourceExhausted or SystemRefused; all else passes."""
    try:
        yield
    except BackupError:
        raise
    except BaseException as error:
        cause = _missing(error)
        if cause is not None:
            raise ResourceExhausted(verb, subject, cause, HINT) from None
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise SystemRefused(verb, subject, (error.strerror or type(error).__name__).lower()) from error
        raise


def _missing(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, OSError):
        return _BY_NUMBER.get(error.errno or 0)
    if isinstance(error, RuntimeError) or type(error).__name__ == "PanicException":
        return next((cause for words, cause in _BY_WORDS.items() if words in str(error)), None)
    return None
