"""What every refusal must be: one named error, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.world import Ran, World


@contextmanager
def loses_nothing(world: World) -> Iterator[None]:
    """The source, the restore points and what lies on the target are as before, and staging is empty."""
    before, objects = world.state(), world.objects()
    yield
    assert world.state() == before
    assert world.objects() == objects
    assert world.staged() == []


def failed(done: Ran, code: int, text: str) -> None:
    """One error on standard error, nothing else, and no traceback."""
    assert (done.code, done.out, done.err) == (code, "", f"error: {text}\n")
