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
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from ..core.errors import ObjectDamaged
from .text import pieces_of, text_of
from .words import LONGEST, MULTIPLIER, compact_phones, runs_of, unwrapped, words

Array = np.ndarray[Any, np.dtype[Any]]

_ALL = 2**64 - 1
_SHORTEST, _SHORTEST_NUMBER = 6, 9  # letters and digits
_PHONE_LIKE = r"^\s*\+?[\d ().\-/]{9,25}$"
_MAC_SIZE = 32
_MASK_BITS = 24
_PENDING = 100_000  # entries gathered before they are sorted in
_FIELDS = (("run", "<u8"), ("origin", "<u2"), ("length", "u1"))
_NOTHING = {"cell": pl.UInt32, "origin": pl.String}


class Originals:
    """``key``: 16 to 64 secret bytes of the run. ``bound``: most entries kept (11 bytes each in memory).

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
        self._mask: Array | None = None
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
                with self._lock:
                    self._collect(f"{table}.{name}", text)

    def _collect(self, label: str, text: pl.Series) -> None:
        if label not in self._origins:
            self._origins.append(label)
        origin = self._origins.index(label)
        self.values += len(text)
        for piece in pieces_of(text.value_counts(name="rows")):
            values, rows = piece["value"], piece["rows"].to_numpy()
            self.unused += int(rows.sum()) - int(rows[self._collect_runs(values, origin)].sum())
            phones = values.filter(values.str.contains(_PHONE_LIKE))
            if len(phones):
                compact = compact_phones(phones)
                long = compact.filter(compact.str.len_bytes() >= _SHORTEST_NUMBER)
                self._take(words(long, self._key)["hash"].to_numpy(), origin, 1)

    def _collect_runs(self, values: pl.Series, origin: int) -> Array:
        """Takes in each value that can be searched for as one run of its words; returns the places of these values."""
        frame = words(values, self._key)
        cells, hashes = frame["cell"].to_numpy(), frame["hash"].to_numpy()
        starts, counts = _usable(frame)
        for length in np.unique(counts).tolist():
            first = starts[counts == length]
            runs = hashes[first]
            for ahead in range(1, length):
                runs = runs * MULTIPLIER + hashes[first + ahead]
            self._take(runs, origin, length)
        return cells[starts]

    def _take(self, runs: Array, origin: int, length: int) -> None:
        kept = runs[runs <= np.uint64(self._limit)]
        self._pending.append(
            {
                "run": kept,
                "origin": np.full(len(kept), origin, np.uint16),
                "length": np.full(len(kept), length, np.uint8),
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
        self._pending, self._mask = [], None
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
        frame = words(unwrapped(values), self._key)
        cells, hashes = frame["cell"].to_numpy(), frame["hash"].to_numpy()
        lengths = np.unique(self._entries["length"]).tolist()
        found, origins = [], []
        for length, runs in runs_of(hashes, lengths[-1]):
            if length not in lengths:
                continue
            starts = self._maybe(runs)
            starts = starts[cells[starts] == cells[starts + length - 1]]
            if length == 1:
                alone = np.bincount(cells)[cells[starts]] == 1
                starts = starts[alone | ~frame["letters"].to_numpy()[starts]]
            starts, places = self._known(runs, starts)
            found.append(cells[starts])
            origins.append(self._entries["origin"][places])
        labels = [self._origins[origin] for origin in np.concatenate(origins).tolist()]
        return pl.DataFrame({"cell": np.concatenate(found), "origin": labels}, schema=_NOTHING).unique()

    def _maybe(self, runs: Array) -> Array:
        """Where runs stand that may be known: a bit table refuses nearly all of the others."""
        if self._mask is None:
            mask = np.zeros(1 << _MASK_BITS - 3, np.uint8)
            byte, bit = _slots(self._entries["run"])
            np.bitwise_or.at(mask, byte, bit)
            self._mask = mask  # whole by now: another thread may ask at the same time
        byte, bit = _slots(runs)
        return np.flatnonzero(self._mask[byte] & bit)

    def _known(self, runs: Array, starts: Array) -> tuple[Array, Array]:
        """Those of the starts whose run is known, and the place of each among the entries."""
        wanted = runs[starts]
        places = np.searchsorted(self._entries["run"], wanted)
        places[places == len(self._entries["run"])] = 0
        hit = self._entries["run"][places] == wanted
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


def _no_entries() -> dict[str, Array]:
    return {name: np.zeros(0, kind) for name, kind in _FIELDS}


def _merged(entries: dict[str, Array], new: dict[str, Array]) -> dict[str, Array]:
    """Both as one, where each is sorted and distinct; of a run that is in both, the entry of the first column."""
    places = np.searchsorted(entries["run"], new["run"])
    inside = np.flatnonzero(places < len(entries["run"]))
    twice = inside[entries["run"][places[inside]] == new["run"][inside]]
    earlier = twice[new["origin"][twice] < entries["origin"][places[twice]]]
    for name in ("origin", "length"):
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


def _usable(frame: pl.DataFrame) -> tuple[Array, Array]:
    """Of the values that can be searched for: the place of the first word, and how many words."""
    cells = frame["cell"].to_numpy()
    if not len(cells):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    starts = np.flatnonzero(np.append(True, cells[1:] != cells[:-1]))
    counts = np.diff(starts, append=len(cells))
    sizes = np.add.reduceat(frame["size"].to_numpy(), starts)
    digits = np.logical_and.reduceat(frame["digits"].to_numpy(), starts)
    least = np.where(digits & (counts != 4), _SHORTEST_NUMBER, _SHORTEST)
    usable = (sizes >= least) & (counts <= LONGEST)
    return starts[usable], counts[usable]
