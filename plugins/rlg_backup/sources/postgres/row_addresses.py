"""Where rows lie (ctid) and which version of them (xmin), as numbers.

Both come in the form in which the server sends them in binary (PostgreSQL source, tidsend and xidsend): a page of 32
bits and a number in it of 16, a transaction of 32, big-endian.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from ..port import PLACE, ROLE, VERSION

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Places = np.ndarray[Any, np.dtype[np.uint64]]
Versions = np.ndarray[Any, np.dtype[np.uint32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

ADDRESS: Final = ('"row".ctid AS ctid', '"row".xmin AS xmin')
ADDRESS_FIELDS: Final = (
    pa.field("$place", pa.uint64(), metadata={ROLE: PLACE}),
    pa.field("$version", pa.uint32(), metadata={ROLE: VERSION}),
)
_ROUND: Final = 2**32
_BITS: Final = 16  # of a place are the number in its page


def address_arrays(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """The last two columns of a batch, which are ``ADDRESS``, as ``ADDRESS_FIELDS``."""
    places, versions = addresses(batch)
    return pl.Series(places).to_arrow(), pl.Series(versions).to_arrow()


def addresses(batch: pa.RecordBatch) -> tuple[Places, Versions]:
    """The same as numbers."""
    ctid, xmin = (_bytes(batch.column(batch.num_columns + place), size) for place, size in ((-2, 6), (-1, 4)))
    wide = np.zeros((len(ctid), 8), np.uint8)
    wide[:, 2:] = ctid
    return wide.reshape(-1).view(">u8").astype(np.uint64), xmin.reshape(-1).view(">u4").astype(np.uint32)


def made_again(oldest: int, following: int, versions: Versions) -> Mask:
    """Which of these have the number of a transaction from ``oldest`` to before ``following`` (64 bits), and may be of
    one that is 2^32 earlier: rows that were frozen keep its number for ever."""
    first = max(oldest, _ROUND)
    if first >= following:
        return np.zeros(len(versions), np.bool_)
    mask: Mask = versions - np.uint32(first % _ROUND) < following - first  # in 32 bits, which go round as numbers do
    return mask


def first_place(page: int) -> int:
    """The place before all that lie in a page."""
    return page << _BITS


def page_of(place: int) -> int:
    return place >> _BITS


def as_array(places: Places) -> str:
    """The places as SQL, an array of tid."""
    pages, numbers = pl.Series(places >> np.uint64(_BITS)), pl.Series(places & np.uint64(2**_BITS - 1))
    texts = pl.select(pl.format('"({},{})"', pages, numbers)).to_series()
    return f"'{{{','.join(texts)}}}'::pg_catalog.tid[]"


def _bytes(array: pa.Array, size: int) -> Bytes:
    """Values of one size, none NULL, as a matrix."""
    stored = array.storage if isinstance(array, pa.ExtensionArray) else array
    start = int(np.frombuffer(stored.buffers()[1], np.int32, 1, 4 * stored.offset)[0])
    return np.frombuffer(stored.buffers()[2], np.uint8, size * len(stored), start).reshape(-1, size)
