"""Policies on a stream of batches: what is stored, and what comes back."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.anonymize.columns import KEY, VARIANT, arrays, batch_of, exact, variant_cell

from rlg_backup.anonymize.actions import Hash, Keep, Redact, Tokenize
from rlg_backup.anonymize.policies import Policies
from rlg_backup.core.errors import (
    FormatUnsupported,
    KeyMalformed,
    KeyUnavailable,
    MemberDamaged,
    PolicyMismatch,
)

OTHER_KEY = bytes(range(1, 33))
TOKENIZE = Policies("users", {"email": Tokenize()}, KEY, {})


def stored(values: pa.Array) -> pa.RecordBatch:
    return TOKENIZE.apply(batch_of(email=values))


@settings(max_examples=300, deadline=None)
@given(arrays)
def test_every_value_of_every_form_comes_back_bit_for_bit(values: pa.Array) -> None:
    batch = stored(values)
    assert batch.schema.field("email") == pa.field("email", pa.binary(), metadata={b"rlg.form": b"token"})
    assert batch.schema.field("email").metadata == {b"rlg.form": b"token"}
    back = TOKENIZE.reverse(batch)
    assert exact(back.column("email")) == exact(values)
    back.validate(full=True)


@settings(max_examples=200, deadline=None)
@given(arrays)
def test_equal_values_have_equal_tokens_and_distinct_ones_distinct_tokens(values: pa.Array) -> None:
    tokens = stored(values).column("email").to_pylist()
    cells = exact(values)
    assert [token is None for token in tokens] == [cell is None for cell in cells]
    assert len(set(tokens)) == len(set(cells))
    assert len(set(zip(tokens, cells, strict=True))) == len(set(cells))


@settings(max_examples=100, deadline=None)
@given(arrays, st.integers(0, 6))
def test_a_slice_of_a_column_is_tokenized_like_the_whole(values: pa.Array, start: int) -> None:
    assert stored(values.slice(start)).column(0).to_pylist() == stored(values).column(0).to_pylist()[start:]


def test_reversed_columns_take_the_narrowest_form_that_is_exact() -> None:
    text, blob = variant_cell(3, b"caf\xc3\xa9"), variant_cell(4, b"\xff")
    cases = {
        "int64": pa.array([variant_cell(1, 5)], VARIANT),
        "float64": pa.array([variant_cell(2, -0.0), variant_cell(0, None)], VARIANT),
        "utf8": pa.array([text, variant_cell(0, None)], VARIANT),
        "bytes": pa.array([blob], VARIANT),
        "variant": pa.array([text, blob], VARIANT),
        "null": pa.array([None, None], pa.string()),
    }
    for form, values in cases.items():
        field = TOKENIZE.reverse(stored(values)).schema.field(0)
        assert field.metadata == {b"rlg.form": form.encode()}
    assert TOKENIZE.reverse(stored(pa.array([variant_cell(3, b"\xff\x00a")], VARIANT))).schema.field(0).type == VARIANT


def test_every_nan_and_both_zeros_keep_their_bits_side_by_side() -> None:
    bits = [0x7FF8 << 48, (0x7FF8 << 48) + 1, (0x7FF0 << 48) + 1, 0, -(2**63), 0x7FF0 << 48]
    values = pa.array(bits, pa.int64()).view(pa.float64())
    assert TOKENIZE.reverse(stored(values)).column(0).view(pa.int64()).to_pylist() == bits


def test_an_empty_text_is_not_null() -> None:
    assert TOKENIZE.reverse(stored(pa.array(["", None]))).column(0).to_pylist() == ["", None]


def test_the_same_bytes_in_another_class_have_another_token() -> None:
    as_text, as_blob = stored(pa.array(["a"])), stored(pa.array([b"a"]))
    assert as_text.column(0) != as_blob.column(0)


def test_columns_without_a_policy_and_fields_with_a_role_are_untouched() -> None:
    role = pa.field("email", pa.string(), metadata={b"rlg.role": b"country"})
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("email", pa.string()), role], {b"a": b"b"})
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array(["x@y.example"]), pa.array(["ZA"])], schema=schema)
    after = Policies("users", {"email": Tokenize(), "id": Keep()}, KEY, {}).apply(batch)
    assert after.schema.metadata == {b"a": b"b"}
    assert after.column(0).equals(batch.column(0))
    assert after.column(2).equals(batch.column(2))
    assert after.schema.field(2).metadata == {b"rlg.role": b"country"}
    assert after.column(1).type == pa.binary()


def test_hash_gives_32_hex_digits_that_stay_at_a_restore() -> None:
    policies = Policies("users", {"ip": Hash()}, KEY, {})
    after = policies.apply(batch_of(ip=pa.array(["192.0.2.1", None, "192.0.2.1", "192.0.2.2"])))
    first, null, again, other = after.column(0).to_pylist()
    assert null is None and first == again != other
    assert len(first) == 32 and int(first, 16) >= 0
    assert after.schema.field(0).metadata == {b"rlg.form": b"utf8"}
    assert policies.reverse(after).equals(after)


def test_redact_leaves_null_or_the_empty_text_where_null_is_not_allowed() -> None:
    policies = Policies("users", {"a": Redact(), "b": Redact()}, None, {"b": False})
    after = policies.apply(batch_of(a=pa.array(["x", None]), b=pa.array([1, 2])))
    assert after.column(0).to_pylist() == [None, None] and after.schema.field(0).type == pa.null()
    assert after.column(1).to_pylist() == ["", ""] and after.schema.field(1).type == pa.string()


def test_redact_works_on_a_type_that_has_no_form() -> None:
    after = Policies("users", {"born": Redact()}, None, {}).apply(batch_of(born=pa.array([0], pa.date32())))
    assert after.column(0).to_pylist() == [None]


def test_columns_are_listed_by_what_becomes_of_them() -> None:
    actions = {"d": Redact(), "c": Hash(), "b": Keep(), "a": Tokenize()}
    policies = Policies("users", actions, KEY, {})
    assert policies.declared == ["a", "c", "d"]
    assert policies.tokenized == ["a"]
    assert policies.irreversible == ["c", "d"]


def test_a_policy_without_its_column_is_refused_before_and_while_reading() -> None:
    text = "unable to anonymize 'users.email': the table has no such column\nhint: correct or remove the policy"
    for attempt in (lambda: TOKENIZE.check(["id"]), lambda: TOKENIZE.apply(batch_of(id=pa.array([1])))):
        with pytest.raises(PolicyMismatch) as caught:
            attempt()
        assert str(caught.value) == text
    TOKENIZE.check(["id", "email"])


@pytest.mark.parametrize("action", [Tokenize(), Hash()])
def test_a_policy_that_needs_the_key_is_refused_without_one(action: Tokenize | Hash) -> None:
    policies = Policies("users", {"email": action}, None, {})
    text = (
        "unable to anonymize 'users.email': its policy needs the tokenization key and there is none\n"
        "hint: set 'tokenization.key'"
    )
    for attempt in (lambda: policies.check(["email"]), lambda: policies.apply(batch_of(email=pa.array(["a"])))):
        with pytest.raises(KeyUnavailable) as caught:
            attempt()
        assert str(caught.value) == text


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(KeyMalformed) as caught:
        Policies("users", {}, b"short", {})
    assert str(caught.value) == "unable to use 'the tokenization key': it has 5 bytes, not 32"


def test_a_type_without_a_form_is_refused() -> None:
    with pytest.raises(PolicyMismatch) as caught:
        TOKENIZE.apply(batch_of(email=pa.array([0], pa.date32())))
    assert str(caught.value) == (
        "unable to anonymize 'users.email': its values have the type 'date32[day]', which no policy but keep handles"
    )


def test_tokens_are_never_tokenized_again() -> None:
    with pytest.raises(PolicyMismatch) as caught:
        TOKENIZE.apply(stored(pa.array(["a"])))
    assert str(caught.value) == "unable to anonymize 'users.email': it holds tokens already"


def test_a_variant_of_an_unknown_class_is_refused() -> None:
    with pytest.raises(PolicyMismatch) as caught:
        stored(pa.array([variant_cell(1, 1) | {"class": 9}], VARIANT))
    assert str(caught.value) == "unable to anonymize 'users.email': it holds a variant of an unknown class"


def test_a_restore_with_another_key_says_which_key_is_needed() -> None:
    batch = stored(pa.array(["a"]))
    with pytest.raises(KeyUnavailable) as caught:
        Policies("users", {}, OTHER_KEY, {}).reverse(batch)
    assert str(caught.value) == (
        "unable to reverse 'users.email': its tokens are of the tokenization key 630dcd29..., not of ae216c2e...\n"
        "hint: add the key the backup was made with to 'tokenization.old_keys'"
    )
    with pytest.raises(KeyUnavailable) as caught:
        Policies("users", {}, None, {}).reverse(batch)
    assert str(caught.value) == (
        "unable to reverse 'users.email': its tokens need the tokenization key 630dcd29... and there is none\n"
        "hint: set 'tokenization.key'"
    )


def test_a_column_of_nothing_but_null_needs_no_key_to_come_back() -> None:
    assert Policies("users", {}, None, {}).reverse(stored(pa.nulls(3))).column(0).to_pylist() == [None] * 3


def with_tokens(tokens: list[bytes | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(tokens, pa.binary())], schema=stored(pa.nulls(1)).schema)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_changed_bit_of_a_token_is_noticed(data: st.DataObject) -> None:
    (token,) = stored(pa.array(["somebody@example.org"])).column(0).to_pylist()
    bit = data.draw(st.integers(0, len(token) * 8 - 1))
    changed = bytearray(token)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((MemberDamaged, KeyUnavailable, FormatUnsupported)) as caught:
        TOKENIZE.reverse(with_tokens([token, bytes(changed)]))
    if bit >= 40:
        assert str(caught.value) == "unable to reverse 'users.email': a token does not authenticate"


@pytest.mark.parametrize("length", [5, 6, 20, 21, 41])
def test_a_cut_token_is_damage(length: int) -> None:
    (token,) = stored(pa.array(["somebody@example.org"])).column(0).to_pylist()
    assert len(token) == 42
    with pytest.raises(MemberDamaged) as caught:
        TOKENIZE.reverse(with_tokens([token[:length]]))
    assert str(caught.value) == "unable to reverse 'users.email': a token does not authenticate"


@pytest.mark.parametrize("token", [b"", b"\x01abc", b"\x00" * 40])
def test_what_is_no_token_is_damage(token: bytes) -> None:
    with pytest.raises(MemberDamaged) as caught:
        TOKENIZE.reverse(with_tokens([token]))
    assert str(caught.value) == "unable to reverse 'users.email': a value is not a token"


def test_a_token_of_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(FormatUnsupported) as caught:
        TOKENIZE.reverse(with_tokens([b"\x02" + bytes(40)]))
    assert str(caught.value) == (
        "unable to reverse 'users.email': its tokens were written by a later version of the format"
    )


@pytest.mark.parametrize("plaintext", [b"x123", b"i123", b"r"])
def test_an_authentic_token_of_nonsense_is_damage(plaintext: bytes) -> None:
    tokens = TOKENIZE._key.tokens(pa.array([plaintext, b"tfine"])).to_pylist()  # type: ignore[union-attr]
    for column in (tokens, tokens[:1]):
        with pytest.raises(MemberDamaged) as caught:
            TOKENIZE.reverse(with_tokens(column))
        assert str(caught.value) == "unable to reverse 'users.email': a token does not authenticate"
