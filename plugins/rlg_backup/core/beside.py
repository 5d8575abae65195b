"""Work that is done in threads beside the caller's: a digest, while the bytes go on; several targets at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from .errors import BackupError

P = ParamSpec("P")
T = TypeVar("T")


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


def at_once(names: Collection[str], what: Callable[[str], T]) -> dict[str, T | BackupError]:
    """What comes of each name, or what went wrong there: one keeps the others from nothing."""

    def of(name: str) -> T | BackupError:
        try:
            return what(name)
        except BackupError as error:
            return error

    with ThreadPoolExecutor(max(1, len(names)), "rlg-each") as pool:
        return dict(zip(names, pool.map(of, names), strict=True))
