"""What the personal columns held before their policies: a bounded filter of keyed hashes, no values.

It is filled while the snapshot streams by and asked when the staged members are searched. Above its bound it
keeps a uniform sample of the distinct values; ``share`` says how large, and values outside of it cost no more than a
hash. Values are compared as runs of words (words.py). Not used, because they are found everywhere: values of fewer than
6 letters and digits, of digits only with fewer than 9 (but four groups, as of an IP address, are), and numbers. Not
used either: runs of more than 8 words.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa

from ..core.errors import ObjectDamaged
from .cells import Array, Cells
from .text import counted, pieces_of, text_of
from .words import LONGEST, MULTIPLIER, Words, compact_phones, unwrapped

_ALL = 32  # bits of a value's number: with all of them none is left out
_SHORTEST, _SHORTEST_NUMBER = 6, 9  # letters and digits
_PHONE_LIKE = r"^\s*\+?[\d ().\-/]{9,25}$"
_MAC_SIZE = 32
_MASK_BITS = 24
_PENDING = 250_000  # entries gathered before they are sorted in
_FIELDS = (("run", "<u8"), ("first", "<u4"), ("rank", "<u4"), ("length", "u1"))  # first: of the first word
_BITS = 16  # of a rank are the number of the column; those above say how long the value's number is
_TOLD_APART = (1 << _BITS) - 1  # columns; a schema for each customer makes more of them
_ANOTHER = "another column"
_NOTHING = {"cell": pl.UInt32, "origin": pl.String}


class Originals:
    """``key``: 16 to 64 secret bytes of the run. ``bound``: most entries kept (17 bytes each in memory)."""

    def __init__(self, key: bytes, bound: int = 1_000_000) -> None:
        if not 16 <= len(key) <= 64 or bound < 1:
            raise ValueError("the key has 16 to 64 bytes and the bound is at least 1")
        self._key = key
        self._lock = Lock()
        self._bound = bound
        seed = hashlib.blake2b(digest_size=8, key=key, person=b"rlg values").digest()
        self._seed = int.from_bytes(seed, "little")
        self._bits = _ALL  # values with a longer number are left out: a sample that depends on the values alone
        self._origins: list[str] = []
        self._entries = _no_entries()  # distinct, sorted by run
        self._pending: list[dict[str, Array]] = []
        self._sieve: _Sieve | None = None

    def __repr__(self) -> str:
        return f"Originals({len(self)} entries of {len(self._origins)} columns, share {self.share:.4f})"

    def __len__(self) -> int:
        self._settle()
        return len(self._entries["run"])

    @property
    def share(self) -> float:
        """The part of the distinct values that is kept: 1.0 until the bound is passed, then 1/2, 1/4, ..."""
        self._settle()
        return float(2.0 ** (self._bits - _ALL))

    def collect(self, table: str, batch: pa.RecordBatch, columns: Collection[str]) -> None:
        """Takes in the values of those columns of a batch of original rows. Idempotent.

        May be called by several threads.
        """
        for name in sorted(columns):
            text = text_of(batch.column(name))
            if text is not None and len(text):
                self._collect(f"{table}.{name}", text)

    def _collect(self, label: str, text: pl.Series) -> None:
        with self._lock:
            label = label if label in self._origins or len(self._origins) < _TOLD_APART else _ANOTHER
            if label not in self._origins:
                self._origins.append(label)
            origin = self._origins.index(label)
        for piece in pieces_of(self._chosen(counted(text)["value"])):
            values, bits = piece["value"], piece["bits"].to_numpy()
            words = Words(Cells(values), self._key)
            starts, counts = _usable(words)
            theirs = bits[words.cell(starts)]
            phone = values.str.contains(_PHONE_LIKE)
            phones = compact_phones(values.filter(phone))
            long = (phones.str.len_bytes() >= _SHORTEST_NUMBER).to_numpy()
            numbers = Words(Cells(phones.filter(long)), self._key).hash
            with self._lock:
                for length in np.unique(counts).tolist():
                    these = counts == length
                    first = starts[these]
                    self._take(_runs(words.hash, first, length), words.hash[first], theirs[these], origin, length)
                self._take(numbers, numbers, bits[phone.to_numpy()][long], origin, 1)

    def _chosen(self, values: pl.Series) -> pl.DataFrame:
        """The values that are not left out, with the bits of their numbers."""
        hashed = pl.DataFrame({"value": values}).select(plh.col("value").nchash.xxh3_64(seed=self._seed)).to_series()
        _, bits = np.frexp((hashed.to_numpy() >> np.uint64(32)).astype(np.float64))  # a double holds all 32
        kept = bits <= self._bits
        values, bits = (values, bits) if kept.all() else (values.filter(pl.Series(kept)), bits[kept])
        return pl.DataFrame({"value": values, "bits": bits.astype(np.uint32)})

    def _take(self, runs: Array, firsts: Array, bits: Array, origin: int, length: int) -> None:
        self._pending.append(
            {
                "run": runs,
                "first": (firsts >> np.uint64(32)).astype(np.uint32),
                "rank": (bits << np.uint32(_BITS)) | np.uint32(origin),
                "length": np.full(len(runs), length, np.uint8),
            }
        )
        if sum(len(entries["run"]) for entries in self._pending) > _PENDING:
            self._settle()

    def _settle(self) -> None:
        """Invariant after it: entries are distinct, sorted, at most ``bound``, and none of a value that is left out. Of
        equal runs the one of the value that is kept longest counts, and of that the first column, in whatever order
        they came."""
        if not self._pending:
            return
        new = {name: np.concatenate([entries[name] for entries in self._pending]) for name, _ in _FIELDS}
        self._pending, self._sieve = [], None
        self._entries = self._within(_merged(self._entries, _distinct(self._within(new))))
        while len(self._entries["run"]) > self._bound:
            self._bits -= 1
            self._entries = self._within(self._entries)

    def _within(self, entries: dict[str, Array]) -> dict[str, Array]:
        """Those of values that are not left out."""
        kept = entries["rank"] < np.uint32((self._bits + 1) << _BITS)
        return entries if kept.all() else {name: column[kept] for name, column in entries.items()}

    def find(self, cells: Cells) -> pl.DataFrame:
        """Which of the texts hold an original value: rows ``cell`` (the index of the text), ``origin`` (label
        of the column it comes from), each pair once. May be asked by several threads.

        A value that is one word of letters (a first name, a city) counts only where it is all there is in the
        cell: in running text such words are too often just words.
        """
        self._settle()
        if not len(self) or not len(cells.texts):
            return pl.DataFrame(schema=_NOTHING)
        found, origins = self._found(Words(cells, self._key))
        wrapped = np.flatnonzero(cells.escaped() | cells.numbers)
        if len(wrapped):
            inside, theirs = self._found(Words(Cells(unwrapped(cells.texts.gather(wrapped))), self._key))
            found, origins = np.append(found, wrapped[inside]), np.append(origins, theirs)
        if not len(found):  # nearly always
            return pl.DataFrame(schema=_NOTHING)
        labels = pl.Series(self._origins, dtype=pl.String).gather(origins)
        return pl.DataFrame({"cell": found, "origin": labels}, schema=_NOTHING).unique()

    def _found(self, words: Words) -> tuple[Array, Array]:
        """The texts that hold a known run, and the origin of each; a text as often as it holds one."""
        sieve = self._sieve = self._sieve or _Sieve.of(self._entries)
        starts = np.flatnonzero(_maybe(sieve.firsts, words.hash))
        runs = words.hash[starts]
        cells, origins = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
        for length in range(1, sieve.lengths[-1] + 1):
            if length > 1:
                inside = starts + length <= len(words)
                starts = starts[inside]
                runs = runs[inside] * MULTIPLIER + words.hash[starts + length - 1]
            if length in sieve.lengths:
                maybe = np.flatnonzero(_maybe(sieve.runs, runs))
                at, places = self._known(starts[maybe], runs[maybe])
                cell = words.cell(at)
                whole = cell == words.cell(at + length - 1)
                if length == 1 and len(at):
                    whole &= ~words.letters[at] | (words.counts[cell] == 1)
                cells.append(cell[whole])
                origins.append(self._entries["rank"][places[whole]] & np.uint32((1 << _BITS) - 1))
        return np.concatenate(cells), np.concatenate(origins)

    def _known(self, starts: Array, runs: Array) -> tuple[Array, Array]:
        """Those of the starts whose run is known, and the place of each among the entries."""
        places = np.searchsorted(self._entries["run"], runs)
        places[places == len(self._entries["run"])] = 0
        hit = self._entries["run"][places] == runs
        return starts[hit], places[hit]

    def to_bytes(self) -> bytes:
        """Keyed hashes, names of columns and counts, authenticated. The key is not in it."""
        self._settle()
        facts = {
            "bound": self._bound,
            "bits": self._bits,
            "origins": self._origins,
            "entries": len(self),
        }
        header = json.dumps(facts).encode()
        columns = [self._entries[name].astype(kind, copy=False).data for name, kind in _FIELDS]
        body = b"".join([len(header).to_bytes(4, "big"), header, *columns])
        return self._mac(self._key, body) + body

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> Originals:
        """Raises ObjectDamaged for other bytes or another key: with that, nothing would ever be found."""
        mac, body = data[:_MAC_SIZE], memoryview(data)[_MAC_SIZE:]
        if not hmac.compare_digest(mac, cls._mac(key, body)):
            raise ObjectDamaged("read", "the filter of original values", "it is damaged or of another run")
        at = 4 + int.from_bytes(body[:4], "big")
        facts = json.loads(bytes(body[4:at]))
        made = cls(key, facts["bound"])
        made._bits, made._origins = facts["bits"], facts["origins"]
        for name, kind in _FIELDS:
            column = np.frombuffer(body, kind, facts["entries"], at)
            made._entries[name] = column.copy()  # where it lies no search is fast: each would align all of it first
            at += column.nbytes
        return made

    @staticmethod
    def _mac(key: bytes, body: bytes | memoryview) -> bytes:
        return hashlib.blake2b(body, digest_size=_MAC_SIZE, key=key, person=b"rlg originals").digest()


@dataclass(frozen=True)
class _Sieve:
    """Tables of bits that refuse nearly all words with which no known run begins, and nearly all other runs; and how
    many words known runs have, in order."""

    firsts: Array
    runs: Array
    lengths: list[int]

    @classmethod
    def of(cls, entries: dict[str, Array]) -> _Sieve:
        firsts = _mask_of(entries["first"].astype(np.uint64) << np.uint64(32))
        return cls(firsts, _mask_of(entries["run"]), np.unique(entries["length"]).tolist())


def _no_entries() -> dict[str, Array]:
    return {name: np.zeros(0, kind) for name, kind in _FIELDS}


def _distinct(entries: dict[str, Array]) -> dict[str, Array]:
    """Sorted by run; of equal runs one, with the least rank."""
    if not len(entries["run"]):
        return entries
    order = np.argsort(entries["run"])
    sorted_ = {name: column[order] for name, column in entries.items()}
    starts = np.flatnonzero(np.append(True, sorted_["run"][1:] != sorted_["run"][:-1]))
    if len(starts) == len(order):
        return sorted_
    ranks = np.minimum.reduceat(sorted_["rank"], starts)
    return {**{name: column[starts] for name, column in sorted_.items()}, "rank": ranks}


def _merged(entries: dict[str, Array], new: dict[str, Array]) -> dict[str, Array]:
    """Both as one, where each is sorted and distinct; of a run that is in both, the lower rank."""
    places = np.searchsorted(entries["run"], new["run"])
    inside = np.flatnonzero(places < len(entries["run"]))
    twice = inside[entries["run"][places[inside]] == new["run"][inside]]
    entries["rank"][places[twice]] = np.minimum(entries["rank"][places[twice]], new["rank"][twice])
    fresh = np.ones(len(places), np.bool_)
    fresh[twice] = False
    return {name: np.insert(column, places[fresh], new[name][fresh]) for name, column in entries.items()}


def _slots(runs: Array) -> tuple[Array, Array]:
    """The byte of the bit table that each run has its bit in, and that bit."""
    slots = runs >> np.uint64(64 - _MASK_BITS)
    bits = np.left_shift(np.uint8(1), (slots & np.uint64(7)).astype(np.uint8))
    return (slots >> np.uint64(3)).astype(np.intp), bits


def _usable(words: Words) -> tuple[Array, Array]:
    """Of the values that can be searched for: the place of the first word, and how many words."""
    counts = words.counts[words.counts > 0]
    starts = np.cumsum(counts) - counts
    if not len(starts):
        return starts, counts
    sizes = np.add.reduceat(words.sizes, starts)
    digits = np.logical_and.reduceat(words.digits, starts)
    least = np.where(digits & (counts != 4), _SHORTEST_NUMBER, _SHORTEST)
    usable = (sizes >= least) & (counts <= LONGEST)
    return starts[usable], counts[usable]


def _runs(hashes: Array, starts: Array, length: int) -> Array:
    """The number of the run of so many words that begins at each of these."""
    runs = hashes[starts]
    for ahead in range(1, length):
        runs = runs * MULTIPLIER + hashes[starts + ahead]
    return runs


def _mask_of(numbers: Array) -> Array:
    """A table of bits that refuses nearly all numbers but these."""
    mask = np.zeros(1 << _MASK_BITS - 3, np.uint8)
    byte, bit = _slots(numbers)
    np.bitwise_or.at(mask, byte, bit)
    return mask


def _maybe(mask: Array, numbers: Array) -> Array:
    """Not 0 for those of the numbers that may be among the ones the mask was made of."""
    byte, bit = _slots(numbers)
    return mask[byte] & bit
