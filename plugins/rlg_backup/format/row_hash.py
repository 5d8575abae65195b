"""Keyed 128-bit hashes of rows, made column by column (FORMAT.md section 5, digests of kind ``xxh3``).

Texts and bytes go through XXH3 (64 bits; the xxHash specification, version 0.8), numbers and rows through the finalizer
of SplitMix64 (Steele, Lea and Flood, 2014). There are two lanes of 64 bits; a cell's second is its first, mixed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa

from . import arrays
from .forms import BLOB, INTEGER, REAL, TEXT, form_of

Words = np.ndarray[Any, np.dtype[np.uint64]]
Lanes = tuple[Words, Words]

_CLASSES: Final = {
    "int64": b"i",
    "float64": b"r",
    "bool": b"o",
    "utf8": b"t",
    "spans": b"t",
    "bytes": b"b",
    "token": b"b",
}
_OF_VARIANT: Final = {INTEGER: ("i", b"i"), REAL: ("r", b"r"), TEXT: ("b", b"t"), BLOB: ("b", b"b")}
_LOW: Final = np.uint64(2**32 - 1)
_BLOCK: Final = 4096  # words mixed at a time: what is made of them stays in the processor's cache


def numbers(batch: pa.RecordBatch, key: bytes) -> Lanes:
    """Each row's number as its two lanes. Raises SourceUnreadable for a type that is no form."""
    return numbers_of(cells(batch, key), key)


def cells(batch: pa.RecordBatch, key: bytes, columns: Collection[str] | None = None) -> Lanes:
    """What the cells of each row add up to; those of these ``columns``, or of all. Raises as ``numbers``."""
    sums = np.zeros(len(batch), np.uint64), np.zeros(len(batch), np.uint64)
    for place, (field, array) in enumerate(zip(batch.schema, batch.columns, strict=True)):
        if columns is None or field.name in columns:
            for lane, own in zip(sums, _cells(field, array, key, place), strict=True):
                lane += own
    return sums


def exchanged(sums: Lanes, before: Lanes, after: Lanes) -> Lanes:
    """``sums`` of rows some of whose cells added up to ``before``, and now to ``after``."""
    first, second = (lane - old + new for lane, old, new in zip(sums, before, after, strict=True))
    return first, second


def numbers_of(sums: Lanes, key: bytes) -> Lanes:
    """The numbers of rows whose ``cells`` are these."""
    first, second = (_mixed(lane, seed) for lane, seed in zip(sums, seeds(key, b"row"), strict=True))
    return first, second


def total(lanes: Lanes) -> int:
    """The sum of rows' numbers, each first lane * 2^128 + second lane."""
    return (_sum(lanes[0]) << 128) + _sum(lanes[1])


@lru_cache(maxsize=16_384)
def seeds(key: bytes, what: bytes, place: int = 0) -> tuple[int, int]:
    """Of the two lanes: for the cells of one class in the column ``place``, or (``row``) for whole rows."""
    found = hashlib.sha256(b"rlg-backup row digest xxh3/%b/%d/%b" % (what, place, key)).digest()
    return int.from_bytes(found[:8], "little"), int.from_bytes(found[8:16], "little")


def _cells(field: pa.Field, array: pa.Array, key: bytes, place: int) -> Lanes:
    form = form_of(field)
    null = seeds(key, b"n", place)
    if form == "null":
        return _constant(null[0], len(array)), _constant(null[1], len(array))
    if form == "variant":
        return _variant(array, key, place)
    kind = _CLASSES[form]
    return _with_nulls(array, _hashed(array, seeds(key, kind, place), number=kind in (b"i", b"r", b"o")), null)


def _variant(array: pa.Array, key: bytes, place: int) -> Lanes:
    """Each cell as one of its class: what a column holds does not depend on which other values are in its batch."""
    classes = arrays.numbers(array.field("class"))
    null = seeds(key, b"n", place)
    lanes = _constant(null[0], len(array)), _constant(null[1], len(array))
    for own, (name, kind) in _OF_VARIANT.items():
        here = classes == own
        if here.any():
            values = array.field(name).filter(pa.array(here))
            for lane, cells in zip(lanes, _hashed(values, seeds(key, kind, place), number=name != "b"), strict=True):
                lane[here] = cells
    return lanes


def _hashed(array: pa.Array, pair: Sequence[int], *, number: bool) -> Lanes:
    """Values of one class; what stands for NULL means nothing."""
    if number:
        first = _mixed(_words(array), pair[0])
    else:
        texts = pl.DataFrame({"value": pl.Series(pl.from_arrow(array))})
        first = arrays.numbers(texts.select(plh.col("value").nchash.xxh3_64(seed=pair[0])).to_series().to_arrow())
    return first, _mixed(first, pair[1])


def _words(array: pa.Array) -> Words:
    """Numbers as 64 bits: integers in two's complement, doubles as IEEE 754 has them, booleans 0 and 1."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8()).cast(pa.uint64())
    values = np.frombuffer(array.buffers()[1] or b"", np.uint64, len(array) + array.offset if len(array) else 0)
    return values[array.offset :]


def _mixed(words: Words, seed: int) -> Words:
    """SplitMix64's finalizer of the sum with a seed: each bit depends on all of the word."""
    mixed = words + np.uint64(seed)
    for start in range(0, len(mixed), _BLOCK):
        some = mixed[start : start + _BLOCK]
        some ^= some >> np.uint64(30)
        some *= np.uint64(0xBF58476D1CE4E5B9)
        some ^= some >> np.uint64(27)
        some *= np.uint64(0x94D049BB133111EB)
        some ^= some >> np.uint64(31)
    return mixed


def _with_nulls(array: pa.Array, lanes: Lanes, null: Sequence[int]) -> Lanes:
    if array.null_count == 0:
        return lanes
    absent = arrays.missing(array)
    first, second = (np.where(absent, np.uint64(word), lane) for lane, word in zip(lanes, null, strict=True))
    return first, second


def _constant(word: int, length: int) -> Words:
    return np.full(length, word, np.uint64)


def _sum(words: Words) -> int:
    """Exactly: a batch has fewer than 2^32 rows."""
    return (int((words >> np.uint64(32)).sum()) << 32) + int((words & _LOW).sum())
