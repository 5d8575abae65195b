"""Every way of changing bytes a little, tried one after the other: none may pass for the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rlg_backup.core.errors import BackupError

BROKEN = "no error found: the checker is broken"
BITS = tuple(1 << bit for bit in range(8))

Errors = type[BackupError] | tuple[type[BackupError], ...]


@dataclass(frozen=True)
class Trial:
    """Bytes that are not what was written, and what was done to them. ``at``: the first byte that differs."""

    what: str
    at: int
    data: bytes


def flips(sound: bytes, masks: Iterable[int] = (1,)) -> Iterator[Trial]:
    """Every byte in turn, with the bits of each mask changed."""
    masks = tuple(masks)
    for at, byte in enumerate(sound):
        for mask in masks:
            yield Trial(f"byte {at} ^ {mask:#04x}", at, b"".join((sound[:at], bytes([byte ^ mask]), sound[at + 1 :])))


def cuts(sound: bytes) -> Iterator[Trial]:
    """Every length that is less."""
    for length in range(len(sound)):
        yield Trial(f"cut to {length}", length, sound[:length])


def growths(sound: bytes) -> Iterator[Trial]:
    """Bytes after the end: one of each value, what a sector or a chunk adds, itself again."""
    size = len(sound)
    tails = [bytes([value]) for value in range(256)]
    tails += [bytes(15), bytes(16), bytes(17), bytes(512), sound[-16:], sound[:1], b"\r\n", sound]
    for tail in tails:
        yield Trial(f"grown by {len(tail)} bytes from {tail[:2]!r}", size, sound + tail)


def every_damage(sound: bytes, masks: Iterable[int] = (1,)) -> Iterator[Trial]:
    yield from flips(sound, masks)
    yield from cuts(sound)
    yield from growths(sound)


def all_refused(
    trials: Iterable[Trial],
    use: Callable[[bytes], object],
    expected: Errors | Callable[[Trial], Errors],
    *,
    may_pass: Callable[[Trial], bool] = lambda _: False,
) -> Counter[str]:
    """Uses each trial's bytes: each must be one of the errors expected of it. Returns how often each class came.

    ``may_pass`` tells of bytes that may be changed without harm. An error that is not ours fails the test.
    """
    unnoticed: list[str] = []
    others: list[str] = []
    found: Counter[str] = Counter()
    for trial in trials:
        try:
            use(trial.data)
        except BackupError as error:
            found[type(error).__name__] += 1
            allowed = expected if isinstance(expected, (type, tuple)) else expected(trial)
            if type(error) not in (allowed if isinstance(allowed, tuple) else (allowed,)):
                others.append(f"{trial.what}: {error!r}")
        except AssertionError:
            raise  # a claim of the test itself
        except Exception as leaked:
            raise AssertionError(f"{trial.what}: an error that is not ours came out") from leaked
        else:
            if not may_pass(trial):
                unnoticed.append(trial.what)
    assert not unnoticed, f"{BROKEN} ({len(unnoticed)} times: {'; '.join(unnoticed[:10])})"
    assert not others, f"other errors than expected ({len(others)} times): {others[:10]}"
    assert found, "nothing was tried"
    return found
