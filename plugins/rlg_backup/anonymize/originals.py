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

import polars as pl
import pyarrow as pa

from ..core.errors import ObjectDamaged
from .text import text_of
from .words import LONGEST, compact_phones, runs_of, unwrapped, words

_SCHEMA = {"run": pl.UInt64, "origin": pl.UInt16, "length": pl.UInt8}
_ALL = 2**64 - 1
_SHORTEST, _SHORTEST_NUMBER = 6, 9  # letters and digits
_PHONE_LIKE = r"^\s*\+?[\d ().\-/]{9,25}$"
_MAC_SIZE = 32
_MASK_BITS = 22
_PENDING = 250_000  # entries gathered before they are sorted in


class Originals:
    """``key``: 16 to 64 secret bytes of the run. ``bound``: most entries kept (11 bytes each in memory).

    ``values`` counts the texts collected, ``unused`` those of them that cannot be searched for.
    """

    def __init__(self, key: bytes, bound: int = 1_000_000) -> None:
        if not 16 <= len(key) <= 64 or bound < 1:
            raise ValueError("the key has 16 to 64 bytes and the bound is at least 1")
        self._key = key
        self._bound = bound
        self._limit = _ALL  # entries above it are dropped: a sample that depends on the values alone
        self._origins: list[str] = []
        self._entries = pl.DataFrame(schema=_SCHEMA)
        self._pending: list[pl.DataFrame] = []
        self._mask: pl.Series | None = None
        self.values = 0
        self.unused = 0

    def __repr__(self) -> str:
        return f"Originals({len(self)} entries of {len(self._origins)} columns, share {self.share:.4f})"

    def __len__(self) -> int:
        self._settle()
        return len(self._entries)

    @property
    def share(self) -> float:
        """The part of the distinct values that is kept: 1.0 until the bound is passed, then 1/2, 1/4, ..."""
        self._settle()
        return (self._limit + 1) / (_ALL + 1)

    def collect(self, table: str, batch: pa.RecordBatch, columns: Collection[str]) -> None:
        """Takes in the values of those columns of a batch of original rows. Idempotent but for the counts."""
        for name in sorted(columns):
            text = text_of(batch.column(name))
            if text is not None and len(text):
                self._collect(f"{table}.{name}", text)

    def _collect(self, label: str, text: pl.Series) -> None:
        if label not in self._origins:
            self._origins.append(label)
        origin = self._origins.index(label)
        self.values += len(text)
        counts = text.value_counts(name="rows")
        values = counts["value"]
        frame = _usable(words(values, self._key))
        usable = frame["cell"].unique()
        self.unused += int(counts["rows"].sum()) - int(counts["rows"].gather(usable).sum())
        for length in frame["words"].unique().to_list():
            found = runs_of(frame, length).filter(pl.col("start") & (pl.col("words") == length))
            self._take(found["run"], origin, length)
        phones = values.filter(values.str.contains(_PHONE_LIKE))
        if len(phones):
            compact = compact_phones(phones)
            long = compact.filter(compact.str.len_bytes() >= _SHORTEST_NUMBER)
            self._take(words(long, self._key)["hash"], origin, 1)

    def _take(self, runs: pl.Series, origin: int, length: int) -> None:
        entries = pl.DataFrame({"run": runs}).select(
            "run", origin=pl.lit(origin, pl.UInt16), length=pl.lit(length, pl.UInt8)
        )
        self._pending.append(entries.filter(pl.col("run") <= self._limit))
        if sum(map(len, self._pending)) > _PENDING:
            self._settle()

    def _settle(self) -> None:
        """Invariant after it: entries are distinct, sorted, at most ``bound``, none above ``limit``."""
        if not self._pending:
            return
        entries = pl.concat([self._entries, *self._pending]).sort("run", "origin")
        entries = entries.unique("run", keep="first", maintain_order=True)
        self._pending, self._mask = [], None
        while len(entries) > self._bound:
            self._limit //= 2
            entries = entries.filter(pl.col("run") <= self._limit)
        self._entries = entries

    def find(self, values: pl.Series) -> pl.DataFrame:
        """Which of the texts hold an original value: rows ``cell`` (index into ``values``), ``origin`` (label
        of the column it comes from), each pair once.

        A value that is one word of letters (a first name, a city) counts only where it is all there is in the
        cell: in running text such words are too often just words.
        """
        self._settle()
        nothing = pl.DataFrame(schema={"cell": pl.UInt32, "origin": pl.String})
        if not len(self._entries) or not len(values):
            return nothing
        frame = words(unwrapped(values), self._key)
        frame = frame.with_columns(words=pl.len().over("cell"))
        found = [nothing]
        for length in self._entries["length"].unique().to_list():
            runs = runs_of(frame, length)
            if length == 1:
                runs = runs.filter(~pl.col("letters") | (pl.col("words") == 1))
            found.append(self._known(runs))
        return pl.concat(found).unique()

    def _known(self, runs: pl.DataFrame) -> pl.DataFrame:
        """Two steps: a bit table refuses nearly all runs for a few nanoseconds each, a search decides."""
        if self._mask is None:
            slots = (self._entries["run"] // (1 << 64 - _MASK_BITS)).cast(pl.UInt32)
            mask = pl.Series([False], dtype=pl.Boolean).extend_constant(False, (1 << _MASK_BITS) - 1)
            self._mask = mask.scatter(slots.unique(), True)
        maybe = runs.filter(self._mask.gather((runs["run"] // (1 << 64 - _MASK_BITS)).cast(pl.UInt32)))
        places = self._entries["run"].search_sorted(maybe["run"])
        near = self._entries[places.clip(upper_bound=len(self._entries) - 1)]
        both = maybe.select("cell", "run").hstack(near.select("origin", known="run"))
        hit = both.filter(pl.col("run") == pl.col("known"))
        labels = [self._origins[origin] for origin in hit["origin"].to_list()]
        return hit.select("cell").with_columns(pl.Series("origin", labels, dtype=pl.String))

    def to_bytes(self) -> bytes:
        """Keyed hashes, names of columns and counts, authenticated. The key is not in it."""
        self._settle()
        facts = {
            "bound": self._bound,
            "limit": self._limit,
            "origins": self._origins,
            "values": self.values,
            "unused": self.unused,
        }
        table = pa.table(self._entries.to_arrow()).replace_schema_metadata({"facts": json.dumps(facts)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        body: bytes = sink.getvalue().to_pybytes()
        return self._mac(self._key, body) + body

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> Originals:
        """Raises ObjectDamaged for other bytes or another key: with that, nothing would ever be found."""
        mac, body = data[:_MAC_SIZE], data[_MAC_SIZE:]
        if not hmac.compare_digest(mac, cls._mac(key, body)):
            raise ObjectDamaged("read", "the filter of original values", "it is damaged or of another run")
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
        facts = json.loads(table.schema.metadata[b"facts"])
        made = cls(key, facts["bound"])
        made._limit, made._origins = facts["limit"], facts["origins"]
        made.values, made.unused = facts["values"], facts["unused"]
        made._entries = pl.DataFrame(pl.from_arrow(table), schema=_SCHEMA)
        return made

    @staticmethod
    def _mac(key: bytes, body: bytes) -> bytes:
        return hashlib.blake2b(body, digest_size=_MAC_SIZE, key=key, person=b"rlg originals").digest()


def _usable(frame: pl.DataFrame) -> pl.DataFrame:
    """The words of the values that can be searched for, with ``words`` (in the value) and ``start``."""
    size, count, digits = pl.col("size").sum().over("cell"), pl.len().over("cell"), pl.col("digits").all().over("cell")
    enough = pl.when(digits & (count != 4)).then(size >= _SHORTEST_NUMBER).otherwise(size >= _SHORTEST)
    start = (pl.col("cell") != pl.col("cell").shift(1)).fill_null(True)
    return frame.with_columns(words=count, start=start).filter(enough & (count <= LONGEST))
