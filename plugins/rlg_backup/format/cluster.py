"""Puts the rows of one place next to each other, so that they compress well and lie in few row groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .forms import GEOGRAPHY, role_of

ROLES = GEOGRAPHY[:2]  # region, then country


def cluster(batch: pa.RecordBatch, *roles: bytes) -> pa.RecordBatch:
    """The rows sorted by the fields of these roles (default: region, country), nulls last; stable.

    A batch without such fields, or one that is in order already, comes back as it is.
    """
    order = order_of(batch.schema, batch.columns, *roles)
    return batch if order is None else batch.take(order)


def order_of(schema: pa.Schema, columns: Sequence[pa.Array | pa.ChunkedArray], *roles: bytes) -> pa.Array | None:
    """The places of the rows in the order of ``cluster``; None where they stand in it."""
    rank = np.zeros(len(columns[0]) if columns else 0, dtype=np.int64)
    for role in roles or ROLES:
        for field, column in zip(schema, columns, strict=True):
            if role_of(field) == role:
                codes, count = _codes(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
                rank = rank * count + codes
    if len(rank) < 2 or bool((rank[1:] >= rank[:-1]).all()):
        return None
    # NumPy sorts 16-bit numbers by radix: 40 times faster than comparing texts.
    order = np.argsort(rank.astype(np.uint16) if rank.max() < 2**16 else rank, kind="stable")
    return pl.Series(order).to_arrow()  # pa.array would load pandas, which takes 45 MB


def _codes(array: pa.Array) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int]:
    """Each value's place among the distinct ones in order, null after all; and their number with null."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.int64), 1
    encoded = array.dictionary_encode()
    distinct = len(encoded.dictionary)
    places = np.empty(distinct, dtype=np.int64)
    places[_series(pc.sort_indices(encoded.dictionary)).to_numpy()] = np.arange(distinct)
    indices = _series(encoded.indices).fill_null(distinct).to_numpy()
    return np.append(places, distinct)[indices], distinct + 1


def _series(array: pa.Array) -> pl.Series:
    """To go on in polars: pyarrow's own way to NumPy would load pandas as well."""
    return pl.Series(pl.from_arrow(array))
