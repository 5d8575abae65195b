"""Other sessions that work on a database while a backup of it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.support.postgres_server import query, session

from rlg_backup.sources.postgres.address import Address

PATIENCE = 20.0  # seconds after which what should have come will not come


@contextmanager
def holding(address: Address, table: str) -> Iterator[Callable[..., None]]:
    """A session that holds ``table`` in ACCESS EXCLUSIVE mode. What it is called with it does, and lets go."""
    with session(address) as other:
        other.autocommit = False
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())

        def let_go(*statements: str) -> None:
            for statement in statements:
                other.execute(statement.encode())
            other.commit()

        yield let_go


def waits_for_lock(address: Address, application: str = "rlg-backup") -> bool:
    """Whether a session of that name waits for a lock."""
    found = query(
        address,
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
        f"AND application_name = '{application}'",
    )
    return bool(found)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Something that goes on in a thread of its own, and has ended when the block ends."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        yield future
        future.result(PATIENCE)


@contextmanager
def writers(number: int, work: Callable[[int, threading.Event], int]) -> Iterator[list[Future[int]]]:
    """So many threads that each call ``work`` with their number, until they are told to end; it returns what it did."""
    end = threading.Event()
    with ThreadPoolExecutor(number) as pool:
        futures = [pool.submit(work, index, end) for index in range(number)]
        try:
            yield futures
        finally:
            end.set()
        for future in futures:
            future.result(PATIENCE)
