"""Work that is done in a thread beside the caller's: a digest, while the bytes go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec

P = ParamSpec("P")


class Beside:
    """Runs one call at a time, in the order they were given. Its thread ends with it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "rlg-beside")
        self._running: Future[None] | None = None

    def run(self, call: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """Begins a call once the one before has ended; raises what that one raised."""
        self.wait()
        self._running = self._thread.submit(call, *arguments, **named)

    def wait(self) -> None:
        """Until the last call has ended; raises what it raised."""
        if self._running is not None:
            self._running.result()
