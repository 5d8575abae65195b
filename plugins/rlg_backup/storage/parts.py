"""A file sent in parts, several at a time: what the drivers of targets that take parts have in common."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rlg_backup.storage.port import Progress

Part = TypeVar("Part")

MIB = 1 << 20
MEMORY = 128 * MIB  # of parts on their way, unless a single one is larger


def part_size_for(size: int, least: int, most_parts: int) -> int:
    """Bytes in a part, a whole number of MiB where ``least`` does not suffice.

    >>> part_size_for(10**12, 16 * MIB, 10_000) // MIB
    96
    """
    return max(least, -(-size // most_parts // MIB) * MIB)


def threads_for(part_size: int, most: int) -> int:
    """How many parts of that size may be on their way at a time."""
    return max(1, min(most, MEMORY // part_size))


def send_parts(
    read: Callable[[int], bytes],
    send: Callable[[int, bytes], Part],
    *,
    part_size: int,
    threads: int,
    progress: Progress | None,
) -> list[Part]:
    """Send what ``read`` gives, by ``send(number, block)`` from 0 on; returns what that returned, in order.

    ``threads`` parts are in memory. Raises what either raises, once no part is on its way any more.
    """
    parts: list[Part] = []
    sending: deque[tuple[Future[Part], int]] = deque()

    def collect() -> None:
        part, length = sending.popleft()
        parts.append(part.result())
        if progress:
            progress(length)

    with ThreadPoolExecutor(threads, "rlg-part") as pool:
        try:
            while block := read(part_size):
                sending.append((pool.submit(send, len(parts) + len(sending), block), len(block)))
                del block
                if len(sending) == threads:  # before the next one is read: that is the bound on memory
                    collect()
            while sending:
                collect()
        except BaseException:
            # Leaving the pool waits for those under way: cleaning up before them would leave them behind.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return parts
