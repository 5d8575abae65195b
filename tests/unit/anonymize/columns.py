"""Columns in the forms of docs/FORMAT.md, and how they compare: by class and exact bits."""

from __future__ import annotations

import struct

import pyarrow as pa
from hypothesis import strategies as st

VARIANT = pa.struct([("class", pa.int8()), ("i", pa.int64()), ("r", pa.float64()), ("b", pa.binary())])
KEY = bytes(range(32))

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(max_size=12)
blobs = st.binary(max_size=12)


def variant_cell(kind: int, value: object) -> dict[str, object]:
    cell: dict[str, object] = {"class": kind, "i": None, "r": None, "b": None}
    if kind:
        cell[{1: "i", 2: "r", 3: "b", 4: "b"}[kind]] = value
    return cell


_cells = st.one_of(
    st.just((0, None)),
    st.tuples(st.just(1), integers),
    st.tuples(st.just(2), st.floats(allow_nan=False)),
    st.tuples(st.just(3), blobs),
    st.tuples(st.just(4), blobs),
).map(lambda pair: variant_cell(*pair))


def _arrays(values: st.SearchStrategy[object], kind: pa.DataType) -> st.SearchStrategy[pa.Array]:
    return st.lists(st.none() | values, max_size=20).map(lambda items: pa.array(items, kind))


arrays = st.one_of(
    st.integers(0, 5).map(pa.nulls),
    _arrays(integers, pa.int64()),
    st.lists(st.none() | st.binary(min_size=8, max_size=8), max_size=20).map(
        lambda bits: pa.array([b and struct.unpack("<q", b)[0] for b in bits], pa.int64()).view(pa.float64())
    ),
    _arrays(texts, pa.string()),
    _arrays(blobs, pa.binary()),
    st.lists(_cells, max_size=20).map(lambda cells: pa.array(cells, VARIANT)),
)


def exact(values: pa.Array) -> list[tuple[str, object] | None]:
    """Each cell as its class and its value, bit for bit; None for NULL, in whatever form it is."""
    if values.type == VARIANT:
        classes, numbers, doubles, raws = (child.to_pylist() for child in _children(values))
        return [
            None if not kind else ("irtb"[kind - 1], {1: number, 2: double}.get(kind, raw))
            for kind, number, double, raw in zip(classes, numbers, doubles, raws, strict=True)
        ]
    if values.type == pa.float64():
        return [None if bits is None else ("r", bits) for bits in values.view(pa.int64()).to_pylist()]
    if values.type == pa.string():
        return [None if raw is None else ("t", raw) for raw in values.cast(pa.binary()).to_pylist()]
    mark = {pa.int64(): "i", pa.binary(): "b", pa.null(): "n"}[values.type]
    return [None if value is None else (mark, value) for value in values.to_pylist()]


def _children(values: pa.Array) -> list[pa.Array]:
    classes, numbers, doubles, raws = values.flatten()
    return [classes, numbers, doubles.view(pa.int64()), raws]


def batch_of(**columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
