"""Rows told apart by where they lie: against sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.changes.places import Versions, difference

Rows = dict[int, int]  # place > version

PLACES = st.one_of(st.integers(0, 12), st.sampled_from([2**48 - 1, 2**53, 2**64 - 1]))
ROWS = st.dictionaries(PLACES, st.sampled_from([0, 1, 2**32 - 1]), max_size=15)


def columns(rows: Rows) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint64]], Versions]:
    order = sorted(rows)
    return np.array(order, np.uint64), np.array([rows[place] for place in order], np.uint32)


def chosen(rows: Rows, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> set[tuple[int, int]]:
    assert (len(mask), str(mask.dtype)) == (len(rows), "bool")
    return {row for row, is_chosen in zip(sorted(rows.items()), mask, strict=True) if is_chosen}


@settings(max_examples=300, deadline=None)
@given(ROWS, ROWS, st.data())
def test_what_lies_where_it_lay_in_the_same_version_is_kept_and_all_else_of_now_is_added(
    before: Rows, now: Rows, data: st.DataObject
) -> None:
    new = np.array(data.draw(st.lists(st.booleans(), min_size=len(now), max_size=len(now))), np.bool_)
    found = difference(columns(before), columns(now), new)
    both = set(before.items()) & set(now.items()) - chosen(now, new)
    assert chosen(before, found.kept) == both
    assert chosen(now, found.added) == set(now.items()) - both


def test_of_nothing_before_all_is_added_and_of_nothing_now_nothing_is_kept() -> None:
    rows = {0: 0, 2**64 - 1: 2**32 - 1}
    assert chosen(rows, difference(columns({}), columns(rows), np.zeros(2, np.bool_)).added) == set(rows.items())
    assert chosen(rows, difference(columns(rows), columns({}), np.zeros(0, np.bool_)).kept) == set()
