"""The multiset of row numbers: against collections.Counter."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.changes.bag import Bag, Lanes

Row = tuple[int, int]

# Few numbers, so that rows are equal, and equal in their first lane only; the ends of the range among them.
WORDS = st.sampled_from([0, 1, 2**63, 2**64 - 1])
ROWS = st.lists(st.tuples(WORDS, WORDS), max_size=30)


def lanes(rows: list[Row]) -> Lanes:
    first, second = np.array(rows, np.uint64).reshape(-1, 2).T
    return first, second


def rows_of(numbers: Lanes) -> list[Row]:
    return list(zip(numbers[0].tolist(), numbers[1].tolist(), strict=True))


def expected(left: Counter[Row], asked: list[Row]) -> list[bool]:
    """Takes one after the other."""
    taken = []
    for row in asked:
        taken.append(left[row] > 0)
        left[row] -= taken[-1]
    return taken


@settings(max_examples=300, deadline=None)
@given(ROWS, st.lists(ROWS, max_size=4))
def test_each_row_is_taken_as_often_as_it_was_put_in_and_the_first_of_equal_ones_first(
    put: list[Row], batches: list[list[Row]]
) -> None:
    bag, left = Bag(lanes(put)), Counter(put)
    assert len(bag) == len(put)
    for asked in batches:
        assert bag.take(lanes(asked)).tolist() == expected(left, asked)
        assert len(bag) == left.total()
    assert Counter(rows_of(bag.rest())) == +left


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=30), st.randoms())
def test_any_numbers_are_found_in_any_order(put: list[Row], random: object) -> None:
    asked = list(put)
    random.shuffle(asked)  # type: ignore[attr-defined]
    bag = Bag(lanes(put))
    assert bag.take(lanes(asked)).all()
    assert rows_of(bag.rest()) == []


def test_rows_that_agree_in_one_lane_are_told_apart_however_many_they_are() -> None:
    put = [(7, second) for second in range(0, 2_000, 2)] + [(first, 7) for first in range(100)]
    bag = Bag(lanes(put))
    assert not bag.take(lanes([(7, second) for second in range(1, 2_000, 2) if second != 7])).any()
    assert bag.take(lanes(put[::-1])).all()
    assert len(bag) == 0


def test_an_empty_bag_gives_nothing_and_nothing_is_taken_of_no_rows() -> None:
    empty, one = Bag(lanes([])), Bag(lanes([(1, 2)]))
    assert empty.take(lanes([(0, 0), (1, 2)])).tolist() == [False, False]
    assert (len(empty), rows_of(empty.rest())) == (0, [])
    assert one.take(lanes([])).tolist() == []
    assert rows_of(one.rest()) == [(1, 2)]


def test_what_is_left_keeps_the_width_of_its_lanes() -> None:
    first, second = Bag(lanes([(2**64 - 1, 2**63)])).rest()
    assert {str(first.dtype), str(second.dtype)} == {"uint64"}
    assert rows_of((first, second)) == [(2**64 - 1, 2**63)]


@pytest.fixture
def threads_take_turns() -> Iterator[None]:
    """After a few instructions each, not after five milliseconds."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("threads_take_turns")
def test_of_threads_that_take_the_same_rows_at_the_same_time_each_row_goes_to_one() -> None:
    """Many times over: few of them meet where it matters."""
    rows, threads = np.arange(100, dtype=np.uint64), 4
    together = Barrier(threads)

    def take(bag: Bag) -> int:
        together.wait()
        return int(bag.take((rows, rows)).sum())

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(500):
            bag = Bag((rows, rows))
            assert sum(pool.map(take, [bag] * threads)) == len(rows)
            assert len(bag) == 0
