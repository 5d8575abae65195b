"""What the personal columns held before their policies: a bounded filter of keyed hashes, no values.

It is filled while the snapshot streams by and asked when the staged members are searched. Above its bound it
keeps a uniform sample of the distinct values; ``share`` says how large. Values are compared as runs of words
(words.py). Not used, because they are found everywhere: values of fewer than 6 letters and digits, of digits
only with fewer than 9 (but four groups, as of an IP address, are), and numbers. Not used either: runs of more
than 8 words. How many values were not used is counted.
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
import pyarrow as pa

from ..core.errors import ObjectDamaged
from .cells import Array, Cells
from .text import counted, pieces_of, text_of
from .words import LONGEST, MULTIPLIER, Words, compact_phones, unwrapped

_ALL = 2**64 - 1
_SHORTEST, _SHORTEST_NUMBER = 6, 9  # letters and digits
_PHONE_LIKE = r"^\s*\+?[\d ().\-/]{9,25}$"
_MAC_SIZE = 32
_MASK_BITS = 24
_PENDING = 100_000  # entries gathered before they are sorted in
_FIELDS = (("run", "<u8"), ("first", "<u4"), ("origin", "<u2"), ("length", "u1"))  # first: of the first word
_NOTHING = {"cell": pl.UInt32, "origin": pl.String}


class Originals:
    """``key``: 16 to 64 secret bytes of the run. ``bound``: most entries kept (15 bytes each in memory).

    ``values`` counts the texts collected, ``unused`` those of them that cannot be searched for.
    """

    def __init__(self, key: bytes, bound: int = 1_000_000) -> None:
        if not 16 <= len(key) <= 64 or bound < 1:
            raise ValueError("the key has 16 to 64 bytes and the bound is at least 1")
        self._key = key
        self._lock = Lock()
        self._bound = bound
        self._limit = _ALL  # entries above it are dropped: a sample that depends on the values alone
        self._origins: list[str] = []
        self._entries = _no_entries()  # distinct, sorted by run
        self._pending: list[dict[str, Array]] = []
        self._sieve: _Sieve | None = None
        self.values = 0
        self.unused = 0

    def __repr__(self) -> str:
        return f"Originals({len(self)} entries of {len(self._origins)} columns, share {self.share:.4f})"

    def __len__(self) -> int:
        self._settle()
        return len(self._entries["run"])

    @property
    def share(self) -> float:
        """The part of the distinct values that is kept: 1.0 until the bound is passed, then 1/2, 1/4, ..."""
        self._settle()
        return (self._limit + 1) / (_ALL + 1)

    def collect(self, table: str, batch: pa.RecordBatch, columns: Collection[str]) -> None:
        """Takes in the values of those columns of a batch of original rows. Idempotent but for the counts.

        May be called by several threads.
        """
        for name in sorted(columns):
            text = text_of(batch.column(name))
            if text is not None and len(text):
                self._collect(f"{table}.{name}", text)

    def _collect(self, label: str, text: pl.Series) -> None:
        with self._lock:
            if label not in self._origins:
                self._origins.append(label)
            origin = self._origins.index(label)
            self.values += len(text)
        for piece in pieces_of(counted(text)):
            values, rows = piece["value"], piece["rows"].to_numpy()
            words = Words(values, self._key)
            starts, counts = _usable(words)
            phones = compact_phones(values.filter(values.str.contains(_PHONE_LIKE)))
            numbers = Words(phones.filter(phones.str.len_bytes() >= _SHORTEST_NUMBER), self._key).hash
            with self._lock:
                self.unused += int(rows.sum()) - int(rows[words.cell(starts)].sum())
                for length in np.unique(counts).tolist():
                    first = starts[counts == length]
                    self._take(_runs(words.hash, first, length), words.hash[first], origin, length)
                self._take(numbers, numbers, origin, 1)

    def _take(self, runs: Array, firsts: Array, origin: int, length: int) -> None:
        kept = runs <= np.uint64(self._limit)
        self._pending.append(
            {
                "run": runs[kept],
                "first": (firsts[kept] >> np.uint64(32)).astype(np.uint32),
                "origin": np.full(int(kept.sum()), origin, np.uint16),
                "length": np.full(int(kept.sum()), length, np.uint8),
            }
        )
        if sum(len(entries["run"]) for entries in self._pending) > _PENDING:
            self._settle()

    def _settle(self) -> None:
        """Invariant after it: entries are distinct, sorted, at most ``bound``, none above ``limit``. Of equal runs the
        one of the first column is kept, in whatever order they came."""
        if not self._pending:
            return
        new = {name: np.concatenate([entries[name] for entries in self._pending]) for name, _ in _FIELDS}
        self._pending, self._sieve = [], None
        order = np.lexsort((new["origin"], new["run"]))
        order = order[np.append(True, np.diff(new["run"][order]) != 0)] if len(order) else order
        new = {name: column[order] for name, column in new.items()}
        self._entries = _merged(self._entries, new)
        while len(self._entries["run"]) > self._bound:
            self._limit //= 2
            kept = int(np.searchsorted(self._entries["run"], np.uint64(self._limit), side="right"))
            self._entries = {name: column[:kept].copy() for name, column in self._entries.items()}

    def find(self, values: pl.Series) -> pl.DataFrame:
        """Which of the texts hold an original value: rows ``cell`` (index into ``values``), ``origin`` (label
        of the column it comes from), each pair once. May be asked by several threads.

        A value that is one word of letters (a first name, a city) counts only where it is all there is in the
        cell: in running text such words are too often just words.
        """
        self._settle()
        if not len(self) or not len(values):
            return pl.DataFrame(schema=_NOTHING)
        found, origins = self._found(Words(values, self._key))
        cells = Cells(values)
        wrapped = np.flatnonzero(cells.escaped() | cells.numbers())
        if len(wrapped):
            inside, theirs = self._found(Words(unwrapped(values.gather(wrapped)), self._key))
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
        cells, origins = [np.zeros(0, np.int64)], [np.zeros(0, np.uint16)]
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
                origins.append(self._entries["origin"][places[whole]])
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
            "limit": self._limit,
            "origins": self._origins,
            "values": self.values,
            "unused": self.unused,
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
        made._limit, made._origins = facts["limit"], facts["origins"]
        made.values, made.unused = facts["values"], facts["unused"]
        for name, kind in _FIELDS:
            made._entries[name] = np.frombuffer(body, kind, facts["entries"], at)
            at += made._entries[name].nbytes
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


def _merged(entries: dict[str, Array], new: dict[str, Array]) -> dict[str, Array]:
    """Both as one, where each is sorted and distinct; of a run that is in both, the entry of the first column."""
    places = np.searchsorted(entries["run"], new["run"])
    inside = np.flatnonzero(places < len(entries["run"]))
    twice = inside[entries["run"][places[inside]] == new["run"][inside]]
    earlier = twice[new["origin"][twice] < entries["origin"][places[twice]]]
    for name in ("first", "origin", "length"):
        if len(earlier):
            entries[name] = entries[name].copy()  # may lie in bytes that are not ours to change
            entries[name][places[earlier]] = new[name][earlier]
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
