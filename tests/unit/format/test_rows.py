"""Parts: every value and form comes back, whatever the batches were."""

from __future__ import annotations

import io
import os
import random
import struct
from collections.abc import Iterable
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.format.parts import Parts, digest, integers, written

from rlg_backup.core.errors import BackupError, MemberDamaged, PayloadDamaged, SourceUnreadable
from rlg_backup.format.forms import FORM, VARIANT, Value, from_python, to_python, to_variant
from rlg_backup.format.rows import PartWriter, read_part, read_texts

SOME: dict[str, st.SearchStrategy[Value]] = {
    "null": st.none(),
    "int64": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "float64": st.floats() | st.none(),
    "utf8": st.text(max_size=5) | st.none(),
    "bytes": st.binary(max_size=5) | st.none(),
    "variant": st.none()
    | st.integers(-9, 9)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3).map(bytearray),
}
TYPES = {"null": pa.null(), "int64": pa.int64(), "float64": pa.float64(), "utf8": pa.string(), "bytes": pa.binary()}


def column(form: str, values: Iterable[Value]) -> pa.Array:
    return from_python(values) if form == "variant" else pa.array(list(values), TYPES[form])


def bits(value: Value) -> object:
    """A value with its class, floats by their bits."""
    return struct.pack(">d", value) if isinstance(value, float) else (type(value).__name__, value)


def cells(batches: Iterable[pa.RecordBatch], place: int) -> list[object]:
    return [bits(value) for batch in batches for value in to_python(to_variant(batch.column(place)))]


@st.composite
def tables(draw: st.DrawFn) -> list[pa.RecordBatch]:
    """Batches of two columns whose forms change from one to the next."""
    batches = []
    for _ in range(draw(st.integers(1, 6))):
        rows = draw(st.integers(0, 6))
        forms = draw(st.tuples(st.sampled_from(list(SOME)), st.sampled_from(list(SOME))))
        arrays = [column(form, draw(st.lists(SOME[form], min_size=rows, max_size=rows))) for form in forms]
        batches.append(pa.RecordBatch.from_arrays(arrays, names=["a.b", "a"]))
    return batches


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from([1, 10**9]))
def test_values_and_digest_come_back_whatever_the_forms_were(batches: list[pa.RecordBatch], limit: int) -> None:
    parts = written(*batches, max_part_bytes=limit)
    back = parts.read()
    for place in (0, 1):
        assert cells(back, place) == cells(batches, place)
    assert digest(back) == digest(batches)


def test_a_form_is_kept_and_its_batch_type_comes_back() -> None:
    values: dict[str, list[Value]] = {
        "null": [None, None],
        "int64": [2**63 - 1, None],
        "float64": [-0.0, None],
        "utf8": ["a\0é", None],
        "bytes": [b"\xff\0", None],
        "variant": [bytearray(b"\xff"), 7],
    }
    batch = pa.record_batch({form: column(form, cells) for form, cells in values.items()})
    parts = written(batch)
    (back,) = parts.read()
    assert parts.forms() == [list(values)]
    assert [field.type for field in back.schema] == [field.type for field in batch.schema]
    assert [field.metadata for field in back.schema] == [{FORM: form.encode()} for form in values]
    assert back.schema.metadata is None
    assert back.equals(batch)


def test_not_a_number_keeps_its_bits() -> None:
    wanted = [0x7FF8000000000000, 0x7FF8000000000001, 0xFFF0000000000000, 0x7FF0000000000001, 1 << 63] * 3
    array = pa.array(wanted, pa.uint64()).view(pa.float64())
    (back,) = written(pa.record_batch({"a": array})).read()
    assert back.column(0).view(pa.uint64()).to_pylist() == wanted


def texts(*values: str | None) -> pa.RecordBatch:
    return pa.record_batch({"a": pa.array(values, pa.string())})


def nulls(count: int) -> pa.RecordBatch:
    return pa.record_batch({"a": pa.nulls(count)})


FULL = 65_536  # rows of a group: it is written at once


@pytest.mark.parametrize(
    ("batches", "forms"),
    [
        ([nulls(1), integers(1), nulls(1)], [["int64"]]),
        ([nulls(FULL), integers(1), nulls(1)], [["null"], ["int64"]]),
        ([integers(1), nulls(FULL), integers(2)], [["int64"]]),
        ([integers(*[1] * FULL), texts("a"), integers(2)], [["int64"], ["variant"]]),
        ([integers(1), texts("a"), integers(2)], [["variant"]]),
        ([nulls(1)], [["null"]]),
        ([integers()], [["int64"]]),
    ],
)
def test_a_new_part_begins_only_where_a_row_group_has_another_form(
    batches: list[pa.RecordBatch], forms: list[list[str]]
) -> None:
    parts = written(*batches)
    assert parts.forms() == forms
    assert cells(parts.read(), 0) == cells(batches, 0)


def tokens(*values: bytes | None) -> pa.RecordBatch:
    schema = pa.schema([pa.field("a", pa.binary(), metadata={FORM: b"token"})])
    return pa.RecordBatch.from_arrays([pa.array(values, pa.binary())], schema=schema)


def test_tokens_stay_apart_from_values_that_are_none() -> None:
    """As a variant a token would be a blob: nobody could tell what to turn back."""
    batches = [nulls(1), tokens(b"\1x", None), integers(1), tokens(b"\1y")]
    parts = written(*batches)
    assert parts.forms() == [["token"], ["int64"], ["token"]]
    assert [batch.column(0).to_pylist() for batch in parts.read()] == [[None, b"\1x", None], [1], [b"\1y"]]


def test_texts_with_tokens_in_them_stay_apart_from_other_texts() -> None:
    """As text nobody could tell what to turn back."""
    schema = pa.schema([pa.field("a", pa.string(), metadata={FORM: b"spans"})])
    marked = pa.RecordBatch.from_arrays([pa.array(["[rlg1]", None])], schema=schema)
    parts = written(nulls(1), marked, texts("[rlg1]"), marked)
    assert parts.forms() == [["spans"], ["utf8"], ["spans"]]
    assert [batch.column(0).to_pylist() for batch in parts.read()] == [
        [None, "[rlg1]", None],
        ["[rlg1]"],
        ["[rlg1]", None],
    ]


def test_a_table_without_rows_gets_one_part_with_its_columns() -> None:
    parts = Parts()
    assert PartWriter(parts.open, columns=["id", "name"]).close() == [0]
    (back,) = parts.read()
    assert (back.schema.names, len(back), parts.forms()) == (["id", "name"], 0, [["null", "null"]])
    empty = written(pa.record_batch({"a": pa.array([], pa.string()), "v": pa.array([], VARIANT)}))
    assert empty.forms() == [["utf8", "variant"]]


def test_parts_end_at_the_size_limit() -> None:
    noise = random.Random(1)
    rows = [noise.randbytes(1000) for _ in range(8_000)]
    batches = [pa.record_batch({"a": rows[start : start + 500]}) for start in range(0, len(rows), 500)]
    batches += [pa.record_batch({"a": [noise.randbytes(34_000_000)]})] * 2
    parts = written(*batches, max_part_bytes=4_000_000)
    assert len(parts.contents) == 3
    assert digest(parts.read()) == digest(batches)


def test_a_value_far_larger_than_the_others_does_not_make_a_row_group_that_readers_refuse() -> None:
    """Readers refuse a group of several rows with over 512 MiB of text; writers stay far below, whatever comes."""
    small, large = ["x"] * 500, "x" * (70 << 20)
    groups = written(texts(*small, large, *small)).read()
    assert sum(map(len, groups)) == 1001
    assert [len(group) for group in groups if group.nbytes > 64 << 20] == [1]


def test_row_groups_hold_at_most_65536_rows_however_batches_come() -> None:
    small = [pa.record_batch({"a": pa.array([number] * 700)}) for number in range(200)]
    large = pa.record_batch({"a": pa.array(range(150_000))})
    for batches in (small, [large]):
        file = pq.ParquetFile(io.BytesIO(written(*batches).contents[0]))
        sizes = [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)]
        assert max(sizes) <= 65_536
        assert len(sizes) == 3
        assert sum(sizes) == sum(map(len, batches))


@pytest.mark.parametrize(
    ("second", "cause"),
    [
        (pa.record_batch({"b": pa.array([1])}), "its columns changed while it was read"),
        (pa.record_batch({"a": pa.array([1]), "b": pa.array([1])}), "its columns changed while it was read"),
    ],
)
def test_batches_of_other_columns_are_refused(second: pa.RecordBatch, cause: str) -> None:
    writer = PartWriter(Parts().open, subject="main.accounts")
    writer.write(integers(1))
    with pytest.raises(SourceUnreadable) as caught:
        writer.write(second)
    assert str(caught.value) == f"unable to save 'main.accounts': {cause}"


def test_a_type_that_is_no_form_and_text_that_is_no_utf8_are_refused() -> None:
    with pytest.raises(SourceUnreadable) as caught:
        written(pa.record_batch({"price": pa.array([1], pa.decimal128(9, 2))}))
    assert str(caught.value) == "unable to save 'price': no form of the format holds values of type decimal128(9, 2)"
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(struct.pack("<2i", 0, 1)), pa.py_buffer(b"\xff"))
    with pytest.raises(SourceUnreadable) as caught:
        written(pa.record_batch({"a": broken}))
    assert str(caught.value) == "unable to save 'table': a batch of it holds text that is not UTF-8, or is malformed"


def test_only_columns_that_repeat_themselves_are_written_with_a_dictionary() -> None:
    columns = {"few": [f"v{n % 9}" for n in range(3000)], "own": [f"v{n}" for n in range(3000)]}
    part = pq.ParquetFile(io.BytesIO(written(pa.record_batch(columns)).contents[0]))
    group = part.metadata.row_group(0)
    assert [group.column(place).has_dictionary_page for place in range(2)] == [True, False]


def test_texts_are_read_by_themselves_as_they_were_written() -> None:
    named = {"n": pa.array([1, 2]), "a": pa.array(["x", None]), "a.b": pa.array([b"y", b""]), "f": pa.array([0.5, 1])}
    batch = pa.record_batch({**named, "v": from_python([1, "z"]), "t": pa.array([b"t", None])})
    field = batch.schema.field("t").with_metadata({FORM: b"token"})
    stored = written(batch.cast(batch.schema.set(batch.schema.get_field_index("t"), field))).contents[0]
    (texts,), (whole,) = list(read_texts(io.BytesIO(stored), lambda rows: None)), list(read_part(io.BytesIO(stored)))
    assert texts.equals(whole.select(["a", "a.b", "v", "t"]), check_metadata=True)


def test_other_readers_open_a_part() -> None:
    batch = pa.record_batch({"n": pa.nulls(2), "i": [1, None], "t": ["é", None], "v": from_python([1, "x"])})
    frame = pl.read_parquet(io.BytesIO(written(batch).contents[0]))
    assert frame["t"].to_list() == ["é", None]
    assert frame["v"].to_list()[1] == {"class": 3, "i": None, "r": None, "b": b"x"}


# --- reading what is damaged -----------------------------------------------------------------------


def test_no_damaged_part_fails_in_another_way() -> None:
    content = written(pa.record_batch({"i": [1, 2, None], "t": ["a", "b", None], "v": from_python([1, "x", None])}))
    whole, chance = content.contents[0], random.Random(3)
    seen = 0
    for position in [*range(0, len(whole), 3), *range(len(whole) - 8, len(whole))]:
        damaged = bytearray(whole)
        damaged[position] ^= chance.randrange(1, 256)
        try:
            list(read_part(io.BytesIO(bytes(damaged))))
        except BackupError as error:
            assert type(error) is MemberDamaged
            seen += 1
    assert seen > 100
    for length in range(0, len(whole), 7):
        with pytest.raises(MemberDamaged):
            list(read_part(io.BytesIO(whole[:length])))


def foreign(field: pa.Field, array: pa.Array) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([array], schema=pa.schema([field])), file)
    return file


BAD_VARIANTS = [
    ({"class": None}, "a variant has no class"),
    ({"class": 5}, "a variant has an unknown class"),
    ({"class": -1}, "a variant has an unknown class"),
    ({"class": 1}, "a variant's value is not of its class"),
    ({"class": 0, "i": 1}, "a variant's value is not of its class"),
    ({"class": 3, "r": 1.0}, "a variant's value is not of its class"),
    ({"class": 4, "b": b"x", "i": 1}, "a variant's value is not of its class"),
    (None, "a variant has no class"),
]


@pytest.mark.parametrize(("value", "cause"), BAD_VARIANTS)
def test_a_variant_that_contradicts_itself_is_refused(value: dict[str, Value] | None, cause: str) -> None:
    field = pa.field("a", VARIANT, metadata={FORM: b"variant"})
    with pytest.raises(MemberDamaged) as caught:
        list(read_part(foreign(field, pa.array([value], VARIANT)), "data/x"))
    assert str(caught.value) == f"unable to read 'data/x': field 'a': {cause}"


@pytest.mark.parametrize("form", [b"", b"utf8", b"other", b"\xff"])
def test_a_field_that_is_not_of_its_form_is_refused(form: bytes) -> None:
    with pytest.raises(MemberDamaged) as caught:
        list(read_part(foreign(pa.field("a", pa.int64(), metadata={FORM: form}), pa.array([1])), "data/x"))
    assert str(caught.value) == "unable to read 'data/x': field 'a' is not of the form it tells"


class Failing(io.BytesIO):
    def __init__(self, data: bytes, error: Exception) -> None:
        super().__init__(data)
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self.error

    def readinto(self, buffer: object) -> int:
        raise self.error


@pytest.mark.parametrize("error", [PayloadDamaged("read", "staged", "chunk 1"), OSError(5, os.strerror(5))])
def test_errors_of_the_file_itself_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        list(read_part(cast("BinaryIO", Failing(written(integers(1)).contents[0], error))))
    assert caught.value is error
