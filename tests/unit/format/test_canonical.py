"""Canonical JSON: one spelling is written, and no other is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import DocumentDamaged
from rlg_backup.format.canonical import DOCUMENT_LIMIT, parse, serialize

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8)
documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


@settings(max_examples=50, deadline=None)
@given(documents)
def test_what_is_written_is_read_and_is_the_same_json(value: dict[str, object]) -> None:
    data = serialize(value, "x")
    assert parse(data, "x") == value == json.loads(data)


def test_the_example_of_the_rfc_comes_out_letter_by_letter() -> None:
    """RFC 8785 section 3.2.3: names are sorted by UTF-16 code units."""
    order = ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(serialize(dict.fromkeys(reversed(order), 1), "x"))) == order
    assert (
        serialize({"b": [True, None], "a": '"\\\n\x0f/é'}, "x")
        == '{"a":"\\"\\\\\\n\\u000f/é","b":[true,null]}'.encode()
    )


@settings(max_examples=30, deadline=None)
@given(
    documents.filter(bool), st.sampled_from([{"indent": 1}, {"separators": (", ", ":")}, {"separators": (",", ": ")}])
)
def test_another_spelling_of_the_same_json_is_refused(value: dict[str, object], style: dict[str, object]) -> None:
    data = json.dumps(value, ensure_ascii=False, **style).encode()  # type: ignore[arg-type]
    if data != serialize(value, "x"):
        with pytest.raises(DocumentDamaged) as caught:
            parse(data, "x")
        assert str(caught.value) == "unable to read 'x': its bytes are not canonical JSON"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "it is not JSON that has a canonical form"),
        (b"{", "it is not JSON that has a canonical form"),
        (b"\xff", "it is not JSON that has a canonical form"),
        (b'\xef\xbb\xbf{"a":1}', "it is not JSON that has a canonical form"),
        ('{"a":1}'.encode("utf-16"), "it is not JSON that has a canonical form"),
        (b'{"a":NaN}', "it is not JSON that has a canonical form"),
        (b'{"a":Infinity}', "it is not JSON that has a canonical form"),
        (b'{"a":1e999}', "it is not JSON that has a canonical form"),
        (b'{"a":9007199254740992}', "it is not JSON that has a canonical form"),
        (b'{"a":-9007199254740992}', "it is not JSON that has a canonical form"),
        (b'{"a":' + b"1" * 5000 + b"}", "it is not JSON that has a canonical form"),
        (b'{"a":"\\ud800"}', "it is not JSON that has a canonical form"),
        (b'{"\\ud800":1}', "it is not JSON that has a canonical form"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is not JSON that has a canonical form"),
        (b"[]", "it is not a JSON object"),
        (b"1", "it is not a JSON object"),
        (b'{"a":1,"a":1}', "it has the field 'a' twice"),
        (b'{"b":{"a":1,"a":2}}', "it has the field 'a' twice"),
        (b'{"a":1}\n', "its bytes are not canonical JSON"),
        (b' {"a":1}', "its bytes are not canonical JSON"),
        (b'{"b":1,"a":1}', "its bytes are not canonical JSON"),
        (b'{"a":1.0}', "its bytes are not canonical JSON"),
        (b'{"a":-0}', "its bytes are not canonical JSON"),
        (b'{"a":1e2}', "its bytes are not canonical JSON"),
        (b'{"a":"\\u0041"}', "its bytes are not canonical JSON"),
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes, cause: str) -> None:
    with pytest.raises(DocumentDamaged) as caught:
        parse(data, "x/manifest.json")
    assert str(caught.value) == f"unable to read 'x/manifest.json': {cause}"


def test_the_size_is_limited_to_the_byte() -> None:
    data = serialize({"a": "x" * 100}, "x")
    assert parse(data, "x", limit=len(data)) == {"a": "x" * 100}
    with pytest.raises(DocumentDamaged) as caught:
        parse(data, "x", limit=len(data) - 1)
    assert str(caught.value) == f"unable to read 'x': it is longer than {len(data) - 1} bytes"
    assert DOCUMENT_LIMIT == 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2**53, "IntegerDomainError"),
        (float("nan"), "FloatDomainError"),
        ("\ud800", "CanonicalizationError"),
        ({1: 1}, "CanonicalizationError"),
        (b"secret", "CanonicalizationError"),
    ],
)
def test_what_has_no_canonical_form_is_not_written_and_not_quoted(value: object, kind: str) -> None:
    with pytest.raises(DocumentDamaged) as caught:
        serialize({"a": value}, "profile")
    assert str(caught.value) == f"unable to write 'profile': it has no canonical form ({kind})"
