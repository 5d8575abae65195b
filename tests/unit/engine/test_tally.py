"""Rows and sums by place: exact, whatever the batches, with rows that have no place."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.engine import tally
from rlg_backup.engine.tally import Tally

_LEAST, _MOST = -(2**63), 2**63 - 1
_CODE = st.one_of(st.none(), st.sampled_from(["", "ZA", "IL", "Ä"]))
_NUMBER = st.one_of(st.none(), st.integers(_LEAST, _MOST), st.sampled_from([_LEAST, _MOST, -1, 2**32, 2**31]))
_ROW = st.tuples(_CODE, _CODE, _CODE, _NUMBER)
ROLES = ("region", "country", "town")


def batch_of(rows: list[tuple[str | None, str | None, str | None, int | None]]) -> pa.RecordBatch:
    fields = [pa.field(f"rlg.{role}", pa.string(), metadata={"rlg.role": role}) for role in ROLES]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    schema = pa.schema([*fields, pa.field("cents", pa.int64())])
    return pa.RecordBatch.from_arrays(
        [pa.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)], schema=schema
    )


@settings(deadline=None)
@given(st.lists(_ROW, max_size=40), st.integers(1, 40), st.integers(1, 7))
def test_rows_and_sums_are_those_that_python_adds_up(
    rows: list[tuple[str | None, str | None, str | None, int | None]], size: int, at_once: int
) -> None:
    counted = Tally(["cents"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "_ROWS", at_once)
        for start in range(0, len(rows), size):
            counted.add(batch_of(rows[start : start + size]))
    wanted = {role: Counter(row[place] or "" for row in rows) for place, role in enumerate(ROLES)}
    assert counted.geography(ROLES) == (wanted if rows else None)
    assert counted.rows == len(rows)
    sums: dict[str, Counter[str]] = {"region": Counter(), "country": Counter()}
    for region, country, _, cents in rows:
        sums["region"][region or ""] += cents or 0
        sums["country"][country or ""] += cents or 0
    told = {level: {code: str(total) for code, total in by_code.items()} for level, by_code in sums.items()}
    expected = {"cents": {"all": str(sum(row[3] or 0 for row in rows)), **told}}
    assert counted.totals() == (expected if rows else {})


def test_numbers_that_are_not_whole_have_no_total() -> None:
    counted = Tally(["price"])
    counted.add(pa.record_batch([pa.array([1.5, 2.5])], names=["price"]))
    assert counted.totals() == {} and counted.rows == 0


def test_the_largest_numbers_are_added_up_exactly_however_many_they_are() -> None:
    """Of so many the sum of the low halves is no double's: the ones at the end would be lost."""
    numbers = pl.Series([_MOST] * 2**22 + [1] * 5, dtype=pl.Int64).to_arrow()
    schema = pa.schema([pa.field("r", pa.string(), metadata={"rlg.role": "region"}), pa.field("n", pa.int64())])
    places = pa.array(["ZA"]).take(pl.Series([0] * len(numbers)).to_arrow())
    counted = Tally(["n"])
    counted.add(pa.RecordBatch.from_arrays([places, numbers], schema=schema))
    total = str(_MOST * 2**22 + 5)
    assert counted.totals() == {"n": {"all": total, "region": {"ZA": total}, "country": {}}}
