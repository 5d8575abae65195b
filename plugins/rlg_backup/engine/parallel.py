"""Work that threads share: Arrow, Polars, ciphers and databases all let others run while they work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

Job = Callable[[], None]
THREADS = 2  # where no driver says how many: more take memory, and most of the work is shared by the libraries' own


def run_all(jobs: Iterable[Job], workers: int) -> None:
    """Runs every job, ``workers`` at a time; with one worker in this thread, in order.

    The first that fails keeps those from beginning that have not begun, and is raised when none runs any more.
    """
    if workers == 1:
        for job in jobs:
            job()
        return
    with ThreadPoolExecutor(workers, "rlg") as pool:
        running = [pool.submit(job) for job in jobs]
        try:
            for future in running:
                future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # leaving the block waits for those that run
