"""Tokens within texts: every text comes back to the character; in JSON and arrays the right parts are met."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.anonymize.columns import KEY, batch_of
from tests.unit.anonymize.test_tokens import decode_texts

from rlg_backup.anonymize.actions import Action
from rlg_backup.anonymize.inside import Scrub, TokenizeElements, TokenizePaths
from rlg_backup.anonymize.json_spans import json_spans, parse_path
from rlg_backup.anonymize.policies import Policies
from rlg_backup.anonymize.spans import Span, bracketed, plain, tokens_in
from rlg_backup.anonymize.tokens import TokenKey
from rlg_backup.core.errors import KeyUnavailable, MemberDamaged

TOKENS = TokenKey(KEY)
MARKS = ("[rlg1", ":", "=", "]", '"', "[", "rlg1", "AWMN", "::1", "a@b.example", "+27 11 555 0143", "\n", "é")
texts = st.lists(st.sampled_from(MARKS) | st.text(max_size=4), max_size=12).map("".join)


def stored(action: Action, *values: str | None) -> list[str | None]:
    batch = Policies("t", {"c": action}, KEY, {}).apply(batch_of(c=pa.array(values, pa.string())))
    found: list[str | None] = batch.column(0).to_pylist()
    return found


def put_back(action: Action, values: pa.Array) -> pa.Array:
    policies = Policies("t", {"c": action}, KEY, {})
    return policies.reverse(policies.apply(batch_of(c=values))).column(0)


@settings(max_examples=300, deadline=None)
@given(texts, st.data())
def test_a_text_comes_back_whatever_it_holds_and_wherever_it_was_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [Span(*pair) for pair in zip(cuts[::2], cuts[1::2], strict=False)]
    made = bracketed([text], [spans], TOKENS.tokens)
    tokens = tokens_in(made)
    found = TOKENS.plaintexts(pa.array(tokens, pa.binary())).to_pylist() if tokens else []
    assert plain(made, dict(zip(tokens, found, strict=True))).to_pylist() == [text]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | texts, max_size=6))
def test_what_was_scrubbed_comes_back(values: list[str | None]) -> None:
    assert put_back(Scrub(), pa.array(values, pa.string())).to_pylist() == values


def test_scrubbing_leaves_the_text_around_and_nothing_of_what_it_found() -> None:
    paid = "card 4111 1111 1111 1111, bank GB82 WEST 1234 5698 7654 32."
    said = f"Hi, I am thabo.nkosi@mail.example.org (+27 11 555 0143), from 196.25.1.7; {paid}"
    (text,) = stored(Scrub(), said)
    assert text is not None
    token = r"\[rlg1:[\w-]+\]"
    assert_matches(text, f"Hi, I am {token} \\({token}\\), from {token}; card {token}, bank {token}\\.")
    assert stored(Scrub(), "call at 10:30 on 2026-11-23", "", None) == ["call at 10:30 on 2026-11-23", "", None]


def assert_matches(text: str, pattern: str) -> None:
    assert re.fullmatch(pattern, text), text


def test_a_batch_that_is_not_all_text_is_tokenized_whole() -> None:
    for values in (pa.array([5, None]), pa.array([b"a@b.example"])):
        policies = Policies("t", {"c": Scrub()}, KEY, {})
        batch = policies.apply(batch_of(c=values))
        assert batch.schema.field(0).metadata == {b"rlg.form": b"token"}
        assert policies.reverse(batch).column(0).equals(values)


DOCUMENT = (
    '{ "n": 1.50, "contact":{"email":"a@b.example", "x": [1e400,  0.10]}, "contact" : {"email": "c@d.example"},'
    ' "list": [{"phone": 2711}, {"phone":null}, {"other": ""}], "e": "tab\\t\\u00e9" }'
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.contact.email", ["a@b.example", "c@d.example"]),
        ("$.list[*].phone", ["2711"]),
        ("$.list[1].phone", []),
        ("$.*.email", ["a@b.example", "c@d.example"]),
        ("$['contact'].x", ["[1e400,  0.10]"]),
        ("$.e", ["tab\\t\\u00e9"]),
        ("$.list[2].other", []),
        ("$.nothing.here", []),
    ],
)
def test_a_path_finds_the_text_of_every_value_there(path: str, found: list[str]) -> None:
    spans = json_spans(DOCUMENT, [parse_path(path)])
    assert spans is not None
    assert [DOCUMENT[span.start : span.end] for span in spans] == found


def test_json_with_tokens_in_it_is_json_and_comes_back_to_the_byte() -> None:
    action = TokenizePaths(("$.contact.email", "$.list[*].phone", "$.n", "$.contact"))
    (text,) = stored(action, DOCUMENT)
    assert text is not None and "a@b" not in text and "2711" not in text
    assert sorted(json.loads(text)) == ["contact", "e", "list", "n"]
    assert put_back(action, pa.array([DOCUMENT])).to_pylist() == [DOCUMENT]


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(("a", "b", "[rlg1")) | texts, inner),
    )
)
def test_any_document_comes_back(value: object) -> None:
    action = TokenizePaths(("$.a", "$[*].b", "$.*.*"))
    for document in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert put_back(action, pa.array([document])).to_pylist() == [document]


@pytest.mark.parametrize("document", ["", "{", '{"a": 1,}', "[1 2]", "nothing", '{"a": "b"} x', "[" * 100_000])
def test_what_is_no_json_is_one_token(document: str) -> None:
    (text,) = stored(TokenizePaths(("$.a",)), document)
    assert_matches(text or "", r"\[rlg1:[\w-]+\]" if document else "")
    assert put_back(TokenizePaths(("$.a",)), pa.array([document])).to_pylist() == [document]


def test_the_elements_of_an_array_become_tokens() -> None:
    array = '[0:1]={{"a b@c.example",NULL},{plain,"q\\"uote, {}"}}'
    (text,) = stored(TokenizeElements(), array)
    token = r"\[rlg1:[\w-]+\]"
    assert_matches(text or "", rf'\[0:1\]=\{{\{{"{token}",NULL\}},\{{{token},"{token}"\}}\}}')
    assert put_back(TokenizeElements(), pa.array([array, "{}", None])).to_pylist() == [array, "{}", None]


def test_a_value_within_json_has_the_token_it_has_in_a_column() -> None:
    made = bracketed(["a@b.example"], [[Span(0, 11)]], TOKENS.tokens)
    assert tokens_in(made) == TOKENS.tokens(pa.array([b"ta@b.example"])).to_pylist()


def test_a_token_within_a_text_that_was_changed_is_damage() -> None:
    policies = Policies("t", {"c": Scrub()}, KEY, {})
    batch = policies.apply(batch_of(c=pa.array(["write to a@b.example"])))
    (text,) = batch.column(0).to_pylist()
    last = text[:-2] + ("A" if text[-2] != "A" else "E") + "]"
    for changed in (last, "[rlg1:AQ]", "[rlg1:A]"):
        with pytest.raises(MemberDamaged) as caught:
            policies.reverse(pa.RecordBatch.from_arrays([pa.array([changed])], schema=batch.schema))
        assert str(caught.value).startswith("unable to reverse 't.c': a ")
    with pytest.raises(KeyUnavailable):
        Policies("t", {}, bytes(32), {}).reverse(batch)


def test_the_decoder_of_the_readme_reads_texts_with_tokens(tmp_path: Path) -> None:
    said = ['see [rlg1] and "a@b.example"', DOCUMENT]
    made = [*stored(Scrub(), said[0]), *stored(TokenizePaths(("$.n", "$.e")), said[1])]
    assert decode_texts(tmp_path, KEY, made) == [ascii(one) for one in said]
