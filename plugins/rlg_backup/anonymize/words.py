"""Text as runs of words, and runs as numbers: how an original value is found again inside other text.

A word is a maximal run of letters and digits, so that ``j.doe@example.org`` is the run j, doe, example,
org wherever it stands: in a sentence, in JSON, in a file name, quoted or not. A run's number is made of
the keyed hashes of its words. Case and Unicode compatibility forms
(NFKC) do not count. Scripts without spaces between words give long words.
"""

from __future__ import annotations

import hashlib
import html
import re
from functools import cached_property
from urllib.parse import unquote

import numpy as np
import polars as pl

from .cells import Array, Cells
from .shapes import HARMLESS

LONGEST = 8  # words in a run; longer values are not searched for

_BETWEEN = r"[^\p{L}\p{M}\p{N}]+"
_NOT_ASCII = r"[^\x00-\x7f]"
_FOLDED = {"ς": "σ", "ß": "ss"}  # what lower case leaves apart, and case folding does not
MULTIPLIER = np.uint64(6364136223846793005)  # odd: multiplying by it loses nothing modulo 2^64
_STRIDE = 8
_HASHED = 4096  # bytes of a word: a picture in hexadecimal is one word, and would take a second for each megabyte
_MASKS = np.array([2 ** (8 * size) - 1 for size in range(_STRIDE + 1)], np.uint64)

_ESCAPED = r"\\|%[0-9A-Fa-f]{2}|&#?\w+;"  # cells that may say more once unwrapped
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([nrtbf])|(.))", re.DOTALL)
_PHONE = r"\d(?:[ ().\-]{0,2}\d){8,16}"


class Words:
    """The words of texts, in order, as arrays; ``hash`` has the number of each."""

    def __init__(self, cells: Cells, key: bytes) -> None:
        self._cells = cells = _folded(cells)
        self._edges = cells.words()
        self._starts, self._ends = self._edges[::2], self._edges[1::2]
        lower = cells.data | (((cells.data - np.uint8(65)) < 26).view(np.uint8) << np.uint8(5))
        self.hash = _hashes(lower, self._starts, self._ends - self._starts, key)

    def __len__(self) -> int:
        return len(self._starts)

    def cell(self, which: Array) -> Array:
        """The index of the text that each of these words is in."""
        return self._cells.of(self._starts[which])

    @cached_property
    def counts(self) -> Array:
        """How many words each text has."""
        return np.diff(self._cells.before(self._starts), prepend=0)

    @cached_property
    def sizes(self) -> Array:
        """The characters of each word."""
        if self._cells.ascii:
            return self._ends - self._starts
        return self._within((self._cells.data & 0xC0) != 0x80)

    @cached_property
    def digits(self) -> Array:
        """Whether each word is nothing but digits."""
        return self._nothing_but(np.logical_and.reduceat(self._cells.digits, self._edges)[::2], r"\P{Nd}")

    @cached_property
    def letters(self) -> Array:
        """Whether each word is nothing but letters."""
        return self._nothing_but(~np.logical_or.reduceat(self._cells.digits, self._edges)[::2], r"[^\p{L}]")

    def _within(self, flags: Array) -> Array:
        """How many places of each word have the flag."""
        sums = np.concatenate(([0], np.cumsum(flags, dtype=np.int64)))
        return sums[self._ends] - sums[self._starts]

    def _nothing_but(self, found: Array, others: str) -> Array:
        """``found`` holds for words of ASCII; what other words hold is asked of their text."""
        if not self._cells.ascii:
            foreign = np.flatnonzero(self._within(self._cells.data >= 128))
            spans = zip(self._starts[foreign].tolist(), self._ends[foreign].tolist(), strict=True)
            texts = pl.Series([self._cells.data[start:end].tobytes().decode() for start, end in spans], dtype=pl.String)
            found[foreign] = ~texts.str.contains(others).to_numpy()
        return found


def unwrapped(values: pl.Series) -> pl.Series:
    """Texts with what their escapes hide added at the end: JSON's backslashes, URL and HTML escapes, and
    phone numbers without their separators. The text itself stays, so nothing is lost by a wrong guess."""
    escaped = values.str.contains(_ESCAPED)
    if escaped.any():
        pairs = zip(values.to_list(), escaped.to_list(), strict=True)
        values = pl.Series(values.name, [_with_plain(text) if may else text for text, may in pairs], dtype=pl.String)
    phones = values.str.replace_all(HARMLESS, "~").str.extract_all(_PHONE).list.join("\n")
    return values + "\n" + compact_phones(phones)


def compact_phones(phones: pl.Series) -> pl.Series:
    """The digits of phone numbers (one or more in a text, a line each) without an international 00."""
    return phones.str.replace_all(r"[^\d\n]", "").str.replace_all(r"(?m)^00", "")


def _with_plain(text: str) -> str:
    plain = text
    if "\\" in plain:
        plain = _ESCAPE.sub(lambda escape: _unescaped(*escape.groups()), plain)
    if "%" in plain:
        plain = unquote(plain)
    if "&" in plain:
        plain = html.unescape(plain)
    return text if plain == text else f"{text}\n{plain}"


def _unescaped(code: str | None, blank: str | None, other: str | None) -> str:
    if code is not None:
        character = chr(int(code, 16))
        return " " if "\ud800" <= character <= "\udfff" else character
    return " " if blank is not None else other or ""


def _folded(cells: Cells) -> Cells:
    """Texts in which every byte that is not of ASCII is part of a word, and case does not count among those bytes."""
    if cells.ascii:
        return cells
    foreign = cells.texts.str.contains(_NOT_ASCII).arg_true()
    folded = cells.texts.gather(foreign).str.to_lowercase().str.normalize("NFKC").str.to_lowercase()
    folded = folded.str.replace_many(_FOLDED).str.replace_all(_BETWEEN, " ")
    return Cells(cells.texts.clone().scatter(foreign, folded))  # which changes in place


def _hashes(data: Array, starts: Array, sizes: Array, key: bytes) -> Array:
    """A number of 64 bits for each word: eight bytes at a time are mixed in, with two factors made of the key; of a
    word that is longer than ``_HASHED`` its beginning and its size.

    Who knows such numbers without the key cannot tell words from them, and who has it could try words with any hash: no
    more is asked of it, and SHA-256 of each word took as long as all the rest of the search.
    """
    secret = hashlib.blake2b(digest_size=24, key=key, person=b"rlg words").digest()
    seed, one, two = (np.uint64(int.from_bytes(secret[at : at + 8], "little") | 1) for at in (0, 8, 16))
    padded = np.zeros(len(data) + _STRIDE, np.uint8)
    padded[: len(data)] = data
    ahead = np.ndarray((len(data) + 1,), "<u8", padded, 0, (1,))  # the eight bytes that begin at each place
    hashes = seed ^ (sizes.astype(np.uint64) * one)
    hashed = np.minimum(sizes, _HASHED)
    hashes = _mixed(hashes, ahead[starts] & _MASKS[np.minimum(hashed, _STRIDE)], one)
    at, rest = _STRIDE, np.flatnonzero(hashed > _STRIDE)
    while len(rest):
        left = hashed[rest] - at
        eight = ahead[starts[rest] + at] & _MASKS[np.minimum(left, _STRIDE)]
        hashes[rest] = _mixed(hashes[rest], eight, one)
        at, rest = at + _STRIDE, rest[left > _STRIDE]
    for factor, shift in ((two, 29), (MULTIPLIER, 32)):  # each bit of the number comes to depend on each of the words'
        hashes *= factor
        hashes ^= hashes >> np.uint64(shift)
    return hashes


def _mixed(hashes: Array, eight: Array, factor: np.uint64) -> Array:
    """Hashes with eight more bytes of their words; overwrites what it is given."""
    hashes ^= eight
    hashes *= factor
    hashes ^= hashes >> np.uint64(32)
    return hashes
