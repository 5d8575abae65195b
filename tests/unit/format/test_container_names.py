"""Names of members: plain, unique and short enough to unpack anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.format.names import fault, segment, table_segment

names = st.text(min_size=1, max_size=400) | st.sampled_from([".", "..", "a/b", "../../etc", "%2E", "é" * 200])


@settings(max_examples=200, deadline=None)
@given(names)
def test_any_text_makes_an_allowed_segment(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert fault(segment(text)) is None
    assert "/" not in segment(text)
    assert len(segment(text)) <= 233


@settings(max_examples=100, deadline=None)
@given(names, names, names, names)
def test_two_tables_never_share_a_folder(schema: str, table: str, other_schema: str, other_table: str) -> None:
    first, second = [
        tuple(t.encode("utf-8", "replace").decode() for t in pair)
        for pair in ((schema, table), (other_schema, other_table))
    ]
    assert (table_segment(*first) == table_segment(*second)) == (first == second)


@pytest.mark.parametrize(
    ("schema", "table", "expected"),
    [
        ("main", "accounts", "main.accounts"),
        ("main", "a b/é", "main.a%20b%2F%C3%A9"),
        ("main", "100%", "main.100%25"),
        ("a.b", "c", "a%2Eb.c"),
        ("a", "b.c", "a.b.c"),
        ("main", "..", "main.%2E%2E"),
        ("main", "", "main."),
        ("main", "\udcff", "main.%FF"),
    ],
)
def test_segments_of_tables_are_those_the_format_names(schema: str, table: str, expected: str) -> None:
    assert table_segment(schema, table) == expected
    assert fault(f"data/{expected}/part-00000.parquet") is None


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    first, second = segment("é" * 200 + "a"), segment("é" * 200 + "b")
    assert first != second
    assert first[:198] == second[:198] == "%C3%A9" * 33
