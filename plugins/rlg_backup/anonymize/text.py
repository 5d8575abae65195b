"""The text a stored column holds, whatever its form: what a search for personal data reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .forms import VARIANT_TYPE

PIECE = 1 << 19  # bytes of text looked at together: what is made of them takes some thirty times as much

_SAMPLE = 1000  # texts looked at for whether to look for equal ones

_TEXT, _BLOB = 3, 4  # classes of a variant


def text_of(values: pa.Array) -> pl.Series | None:
    """The non-NULL text and blobs of a column, as text; None for a column that can hold neither.

    A blob that is not UTF-8 is read as far as it is: what is between the invalid bytes stays readable.
    Numbers are not text.
    """
    if values.type == VARIANT_TYPE:
        classes, _, _, values = values.flatten()
        values = values.filter(pc.is_in(classes, pa.array([_TEXT, _BLOB], pa.int8())))
    if not (pa.types.is_string(values.type) or pa.types.is_binary(values.type)):
        return None
    present = values.drop_null()
    if pa.types.is_binary(present.type):
        try:
            present = present.cast(pa.string())
        except pa.ArrowInvalid:
            texts = [value.decode("utf-8", "replace") for value in present.to_pylist()]
            return pl.Series("value", texts, dtype=pl.String)
    return pl.Series("value", pl.from_arrow(present), dtype=pl.String)


def counted(texts: pl.Series) -> pl.DataFrame:
    """Each distinct text ``value`` with its number ``rows``; where nearly all are distinct, each as it comes."""
    if len(texts) > _SAMPLE and 2 * texts.head(_SAMPLE).n_unique() > _SAMPLE:
        return pl.DataFrame({"value": texts, "rows": np.ones(len(texts), np.uint32)})
    return texts.alias("value").value_counts(name="rows")


def pieces_of(counts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in order, in pieces of about ``PIECE`` bytes of their text ``value``; a larger one is alone."""
    ends = counts["value"].str.len_bytes().cum_sum().to_numpy() // PIECE
    starts = [0, *(np.flatnonzero(ends[1:] != ends[:-1]) + 1).tolist(), len(ends)]
    for start, end in pairwise(starts):
        if end > start:
            yield counts.slice(start, end - start)
