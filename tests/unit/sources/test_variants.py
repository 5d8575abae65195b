"""Forms: the one that holds a column's values exactly, and few changes of form."""

from __future__ import annotations

import math
import struct
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.sources.variants import (
    TYPES,
    VARIANT,
    ColumnForm,
    plain_values,
    text_array,
    variant_array,
    variant_values,
)

text = st.one_of(st.text(max_size=20).map(lambda value: value.encode("utf-8", "replace")), st.binary(max_size=8)).map(
    bytearray
)
values = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), text, st.binary(max_size=20)
)


def array_of(form: ColumnForm, column: list[Any]) -> pa.Array:
    return form.array(column, set(map(type, column)))


def back(array: pa.Array) -> list[Any]:
    """Values with their class: text as bytearray, blobs as bytes, reals by their bits."""
    plain = plain_values(array)
    if plain is not None:
        found = [bytearray(value.encode()) if isinstance(value, str) else value for value in plain]
    else:
        texts, others = variant_values(array)
        found = [other if own is None else bytearray(own) for own, other in zip(texts, others, strict=True)]
    return [(type(value), struct.pack(">d", value) if isinstance(value, float) else value) for value in found]


def exact(column: list[Any]) -> list[Any]:
    return [(type(value), struct.pack(">d", value) if isinstance(value, float) else value) for value in column]


@settings(max_examples=150)
@given(st.lists(st.lists(values, min_size=1, max_size=6), min_size=1, max_size=8))
def test_every_batch_comes_back_with_its_classes_and_a_column_has_three_forms_at_most(batches: list[list[Any]]) -> None:
    form = ColumnForm()
    forms = []
    for batch in batches:
        array = array_of(form, batch)
        assert array.type == TYPES[form.form]
        assert back(array) == exact(batch)
        forms.append(form.form)
    changes = [name for place, name in enumerate(forms) if place == 0 or forms[place - 1] != name]
    assert len(changes) <= 3
    assert len(set(changes)) == len(changes)


@pytest.mark.parametrize(
    ("column", "form"),
    [
        ([None, None], "null"),
        ([1, None, -(2**63)], "int64"),
        ([math.inf, -0.0, None], "float64"),
        ([bytearray("ü\0".encode()), None], "utf8"),
        ([bytearray(b"\xff")], "variant"),
        ([b"\xff", b""], "bytes"),
        ([1, 1.0], "variant"),
        ([bytearray(b"x"), b"x"], "variant"),
    ],
)
def test_a_column_takes_the_narrowest_form_that_is_exact(column: list[Any], form: str) -> None:
    decided = ColumnForm()
    array_of(decided, column)
    assert decided.form == form


def test_a_column_that_needed_a_variant_stays_one() -> None:
    form = ColumnForm()
    seen = []
    for batch in ([None], [1], [2], [bytearray(b"x")], [3], [None]):
        array_of(form, batch)
        seen.append(form.form)
    assert seen == ["null", "int64", "int64", "variant", "variant", "variant"]


def test_a_variant_struct_is_never_null_and_says_class_zero() -> None:
    assert variant_array([None, 7]).to_pylist() == [
        {"class": 0, "i": None, "r": None, "b": None},
        {"class": 1, "i": 7, "r": None, "b": None},
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"class": 5, "i": 1, "r": None, "b": None}, "a class is not one of 0 to 4"),
        ({"class": -1, "i": 1, "r": None, "b": None}, "a class is not one of 0 to 4"),
        ({"class": None, "i": 1, "r": None, "b": None}, "a class is not one of 0 to 4"),
        ({"class": 1, "i": None, "r": 1.0, "b": None}, "a class comes without its value"),
        ({"class": 3, "i": 1, "r": None, "b": None}, "a class comes without its value"),
    ],
)
def test_a_variant_that_contradicts_itself_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        variant_values(pa.array([row], VARIANT))


def test_a_type_that_no_form_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no form has the type date32\[day\]$"):
        plain_values(pa.nulls(1, pa.date32()))


def test_geography_text_that_is_not_utf8_is_shown_with_replacements() -> None:
    assert text_array([bytearray(b"ok"), None, bytearray(b"\xff")]).to_pylist() == ["ok", None, "\ufffd"]
