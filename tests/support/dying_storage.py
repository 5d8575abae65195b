"""A target whose process dies at an exact operation, ahead of it or right behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlg_backup.storage.port import Storage


class Died(BaseException):
    """The process is gone."""


class DyingStorage:
    """``Storage`` for a process that ends at operation number ``at`` (from 1), when it was carried out if ``behind``.

    ``done`` counts what was asked for.
    """

    def __init__(self, inner: Storage, at: int, *, behind: bool = False) -> None:
        self.inner, self.name, self.at, self.behind = inner, inner.name, at, behind
        self.done = 0

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        act = getattr(self.inner, operation)

        def run(*arguments: Any, **given: Any) -> Any:
            self.done += 1
            if self.done > self.at or (self.done == self.at and not self.behind):
                raise Died
            result = act(*arguments, **given)
            if self.done == self.at:
                raise Died
            return result

        return run
