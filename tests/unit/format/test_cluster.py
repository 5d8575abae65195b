"""Clustering: the rows of one place lie together, and otherwise stay in order."""

from __future__ import annotations

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.format.parts import digest, integers, written

from rlg_backup.format.cluster import cluster
from rlg_backup.format.forms import ROLE


def placed(regions: list[str | None], countries: list[str | None]) -> pa.RecordBatch:
    fields = [pa.field("n", pa.int64())]
    fields += [pa.field(f"${role}", pa.string(), metadata={ROLE: role.encode()}) for role in ("region", "country")]
    arrays = [pa.array(range(len(regions))), pa.array(regions, pa.string()), pa.array(countries, pa.string())]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


places = st.lists(
    st.tuples(st.sampled_from(["eu", "af", None, "", "é"]), st.sampled_from(["fr", "za", None, "de"])), max_size=40
)


def clustered(batch: pa.RecordBatch, size: int) -> pa.Table:
    """The rows, which come in chunks of that size."""
    parts = [batch.slice(start, size) for start in range(0, len(batch), size)] or [batch]
    columns = pa.Table.from_batches(parts).columns
    cluster(batch.schema, columns)
    return pa.Table.from_arrays(columns, schema=batch.schema)


@settings(max_examples=80, deadline=None)
@given(places, st.integers(1, 40), st.sampled_from([0, 1024]))
def test_rows_are_sorted_by_region_and_country_and_otherwise_stay_in_order(
    rows: list[tuple[str | None, str | None]], size: int, stretches: int
) -> None:
    """In however many chunks they come, and whether or not these are put together first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlg_backup.format.cluster._STRETCHES", stretches)
        found = clustered(placed([region for region, _ in rows], [country for _, country in rows]), size)
    order = sorted(
        range(len(rows)), key=lambda n: [(value is None, (value or "").encode()) for value in rows[n]] + [(False, b"")]
    )
    assert found.column(0).to_pylist() == order
    assert list(zip(found.column(1).to_pylist(), found.column(2).to_pylist(), strict=True)) == [rows[n] for n in order]


@pytest.mark.parametrize("batch", [integers(3, 1, 2), placed(["a", "a", "b"], ["x", "y", None])])
def test_rows_without_geography_or_in_order_are_not_copied(batch: pa.RecordBatch) -> None:
    columns = pa.Table.from_batches([batch]).columns
    before = list(columns)
    cluster(batch.schema, columns)
    assert all(column is same for column, same in zip(columns, before, strict=True))


def test_more_places_than_16_bits_can_count_are_sorted_too() -> None:
    regions = [f"{number % 300:03d}" for number in range(90_000)]
    countries = [f"{number % 299:03d}" for number in range(90_000)]
    found = clustered(placed(regions, countries), 40_000)
    pairs = list(zip(found.column(1).to_pylist(), found.column(2).to_pylist(), strict=True))
    assert pairs == sorted(pairs)


def test_a_countrys_rows_lie_together_in_a_part_and_the_roles_are_kept() -> None:
    chance = random.Random(5)
    countries: list[str | None] = [chance.choice("abcdefgh") for _ in range(262_144)]
    batch = placed(["r"] * len(countries), countries)
    parts = written(*[batch.slice(start, 1000) for start in range(0, len(batch), 1000)])
    file = pq.ParquetFile(io.BytesIO(parts.contents[0]))
    column = [file.metadata.row_group(group).column(2).statistics for group in range(file.num_row_groups)]
    holding = [group for group in column if group.min <= "c" <= group.max]
    assert (len(column), len(holding) <= 2) == (4, True)
    assert not file.metadata.row_group(0).column(0).is_stats_set  # values of the table stand in no footer
    assert [field.metadata.get(ROLE) for field in parts.read()[0].schema] == [None, b"region", b"country"]
    assert digest(parts.read()) == digest([batch])
