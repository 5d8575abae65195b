"""Rows told apart by their numbers: a multiset, from which equal rows are taken one by one."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

Words = np.ndarray[Any, np.dtype[np.uint64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Lanes = tuple[Words, Words]


class Bag:
    """Row numbers (two lanes of 64 bits), each as often as it was put in; 20 bytes a distinct number. For several
    threads."""

    def __init__(self, numbers: Lanes) -> None:
        first, second = _in_order(numbers)
        new = np.ones(len(first), np.bool_)
        new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        starts = np.flatnonzero(new)
        self._left = np.diff(np.append(starts, len(first))).astype(np.uint32)
        distinct = len(starts) == len(first)
        self._first: Words = first if distinct else first[starts]
        self._second: Words = second if distinct else second[starts]
        self._twins = _longest_run(self._first)
        self._one = Lock()

    def __len__(self) -> int:
        """How many rows are left in it."""
        return int(self._left.sum())

    def take(self, numbers: Lanes) -> Mask:
        """Which of these rows were in it; they are no more. Of equal rows as many as there were, the first ones."""
        found = self._find(numbers)
        taken = np.zeros(len(found), np.bool_)
        here = np.flatnonzero(found >= 0)
        if not len(here):
            return taken
        order = here[np.argsort(found[here], kind="stable")]
        places = found[order]
        starts = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
        rank = np.arange(len(places)) - np.repeat(starts, np.diff(np.append(starts, len(places))))
        with self._one:
            enough = rank < self._left[places]
            np.subtract.at(self._left, places[enough], 1)
        taken[order[enough]] = True
        return taken

    def rest(self) -> Lanes:
        """What is left in it, equal rows as often as they are."""
        return np.repeat(self._first, self._left), np.repeat(self._second, self._left)

    def _find(self, numbers: Lanes) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The place of each number, -1 where it is none of the bag's."""
        found = np.full(len(numbers[0]), -1, np.int64)
        order = np.argsort(numbers[0])  # one after another, what is looked at is in the cache
        start = np.empty(len(order), np.int64)
        start[order] = np.searchsorted(self._first, numbers[0][order])
        for step in range(self._twins):  # numbers may be equal in their first lane: once in 2^64 pairs
            at = np.minimum(start + step, len(self._first) - 1)
            same = (self._first[at] == numbers[0]) & (self._second[at] == numbers[1])
            found[same] = at[same]
        return found


def _in_order(numbers: Lanes) -> Lanes:
    """By both lanes. Few numbers are equal in the first: only these are put in the order of the second, for half the
    memory."""
    order = np.argsort(numbers[0])
    first, second = numbers[0][order], numbers[1][order]
    del order
    same = first[1:] == first[:-1]
    equal = np.zeros(len(first), np.bool_)
    equal[1:] |= same
    equal[:-1] |= same
    places = np.flatnonzero(equal)
    second[places] = second[places][np.lexsort((second[places], first[places]))]
    return first, second


def _longest_run(ordered: Words) -> int:
    """Of equal words, how many there are at most."""
    if not len(ordered):
        return 0
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return int(np.diff(np.append(starts, len(ordered))).max())
