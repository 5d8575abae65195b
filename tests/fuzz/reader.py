"""Reads one input after the other, each in a process of its own, and tells how much memory that took.

Its standard input is requests: a parser's name, a number of bytes, and the bytes. Imports are paid once.
"""

from __future__ import annotations

import os
import resource
import sys

from tests.fuzz.targets import TARGETS

from rlg_backup.core.errors import BackupError


def peak() -> int:
    """The largest memory of this process so far, in MiB; one that was forked begins with what it was given."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def read(name: str, data: bytes) -> str:
    before = peak()
    try:
        outcome = str(TARGETS[name].run(data))
    except BackupError as error:
        outcome = f"{type(error).__name__}: {error}"
    except BaseException as error:  # what is not ours is told to the test, which then fails
        outcome = f"NOT OURS: {type(error).__name__}: {error}"
    return f"{peak() - before} {outcome[:500]!r}\n"


def main() -> None:
    for name in ("part", "tree_index", "sqlite_schema"):  # what a first use loads is not what an input takes
        for seed in TARGETS[name].seeds():
            TARGETS[name].run(seed)
    while request := sys.stdin.buffer.readline().split():
        name, data = request[0].decode(), sys.stdin.buffer.read(int(request[1]))
        child = os.fork()
        if not child:
            os.write(1, read(name, data).encode())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:  # killed, for example for want of memory: it has told nothing
            os.write(1, f"0 {'NOT OURS: its process was ended'!r}\n".encode())


if __name__ == "__main__":
    main()
