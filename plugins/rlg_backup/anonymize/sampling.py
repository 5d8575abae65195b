"""Which rows of a large table are looked at when personal data is searched for, and how many together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

ROWS: Final = 65_536
"""Rows looked at in a table, at most. What is in one row of 10,000 is then missed once in 700 times, what is in one of
2,000 never (a chance of 10^-14); the share of a column's values is known to a tenth of a percent."""

READ_WHOLE: Final = 4 * ROWS
"""Rows of a table, at most, all of whose stored parts are read for the sample; of a larger one it is drawn while its
rows come by."""

_TAG: Final = "rlg.tag"
_TAGS: Final = 1 << 32

_HELD_ROWS: Final = 16_384
_HELD_BYTES: Final = 4 << 20


class Sample:
    """An even random sample of a part of a table of ``rows`` rows: all of it where the table has no more than ROWS.

    Random, not every n-th row: rows come in periods. ``seed`` is the run's and the part's own, and secret.
    """

    def __init__(self, rows: int, seed: bytes) -> None:
        self._share = min(1.0, ROWS / rows) if rows else 1.0
        self._random = np.random.default_rng(int.from_bytes(seed, "big"))
        self._owed = self._random.random()  # so that many small parts, too, give their share

    def of(self, rows: int) -> pa.Array | None:
        """The sample's share of so many rows, as their places in order; None for all of them. Over all calls the shares
        add up, however few the rows are."""
        if self._share == 1.0:
            return None
        self._owed += rows * self._share
        wanted = min(rows, int(self._owed))
        self._owed -= wanted
        chosen = np.sort(self._random.choice(rows, wanted, replace=False, shuffle=False))
        return pl.Series(chosen).to_arrow()  # pa.array would load pandas, which takes 45 MB


class Drawing:
    """An even random sample of a table, drawn while its rows come by: how many there will be nobody knows yet.

    Each row gets a random number, and is drawn where that is low enough for as many rows as there were so far: more are
    drawn than will be wanted, and ``thinned`` keeps those of them whose number is low enough for all. ``seed`` is
    secret, and of its own for each stream of rows.
    """

    def __init__(self, seed: bytes) -> None:
        self._random = np.random.default_rng(int.from_bytes(seed, "big"))

    def of(self, batch: pa.RecordBatch, so_far: int) -> pa.RecordBatch:
        """The rows drawn of a batch, and their numbers. ``so_far``: rows of the table up to the end of the batch."""
        tags = self._random.integers(0, _TAGS, len(batch), dtype=np.uint32)
        chosen = np.flatnonzero(tags < _limit(max(so_far, READ_WHOLE)))
        drawn = batch.take(pl.Series(chosen).to_arrow())
        numbers = pl.Series(tags[chosen]).to_arrow()
        return pa.RecordBatch.from_arrays(
            [*drawn.columns, numbers], schema=drawn.schema.append(pa.field(_TAG, numbers.type))
        )


def thinned(batch: pa.RecordBatch, rows: int) -> pa.RecordBatch:
    """Of drawn rows those that are the sample of a table of so many rows, which are no fewer than there were when they
    were drawn, and more than READ_WHOLE."""
    names = batch.schema.names[:-1]
    low = pl.Series(pl.from_arrow(batch.column(len(names)))) < _limit(rows)
    return batch.select(names).filter(low.to_arrow())


def _limit(rows: int) -> int:
    return _TAGS * ROWS // rows


class Gathered:
    """Puts small batches together, in order: a search costs by the batch. Holds some ``_HELD_BYTES``, or one batch."""

    def __init__(self) -> None:
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Takes a batch; gives what was held where this one has another schema, or where it is enough with it."""
        if self._held and not self._held[0].schema.equals(batch.schema, check_metadata=True):
            yield from self.rest()
        self._held.append(batch)
        self._rows, self._bytes = self._rows + len(batch), self._bytes + batch.nbytes
        if self._rows >= _HELD_ROWS or self._bytes >= _HELD_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What is held still."""
        held, self._held, self._rows, self._bytes = self._held, [], 0, 0
        if held:
            yield from pa.Table.from_batches(held).combine_chunks().to_batches()
