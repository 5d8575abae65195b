"""Puts the rows of one place next to each other, so that they compress well and lie in few row groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import Numbers, numbers
from .forms import GEOGRAPHY, role_of

ROLES = GEOGRAPHY[:2]  # region, then country
_STRETCHES: Final = 1024  # of rows that lie together already: with more, each column is made one piece first


def cluster(schema: pa.Schema, columns: list[pa.ChunkedArray]) -> None:
    """Puts the columns of a table, which all have the same chunks, in the order of its rows' places: by the fields of
    ROLES, NULLs last; stable. Columns that stand in it, or have none, stay as they are. One at a time is there twice.
    """
    rank = _ranks(schema, columns)
    if len(rank) < 2 or bool((rank[1:] >= rank[:-1]).all()):
        return
    count, chunks = int(rank.max()) + 1, [len(chunk) for chunk in columns[0].chunks]
    apart = count * len(chunks) <= _STRETCHES  # each chunk by itself: no copy of them all together is made
    ranks = np.split(rank, np.cumsum(chunks)[:-1]) if apart else [rank]
    orders = [_order(one) for one in ranks]
    stretches = _stretches(ranks, count) if apart else [(0, 0, len(rank))]
    for place, column in enumerate(columns):
        parts = column.chunks if apart else [column.combine_chunks()]
        taken = [part.take(order) for part, order in zip(parts, orders, strict=True)]
        columns[place] = pa.chunked_array([taken[part].slice(start, rows) for part, start, rows in stretches])


def _ranks(schema: pa.Schema, columns: Sequence[pa.ChunkedArray]) -> Numbers:
    """A number for each row, in the order of the places."""
    rank = np.zeros(len(columns[0]) if columns else 0, dtype=np.int64)
    for role in ROLES:
        for field, column in zip(schema, columns, strict=True):
            if role_of(field) == role:
                codes, count = _codes(column.combine_chunks())
                rank = rank * count + codes
    return rank


def _order(rank: Numbers) -> pa.Array:
    # NumPy sorts 16-bit numbers by radix: 40 times faster than comparing texts.
    order = np.argsort(rank.astype(np.uint16) if rank.max(initial=0) < 2**16 else rank, kind="stable")
    return pl.Series(order).to_arrow()  # pa.array would load pandas, which takes 45 MB


def _stretches(ranks: Sequence[Numbers], count: int) -> list[tuple[int, int, int]]:
    """Of parts that are in order: which part comes next, from which row on, and with how many rows."""
    rows = np.array([np.bincount(rank, minlength=count) for rank in ranks])
    starts = np.cumsum(rows, axis=1) - rows
    places, parts = np.nonzero(rows.T)
    return list(zip(parts.tolist(), starts[parts, places].tolist(), rows[parts, places].tolist(), strict=True))


def _codes(array: pa.Array) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int]:
    """Each value's place among the distinct ones in order, null after all; and their number with null."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.int64), 1
    encoded = array.dictionary_encode()
    distinct = len(encoded.dictionary)
    places = np.empty(distinct, dtype=np.int64)
    places[numbers(pc.sort_indices(encoded.dictionary))] = np.arange(distinct)
    return np.append(places, distinct)[numbers(encoded.indices, distinct)], distinct + 1
