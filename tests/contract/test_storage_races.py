"""Of several writers that start together exactly one wins, on each driver."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Target

from tests.contract.test_storage import MIB, read_whole, sha256

from rlg_backup.core.errors import ObjectExists
from rlg_backup.storage.port import Storage


def race(target: Target, contenders: int, write: Callable[[Storage, int], object]) -> list[int]:
    """Who won, of contenders that start together, each with a storage of its own."""
    start = threading.Barrier(contenders)
    storages = [target.open() for _ in range(contenders)]

    def run(i: int) -> bool:
        start.wait()
        try:
            write(storages[i], i)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(contenders) as pool:
        return [i for i, won in enumerate(pool.map(run, range(contenders))) if won]


def test_of_racing_creators_exactly_one_wins(target):
    storage = target.open()
    for turn in range(5):
        winners = race(target, 6, lambda s, i, key=f"c/{turn}": s.put_bytes(key, b"%d" % i))
        assert len(winners) == 1
        assert storage.get_bytes(f"c/{turn}", limit=9)[0] == b"%d" % winners[0]


def test_of_racing_replacers_exactly_one_wins(target):
    storage = target.open()
    tag = storage.put_bytes("lease", b"-").tag
    for turn in range(5):
        winners = race(target, 6, lambda s, i, t=tag, n=turn: s.put_bytes("lease", b"%d-%d" % (n, i), replacing=t))
        assert len(winners) == 1
        data, info = storage.get_bytes("lease", limit=9)
        assert data == b"%d-%d" % (turn, winners[0])
        tag = info.tag


@pytest.mark.parametrize("size", [10, 6 * MIB])
def test_of_racing_uploads_exactly_one_wins(target, file, size):
    contents = [bytes([i]) * size for i in range(3)]
    paths = [file(data) for data in contents]
    winners = race(target, 3, lambda s, i: s.put_file("a", paths[i], sha256=sha256(contents[i])))
    assert len(winners) == 1
    assert read_whole(target.open(), "a") == contents[winners[0]]
