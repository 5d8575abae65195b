"""The canonical bytes of rows, made column by column (FORMAT.md section 5)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .forms import BLOB, INTEGER, REAL, TEXT, form_of

_BYTES = pa.large_binary()  # 64-bit offsets: a row may be larger than 2 GiB

Piece = Any  # bytes, the same in every row, or an array of large_binary without nulls


def rows(batch: pa.RecordBatch, prefix: bytes) -> pa.Array:
    """``prefix`` and the cells of each row, as large_binary. Raises SourceUnreadable for a type that is no form."""
    pieces: list[Piece] = []
    for field, array in zip(batch.schema, batch.columns, strict=True):
        pieces += _cell(field, array)
    # Neighbours that are the same in every row are joined once instead of once a row.
    columns: list[Any] = [pa.repeat(_scalar(b""), len(batch))]
    literal = prefix
    for piece in pieces:
        if isinstance(piece, bytes):
            literal += piece
        else:
            columns += [_scalar(literal), piece]
            literal = b""
    return pc.binary_join_element_wise(*columns, _scalar(literal), _scalar(b""))


@lru_cache(maxsize=256)
def _scalar(value: bytes) -> pa.Scalar:
    """Made late: pyarrow imports pandas, where that is installed, for its first scalar; most processes need none."""
    return pa.scalar(value, _BYTES)


def _cell(field: pa.Field, array: pa.Array) -> list[Piece]:
    if pa.types.is_boolean(array.type):
        return [_filled(pc.if_else(array, _scalar(b"o1"), _scalar(b"o0")))]
    match form_of(field):
        case "null":
            return [b"n"]
        case "int64":
            return _number(b"i", array)
        case "float64":
            return _number(b"r", array.view(pa.int64()))  # the bits
        case "utf8" | "spans":
            return _sized(b"t", array)
        case "variant":
            return _variant(array)
        case _:
            return _sized(b"b", array)


def _number(sign: bytes, array: pa.Array) -> list[Piece]:
    digits = _decimal(array)
    return [_nullable([sign, digits, b","])] if array.null_count else [sign, digits, b","]


def _sized(sign: bytes, array: pa.Array) -> list[Piece]:
    length, body = _decimal(pc.binary_length(array)), array.cast(_BYTES)
    if array.null_count:
        return [_nullable([sign, length, b":"]), pc.fill_null(body, _scalar(b""))]
    return [sign, length, b":", body]


def _variant(array: pa.Array) -> list[Piece]:
    """The head of each cell is that of its class; the body follows where there is one."""
    classes, whole, real, raw = array.flatten()
    present = set(pc.unique(classes).to_pylist())
    heads = {
        INTEGER: lambda: _nullable([b"i", _decimal(whole), b","]),
        REAL: lambda: _nullable([b"r", _decimal(real.view(pa.int64())), b","]),
        TEXT: lambda: _nullable([b"t", _decimal(pc.binary_length(raw)), b":"]),
        BLOB: lambda: _nullable([b"b", _decimal(pc.binary_length(raw)), b":"]),
    }
    choices = [heads[own]() if own in present else _scalar(b"n") for own in (INTEGER, REAL, TEXT, BLOB)]
    return [_filled(pc.choose(classes, _scalar(b"n"), *choices)), pc.fill_null(raw.cast(_BYTES), _scalar(b""))]


def _nullable(pieces: list[Piece]) -> pa.Array:
    """The pieces joined; ``n`` where one of them is null."""
    columns = [_scalar(piece) if isinstance(piece, bytes) else piece for piece in pieces]
    return _filled(pc.binary_join_element_wise(*columns, _scalar(b"")))


def _filled(array: pa.Array) -> pa.Array:
    return pc.fill_null(array, _scalar(b"n"))


def _decimal(array: pa.Array) -> pa.Array:
    return array.cast(pa.large_string()).cast(_BYTES)
