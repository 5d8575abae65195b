"""Which rows are looked at: all of a small table, an even share of a large one, however it was cut."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rlg_backup.anonymize.sampling import ROWS, Drawing, Gathered, Sample, thinned


def batch(rows: int, first: int = 0) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(first, first + rows))], ["n"])


def chosen(sample: Sample, rows: int) -> list[int]:
    places = sample.of(rows)
    assert places is not None
    return list(places.to_pylist())


@pytest.mark.parametrize("rows", [0, 1, ROWS])
def test_of_a_table_that_is_no_larger_than_the_sample_every_row_is_looked_at(rows: int) -> None:
    assert Sample(rows, b"seed").of(rows) is None


@pytest.mark.parametrize("size", [10, 1_000, 50_000])
def test_of_a_larger_table_as_many_rows_are_looked_at_whatever_its_batches(size: int) -> None:
    sample = Sample(8 * ROWS, b"seed")
    seen = [chosen(sample, size) for _ in range(0, 100_000, size)]
    numbers = [first * size + place for first, part in enumerate(seen) for place in part]
    assert abs(len(numbers) - 100_000 / 8) <= 1
    assert numbers == sorted(set(numbers))
    assert all(len(part) for part in seen if size > 10)


def test_parts_of_a_row_each_are_looked_at_by_their_share_too() -> None:
    seen = sum(len(chosen(Sample(8 * ROWS, f"part {number}".encode()), 1)) for number in range(4_000))
    assert 350 <= seen <= 650


def test_which_rows_they_are_depends_on_the_seed_and_on_no_period_of_the_rows() -> None:
    first, again, other = (chosen(Sample(8 * ROWS, seed), 80_000) for seed in (b"a", b"a", b"b"))
    assert first == again != other
    left_over = [sum(number % 8 == rest for number in first) for rest in range(8)]
    assert min(left_over) > 1_000


def test_small_batches_come_together_in_order_and_none_is_left_out() -> None:
    gathered = Gathered()
    given = [whole for first in range(0, 100_000, 100) for whole in gathered.add(batch(100, first))]
    assert [len(one) for one in given] == [16_400] * 6
    given += gathered.rest()
    assert [number for one in given for number in one["n"].to_pylist()] == list(range(100_000))
    assert list(gathered.rest()) == []


def test_batches_of_another_form_or_of_many_bytes_do_not_wait() -> None:
    gathered, wide = Gathered(), pa.record_batch([pa.array(["x" * (5 << 20)])], ["n"])
    assert list(gathered.add(batch(3))) == []
    assert list(gathered.add(wide)) == [batch(3), wide]
    tagged = batch(2).replace_schema_metadata({"form": "other"})
    assert list(gathered.add(batch(1))) == []
    assert list(gathered.add(tagged)) == [batch(1)]
    assert list(gathered.rest()) == [tagged]


def drawn(rows: int, size: int, seed: bytes = b"seed") -> list[int]:
    """The sample of a table that came in batches of that size, as the numbers of its rows."""
    drawing = Drawing(seed)
    kept = [drawing.of(batch(size, first), first + size) for first in range(0, rows, size)]
    return [number for one in kept for number in thinned(one, rows)["n"].to_pylist()]


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_rows_drawn_as_they_come_are_in_the_end_an_even_sample_of_all(size: int) -> None:
    rows = 2_000_000
    numbers = drawn(rows, size)
    assert numbers == sorted(set(numbers))
    assert abs(len(numbers) - ROWS) < 5 * ROWS**0.5
    tenths = [sum(number * 10 // rows == tenth for number in numbers) for tenth in range(10)]
    assert all(abs(tenth - ROWS / 10) < 5 * (ROWS / 10) ** 0.5 for tenth in tenths)


def test_which_rows_are_drawn_depends_on_the_seed() -> None:
    assert drawn(400_000, 50_000) == drawn(400_000, 50_000) != drawn(400_000, 50_000, b"other")


def test_what_is_drawn_too_much_in_the_beginning_stays_small() -> None:
    drawing = Drawing(b"seed")
    held = sum(len(drawing.of(batch(50_000, first), first + 50_000)) for first in range(0, 4_000_000, 50_000))
    assert held < 4.2 * ROWS
