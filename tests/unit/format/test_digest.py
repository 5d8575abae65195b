"""The digest of a table: checked against a slow reference that follows FORMAT.md section 5 word by word."""

from __future__ import annotations

import hashlib
import math
import random
import struct
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import SourceUnreadable
from rlg_backup.format.digest import EntryDigest, RowDigest, _total
from rlg_backup.format.forms import FORM, ROLE, Value, from_python, to_variant

KEY = bytes(range(32))

texts = st.one_of(st.text(max_size=12), st.sampled_from(["", "\0", "a\0b", "12:", "n", "é" * 300]))
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    texts,
    st.binary(max_size=12),
    st.binary(max_size=12).map(bytearray),
)
rows_of_three = st.lists(st.tuples(values, values, values), max_size=30)


def cell(value: Value) -> bytes:
    match value:
        case None:
            return b"n"
        case int():
            return b"i" + str(value).encode() + b","
        case float():
            return b"r" + str(struct.unpack(">q", struct.pack(">d", value))[0]).encode() + b","
        case str():
            return b"t" + str(len(value.encode())).encode() + b":" + value.encode()
        case bytearray():
            return b"t" + str(len(value)).encode() + b":" + bytes(value)
        case bytes():
            return b"b" + str(len(value)).encode() + b":" + value


def reference(rows: list[tuple[Value, ...]], key: bytes = KEY) -> str:
    total = 0
    for row in rows:
        total += int.from_bytes(hashlib.sha256(key + b"".join(map(cell, row))).digest(), "big")
    return f"{total % 2**256:064x}"


def variants(rows: list[tuple[Value, ...]], width: int) -> pa.RecordBatch:
    columns = [from_python([row[place] for row in rows]) for place in range(width)]
    return pa.RecordBatch.from_arrays(columns, names=[f"c{place}" for place in range(width)])


def digest_of(*batches: pa.RecordBatch) -> str:
    digest = RowDigest(KEY)
    for batch in batches:
        digest.update(batch)
    return digest.hexdigest()


@settings(max_examples=80, deadline=None)
@given(rows_of_three)
@example([(math.nan, -0.0, math.inf), (None, bytearray(b"\xff\xfe\0"), b"\xff")])
def test_variants_of_any_class_agree_with_the_reference(rows: list[tuple[Value, ...]]) -> None:
    digest = RowDigest(KEY)
    digest.update(variants(rows, 3))
    assert (digest.hexdigest(), digest.rows) == (reference(rows), len(rows))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats()),
            st.one_of(st.none(), texts),
            st.one_of(st.none(), st.binary(max_size=12)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_plain_forms_agree_with_the_reference_and_with_variants(rows: list[tuple[Value, ...]]) -> None:
    types = [pa.int64(), pa.float64(), pa.string(), pa.binary()]
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(types)]
    plain = pa.RecordBatch.from_arrays(arrays, names=list("irtb"))
    mixed = pa.RecordBatch.from_arrays([to_variant(array) for array in arrays], names=list("irtb"))
    assert digest_of(plain) == reference(rows)
    assert digest_of(mixed) == reference(rows)


@settings(max_examples=40, deadline=None)
@given(rows_of_three, st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_batches_do_not_matter(rows: list[tuple[Value, ...]], chance: random.Random, step: int) -> None:
    shuffled = rows[:]
    chance.shuffle(shuffled)
    whole = variants(shuffled, 3)
    pieces = [whole.slice(start, step) for start in range(0, len(whole), step)]
    assert digest_of(*pieces) == digest_of(variants(rows, 3))


def test_a_null_column_is_the_column_of_nulls_in_any_form() -> None:
    shapes = [pa.null(), pa.int64(), pa.float64(), pa.string(), pa.binary()]
    batches = [pa.record_batch({"a": pa.nulls(3, shape)}) for shape in shapes]
    batches.append(pa.record_batch({"a": to_variant(pa.nulls(3))}))
    assert {digest_of(batch) for batch in batches} == {reference([(None,)] * 3)}


def test_booleans_have_cells_of_their_own() -> None:
    key_row = [KEY + cell for cell in (b"o1", b"o0", b"n")]
    expected = sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in key_row) % 2**256
    assert digest_of(pa.record_batch({"a": pa.array([True, False, None])})) == f"{expected:064x}"


def test_two_equal_rows_are_not_none() -> None:
    one, two = variants([(1,)], 1), variants([(1,), (1,)], 1)
    assert len({digest_of(), digest_of(one), digest_of(two)}) == 3
    assert digest_of() == "0" * 64


def test_cells_do_not_run_into_each_other() -> None:
    rows: list[tuple[Value, ...]] = [("a", "bc"), ("ab", "c"), (1, 23), (12, 3), (b"a", "bc"), ("1", 23), (1.0, 23)]
    assert len({digest_of(variants([row], 2)) for row in rows}) == len(rows)


def test_values_that_compare_equal_but_differ_in_bits_differ() -> None:
    batches = [pa.record_batch({"a": pa.array([value])}) for value in (0.0, -0.0)]
    bits = struct.unpack("<2d", struct.pack("<2Q", 0x7FF8000000000000, 0x7FF8000000000001))
    batches += [pa.record_batch({"a": pa.array([value])}) for value in bits]
    assert len({digest_of(batch) for batch in batches}) == 4


def test_the_key_decides() -> None:
    other = RowDigest(bytes(32))
    other.update(variants([(1,)], 1))
    assert other.hexdigest() == reference([(1,)], bytes(32)) != digest_of(variants([(1,)], 1))


def test_the_row_id_comes_first_and_geography_not_at_all() -> None:
    def field(name: str, role: bytes, kind: pa.DataType) -> pa.Field:
        return pa.field(name, kind, metadata={ROLE: role})

    fields = [pa.field("a", pa.string()), field("$rowid", b"rowid", pa.int64())]
    fields += [field(f"${level}", level.encode(), pa.string()) for level in ("region", "country", "city", "town")]
    arrays = [pa.array(["x", None]), pa.array([7, 8]), *[pa.array(["eu", None])] * 4]
    assert digest_of(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))) == reference([(7, "x"), (8, None)])


def test_a_token_is_the_bytes_it_is() -> None:
    field = pa.field("a", pa.binary(), metadata={FORM: b"token"})
    batch = pa.RecordBatch.from_arrays([pa.array([b"\x01abc"])], schema=pa.schema([field]))
    assert digest_of(batch) == reference([(b"\x01abc",)])


def test_slices_larger_than_what_is_hashed_at_once_agree() -> None:
    rows = [(place, "x" * 700) for place in range(66_000)]
    assert digest_of(pa.record_batch({"a": [row[0] for row in rows], "b": [row[1] for row in rows]})) == reference(rows)


def test_the_sum_of_digits_does_not_depend_on_where_they_lie() -> None:
    numbers = [random.Random(seed).getrandbits(256) for seed in range(50)] + [2**256 - 1, 0]
    digits = pl.Series([f"{number:064x}" for number in numbers])
    parts = pl.concat([digits[:7], digits[7:]], rechunk=False)
    assert _total(digits) == _total(parts) == sum(numbers)
    assert _total(digits[5:20]) == sum(numbers[5:20])
    assert _total(pl.concat([digits[:1], digits[9:]], rechunk=False)[1:]) == sum(numbers[9:])


def test_digests_add_up_and_under_different_keys_do_not() -> None:
    first, second = RowDigest(KEY), RowDigest(KEY)
    first.update(variants([(1,), ("a",)], 1))
    second.update(variants([(2.5,)], 1))
    both = first + second
    assert (both.hexdigest(), both.rows) == (reference([(1,), ("a",), (2.5,)]), 3)
    with pytest.raises(ValueError, match=r"^digests under different keys have no sum$"):
        first + RowDigest(bytes(32))
    with pytest.raises(ValueError, match=r"^a digest key has 32 bytes$"):
        RowDigest(b"short")


def test_a_type_that_is_no_form_is_refused() -> None:
    with pytest.raises(SourceUnreadable) as caught:
        digest_of(pa.record_batch({"price": pa.array([1.5], pa.float32())}))
    assert str(caught.value) == "unable to save 'price': no form of the format holds values of type float"


def test_the_number_of_a_known_table_never_changes() -> None:
    """Archives of years ago are compared with this: a change here is a change of the format."""
    rows: list[tuple[Value, ...]] = [
        (1, "Zoë", 2.5, b"\0\xff", None),
        (-(2**63), bytearray(b"\xff"), -0.0, b"", "12:"),
    ]
    known = "ef068e9ce308e7ec90b786c3c7e4bd438a6303b749537cafe5e924c494f5774e"
    assert digest_of(variants(rows, 5)) == reference(rows) == known


@dataclass(frozen=True)
class Item:
    path: bytes
    kind: str
    mode: int
    mtime_ns: int
    size: int = 0
    target: bytes = b""


def test_the_digest_of_a_tree_is_the_sum_over_its_entries() -> None:
    content = hashlib.sha256(b"hello").digest()
    file = Item(b"a\xff", "file", 0o100644, 1_700_000_000_123_456_789, 5)
    link = Item(b"b", "symlink", 0o120777, -1, 0, b"a\xff")
    cells = [
        b"b2:a\xfft4:filei33188,i1700000000123456789,i5,b0:b32:" + content,
        b"b1:bt7:symlinki41471,i-1,i0,b2:a\xffn",
    ]
    total = sum(int.from_bytes(hashlib.sha256(KEY + one).digest(), "big") for one in cells) % 2**256
    forward, backward = EntryDigest(KEY), EntryDigest(KEY)
    forward.update(file, content)
    forward.update(link, None)
    backward.update(link, None)
    backward.update(file, content)
    assert forward.hexdigest() == backward.hexdigest() == f"{total:064x}"
    assert forward.entries == 2
