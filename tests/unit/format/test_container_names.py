"""Names of members: plain, unique and short enough to unpack anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.format.names import fault, segment, table_folder

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
    assert (table_folder(*first) == table_folder(*second)) == (first == second)


@pytest.mark.parametrize(
    ("schema", "table", "folder"),
    [
        ("main", "accounts", "data/main.accounts"),
        ("main", "a b/é", "data/main.a%20b%2F%C3%A9"),
        ("main", "100%", "data/main.100%25"),
        ("a.b", "c", "data/a%2Eb.c"),
        ("a", "b.c", "data/a.b.c"),
        ("main", "..", "data/main.%2E%2E"),
        ("main", "", "data/main."),
        ("main", "\udcff", "data/main.%FF"),
    ],
)
def test_folders_are_those_the_format_names(schema: str, table: str, folder: str) -> None:
    assert table_folder(schema, table) == folder
    assert fault(folder) is None


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    first, second = segment("é" * 200 + "a"), segment("é" * 200 + "b")
    assert first != second
    assert first[:198] == second[:198] == "%C3%A9" * 33
