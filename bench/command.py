"""The command line, and after it what its imports took: their seconds go into a file.

Usage: python -m bench.command FILE ARGUMENTS-OF-RLG-BACKUP...

The product imports late, in the middle of its work, and threads import beside each other: the seconds are those in
which at least one import was going on.
"""

from __future__ import annotations

import builtins
import sys
import time
from pathlib import Path
from threading import Lock
from typing import Any

_plain = builtins.__import__


class _Clock:
    """Adds up the time in which at least one import is going on, whichever thread's."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = Lock()
        self._running = 0
        self._since = 0.0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            return _plain(*arguments, **named)
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.seconds += time.perf_counter() - self._since


def main(file: str, *arguments: str) -> None:
    """Ends as the command does."""
    clock = _Clock()
    builtins.__import__ = clock
    try:
        from rlg_backup.cli.main import main as run

        run(list(arguments))
    finally:
        Path(file).write_text(str(clock.seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
