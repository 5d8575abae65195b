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
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import SourceUnreadable
from rlg_backup.format.digest import ROW_DIGESTS, EntryDigest, Xxh3RowDigest, _total
from rlg_backup.format.forms import FORM, ROLE, Value, from_python, to_variant
from rlg_backup.format.row_hash import exchanged

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
        case bool():
            return b"o1" if value else b"o0"
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


def sha256_reference(rows: list[tuple[Value, ...]], key: bytes) -> int:
    return sum(int.from_bytes(hashlib.sha256(key + b"".join(map(cell, row))).digest(), "big") for row in rows)


def xxh3_reference(rows: list[tuple[Value, ...]], key: bytes) -> int:
    total = 0
    for row in rows:
        lanes = [0, 0]
        for place, value in enumerate(row):
            lanes = [lane + part for lane, part in zip(lanes, hashed(value, place, key), strict=True)]
        first, second = (mixed(lane, seed) for lane, seed in zip(lanes, seeds("row", 0, key), strict=True))
        total += (first << 128) + second
    return total


def hashed(value: Value, place: int, key: bytes) -> tuple[int, ...]:
    kind = cell(value)[:1].decode()
    pair = seeds(kind, place, key)
    match value:
        case None:
            return pair
        case bool() | int():
            first = mixed(int(value), pair[0])
        case float():
            first = mixed(struct.unpack("<Q", struct.pack("<d", value))[0], pair[0])
        case _:
            data = value.encode() if isinstance(value, str) else bytes(value)
            first = xxhash.xxh3_64_intdigest(data, pair[0])
    return first, mixed(first, pair[1])


def seeds(what: str, place: int, key: bytes) -> tuple[int, ...]:
    found = hashlib.sha256(f"rlg-backup row digest xxh3/{what}/{place}/".encode() + key).digest()
    return struct.unpack("<2Q", found[:16])


def mixed(word: int, seed: int) -> int:
    """The finalizer of SplitMix64."""
    word = (word + seed) % 2**64
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


REFERENCES = {"sha256": sha256_reference, "xxh3": xxh3_reference}
each_kind = pytest.mark.parametrize("kind", REFERENCES)


def reference(kind: str, rows: list[tuple[Value, ...]], key: bytes = KEY) -> str:
    return f"{REFERENCES[kind](rows, key) % 2**256:064x}"


def variants(rows: list[tuple[Value, ...]], width: int) -> pa.RecordBatch:
    columns = [from_python([row[place] for row in rows]) for place in range(width)]
    return pa.RecordBatch.from_arrays(columns, names=[f"c{place}" for place in range(width)])


def digest_of(kind: str, *batches: pa.RecordBatch) -> str:
    digest = ROW_DIGESTS[kind](KEY)
    for batch in batches:
        digest.update(batch)
    return digest.hexdigest()


@each_kind
@settings(max_examples=80, deadline=None)
@given(rows_of_three)
@example([(math.nan, -0.0, math.inf), (None, bytearray(b"\xff\xfe\0"), b"\xff")])
def test_variants_of_any_class_agree_with_the_reference(kind: str, rows: list[tuple[Value, ...]]) -> None:
    digest = ROW_DIGESTS[kind](KEY)
    digest.update(variants(rows, 3))
    assert (digest.hexdigest(), digest.rows) == (reference(kind, rows), len(rows))


@each_kind
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
def test_plain_forms_agree_with_the_reference_and_with_variants(kind: str, rows: list[tuple[Value, ...]]) -> None:
    types = [pa.int64(), pa.float64(), pa.string(), pa.binary()]
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(types)]
    plain = pa.RecordBatch.from_arrays(arrays, names=list("irtb"))
    mixed = pa.RecordBatch.from_arrays([to_variant(array) for array in arrays], names=list("irtb"))
    assert digest_of(kind, plain) == reference(kind, rows)
    assert digest_of(kind, mixed) == reference(kind, rows)


@each_kind
@settings(max_examples=40, deadline=None)
@given(rows_of_three, st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_batches_do_not_matter(
    kind: str, rows: list[tuple[Value, ...]], chance: random.Random, step: int
) -> None:
    shuffled = rows[:]
    chance.shuffle(shuffled)
    whole = variants(shuffled, 3)
    pieces = [whole.slice(start, step) for start in range(0, len(whole), step)]
    assert digest_of(kind, *pieces) == digest_of(kind, variants(rows, 3))


@each_kind
def test_a_null_column_is_the_column_of_nulls_in_any_form(kind: str) -> None:
    shapes = [pa.null(), pa.int64(), pa.float64(), pa.string(), pa.binary()]
    batches = [pa.record_batch({"a": pa.nulls(3, shape)}) for shape in shapes]
    batches.append(pa.record_batch({"a": to_variant(pa.nulls(3))}))
    assert {digest_of(kind, batch) for batch in batches} == {reference(kind, [(None,)] * 3)}


@each_kind
def test_booleans_have_cells_of_their_own(kind: str) -> None:
    found = digest_of(kind, pa.record_batch({"a": pa.array([True, False, None])}))
    assert found == reference(kind, [(True,), (False,), (None,)])
    assert found != digest_of(kind, pa.record_batch({"a": pa.array([1, 0, None])}))


@each_kind
def test_two_equal_rows_are_not_none(kind: str) -> None:
    one, two = variants([(1,)], 1), variants([(1,), (1,)], 1)
    assert len({digest_of(kind), digest_of(kind, one), digest_of(kind, two)}) == 3
    assert digest_of(kind) == "0" * 64


@each_kind
def test_cells_do_not_run_into_each_other(kind: str) -> None:
    rows: list[tuple[Value, ...]] = [("a", "bc"), ("ab", "c"), (1, 23), (12, 3), (b"a", "bc"), ("1", 23), (1.0, 23)]
    assert len({digest_of(kind, variants([row], 2)) for row in rows}) == len(rows)


@each_kind
def test_values_that_compare_equal_but_differ_in_bits_differ(kind: str) -> None:
    batches = [pa.record_batch({"a": pa.array([value])}) for value in (0.0, -0.0)]
    bits = struct.unpack("<2d", struct.pack("<2Q", 0x7FF8000000000000, 0x7FF8000000000001))
    batches += [pa.record_batch({"a": pa.array([value])}) for value in bits]
    assert len({digest_of(kind, batch) for batch in batches}) == 4


@each_kind
def test_the_key_decides(kind: str) -> None:
    other = ROW_DIGESTS[kind](bytes(32))
    other.update(variants([(1,)], 1))
    assert other.hexdigest() == reference(kind, [(1,)], bytes(32)) != digest_of(kind, variants([(1,)], 1))


@each_kind
def test_the_row_id_comes_first_and_geography_not_at_all(kind: str) -> None:
    def field(name: str, role: bytes, kind: pa.DataType) -> pa.Field:
        return pa.field(name, kind, metadata={ROLE: role})

    fields = [pa.field("a", pa.string()), field("$rowid", b"rowid", pa.int64())]
    fields += [field(f"${level}", level.encode(), pa.string()) for level in ("region", "country", "city", "town")]
    arrays = [pa.array(["x", None]), pa.array([7, 8]), *[pa.array(["eu", None])] * 4]
    assert digest_of(kind, pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))) == reference(
        kind, [(7, "x"), (8, None)]
    )


@each_kind
def test_a_token_is_the_bytes_it_is(kind: str) -> None:
    field = pa.field("a", pa.binary(), metadata={FORM: b"token"})
    batch = pa.RecordBatch.from_arrays([pa.array([b"\x01abc"])], schema=pa.schema([field]))
    assert digest_of(kind, batch) == reference(kind, [(b"\x01abc",)])


@each_kind
def test_slices_larger_than_what_is_hashed_at_once_agree(kind: str) -> None:
    rows = [(place, "x" * 700) for place in range(66_000)]
    assert digest_of(
        kind, pa.record_batch({"a": [row[0] for row in rows], "b": [row[1] for row in rows]})
    ) == reference(kind, rows)


@settings(max_examples=80, deadline=None)
@given(rows_of_three, st.sets(st.sampled_from(["c0", "c1", "c2"])))
@example([(1, "x", None)], set())
def test_rows_some_of_whose_columns_were_exchanged_have_the_numbers_of_the_rows_they_became(
    rows: list[tuple[Value, ...]], columns: set[str]
) -> None:
    before = variants(rows, 3)
    others = variants([(None, b"token", 7)] * len(rows), 3)
    after = pa.record_batch({name: (others if name in columns else before)[name] for name in before.schema.names})
    digest = Xxh3RowDigest(KEY)
    cells = exchanged(digest.cells(before), digest.cells(before, columns), digest.cells(after, columns))
    digest.add(digest.numbers_of(cells))
    assert digest.hexdigest() == digest_of("xxh3", after)


def test_the_sum_of_digits_does_not_depend_on_where_they_lie() -> None:
    numbers = [random.Random(seed).getrandbits(256) for seed in range(50)] + [2**256 - 1, 0]
    digits = pl.Series([f"{number:064x}" for number in numbers])
    parts = pl.concat([digits[:7], digits[7:]], rechunk=False)
    assert _total(digits) == _total(parts) == sum(numbers)
    assert _total(digits[5:20]) == sum(numbers[5:20])
    assert _total(pl.concat([digits[:1], digits[9:]], rechunk=False)[1:]) == sum(numbers[9:])


@each_kind
def test_digests_add_up_and_under_different_keys_do_not(kind: str) -> None:
    first, second = ROW_DIGESTS[kind](KEY), ROW_DIGESTS[kind](KEY)
    first.update(variants([(1,), ("a",)], 1))
    second.update(variants([(2.5,)], 1))
    both = first + second
    assert (both.hexdigest(), both.rows) == (reference(kind, [(1,), ("a",), (2.5,)]), 3)
    with pytest.raises(ValueError, match=r"^digests under different keys have no sum$"):
        first + ROW_DIGESTS[kind](bytes(32))
    with pytest.raises(ValueError, match=r"^a digest key has 32 bytes$"):
        ROW_DIGESTS[kind](b"short")


@each_kind
def test_a_type_that_is_no_form_is_refused(kind: str) -> None:
    with pytest.raises(SourceUnreadable) as caught:
        digest_of(kind, pa.record_batch({"price": pa.array([1.5], pa.float32())}))
    assert str(caught.value) == "unable to save 'price': no form of the format holds values of type float"


KNOWN = {
    "sha256": "ef068e9ce308e7ec90b786c3c7e4bd438a6303b749537cafe5e924c494f5774e",
    "xxh3": "0000000000000000ff6cb8ea56ac1098000000000000000098d535b688855c31",
}


@each_kind
def test_the_number_of_a_known_table_never_changes(kind: str) -> None:
    """Archives of years ago are compared with this: a change here is a change of the format."""
    rows: list[tuple[Value, ...]] = [
        (1, "Zoë", 2.5, b"\0\xff", None),
        (-(2**63), bytearray(b"\xff"), -0.0, b"", "12:"),
    ]
    assert digest_of(kind, variants(rows, 5)) == reference(kind, rows) == KNOWN[kind]


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
