"""Texts as the bytes they are, looked at many at a time: which of them can hold something at all.

Nearly all text holds none of what is searched for, and a regular expression takes ten times as long to say so. What is
left out here is out for certain; what is not is looked at closely elsewhere.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

Array = np.ndarray[Any, np.dtype[Any]]

_END = "\n"  # put behind each text: part of no word, number or address
_GLUE = b" ().-"  # what may stand between the digits of one number
_FEWEST = 8  # digits of a phone number or a payment card
_FOREIGN_DIGIT = r"[\p{Nd}--[0-9]]"


class Cells:
    """Texts without NULL. Places are of bytes in ``data``, the texts one after the other; texts have their index."""

    def __init__(self, texts: pl.Series) -> None:
        self.texts = texts
        held = (texts + _END).to_arrow(compat_level=pl.CompatLevel.oldest())  # offsets and one run of bytes
        self._ends = np.frombuffer(held.buffers()[1], np.int64)[1 : len(texts) + 1]
        self.data = np.frombuffer(held.buffers()[2] or b"", np.uint8)[: self._ends[-1] if len(texts) else 0]

    @cached_property
    def ascii(self) -> bool:
        return not len(self.data) or int(self.data.max()) < 128

    @cached_property
    def digits(self) -> Array:
        """For each place whether a digit of ASCII stands there."""
        found: Array = (self.data - np.uint8(48)) < 10
        return found

    def of(self, places: Array) -> Array:
        """The index of the text that each of these places is in."""
        return np.searchsorted(self._ends, places, side="right")

    def before(self, places: Array) -> Array:
        """For each text how many of these places, which are in order, come before its end."""
        return np.searchsorted(places, self._ends)

    def escaped(self) -> Array:
        """Texts that may say more once unwrapped, by escapes of JSON, URLs or HTML. As truth for each text."""
        return self._having((self.data == 92) | (self.data == 37) | (self.data == 38))

    @cached_property
    def numbers(self) -> Array:
        """Texts that may hold a phone number or a payment card: digits enough, with nothing but glue between them."""
        either = self.digits.copy()
        for byte in _GLUE:
            either |= self.data == byte
        wide = either
        for size in (1, 2, 4):  # _FEWEST in a row
            wide = wide[:-size] & wide[size:]
        if not wide.any():
            return self._foreign
        edges = _edges(wide)
        edges[1::2] += _FEWEST - 1  # no further than the end of the text: what a text ends with is no glue
        digits = np.searchsorted(np.flatnonzero(self.digits), edges)  # that come before each edge
        enough = digits[1::2] - digits[::2] >= _FEWEST
        return self._marked(edges[::2][enough]) | self._foreign

    def addresses(self) -> Array:
        """Texts that may hold an e-mail or an IP address."""
        colon = self.data == 58
        double = colon[1:] & colon[:-1]
        hexadecimal = self.digits | (((self.data | np.uint8(32)) - np.uint8(97)) < 6)
        groups = self._count(hexadecimal[:-1] & colon[1:]) >= 7
        dotted = self._count(self.digits[:-2] & (self.data[1:-1] == 46) & self.digits[2:]) >= 3
        return self._having(self.data == 64) | self._having(double) | groups | dotted | self._foreign

    def words(self) -> Array:
        """Where each run of letters and digits begins and where it has ended, by turns; what is not of ASCII is part of
        one. None ends with the data: each text has an end of its own."""
        return _edges(self.digits | (((self.data | np.uint8(32)) - np.uint8(97)) < 26) | (self.data >= 128))

    @cached_property
    def _foreign(self) -> Array:
        """Texts with digits of other scripts."""
        if self.ascii:
            return np.zeros(len(self.texts), np.bool_)
        return self.texts.str.contains(_FOREIGN_DIGIT).to_numpy()

    def _having(self, flags: Array) -> Array:
        return self._marked(np.flatnonzero(flags))

    def _marked(self, places: Array) -> Array:
        found = np.zeros(len(self.texts), np.bool_)
        found[self.of(places)] = True
        return found

    def _count(self, flags: Array) -> Array:
        return np.bincount(self.of(np.flatnonzero(flags)), minlength=len(self.texts))


def _edges(flags: Array) -> Array:
    """Where each run of flags begins and where it has ended, by turns."""
    padded = np.zeros(len(flags) + 2, np.bool_)
    padded[1:-1] = flags
    return np.flatnonzero(padded[1:] != padded[:-1])
