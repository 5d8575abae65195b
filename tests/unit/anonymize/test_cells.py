"""The cheap look at many texts: what it leaves out holds nothing, whatever stands beside it."""

from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.anonymize.cells import Cells
from rlg_backup.anonymize.shapes import HARMLESS, kinds_in
from rlg_backup.anonymize.words import Words, unwrapped

KEY = b"k" * 32
_SHAPED = st.sampled_from(
    [
        "jane.doe@example.org", "+27 82 555 0101", "(011) 555-0199", "00 27 82 5550101", "0821234567", "192.0.2.17",
        "2001:db8::1", "fe80:0:0:0:1:2:3:4", "4111 1111 1111 1111", "4111111111111111", "٠٨٢١٢٣٤٥٦٧", r"\u0040", "%40",
        "&#64;", "&amp;", "2026-01-02 03:04:05", "a1b2c3d4-e5f6-4711-8899-aabbccddeeff",
    ]
)  # fmt: skip
_NOISE = st.text(alphabet="0123456789 +-().:/@%&;\\\nabcdefxéñ", max_size=12)
_TEXT = st.lists(_SHAPED | _NOISE, max_size=3).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(_TEXT, max_size=6))
def test_a_text_with_a_shape_or_an_escape_is_never_left_out(texts: list[str]) -> None:
    values = pl.Series("value", texts, dtype=pl.String)
    cells = Cells(values)
    numbers, addresses, escaped = cells.numbers, cells.addresses(), cells.escaped()
    for place, (text, plain) in enumerate(zip(texts, unwrapped(values), strict=True)):
        kinds = kinds_in(text) | kinds_in(re.sub(HARMLESS, "~", text))
        assert not kinds or numbers[place] or addresses[place]
        assert plain == f"{text}\n" or numbers[place] or escaped[place]


def test_what_two_texts_hold_together_neither_holds() -> None:
    cells = Cells(pl.Series(["4111", "1111", "", "1111 1111", "a:", ":b", "1.2.3", ".4.5.6"]))
    assert not cells.numbers[:3].any()
    assert not cells.addresses().any()


@pytest.mark.parametrize("texts", [[], [""], ["", "", ""], ["~", " - "]])
def test_texts_without_words_hold_nothing(texts: list[str]) -> None:
    values = pl.Series("value", texts, dtype=pl.String)
    cells, words = Cells(values), Words(Cells(values), KEY)
    assert not (cells.numbers | cells.addresses() | cells.escaped()).any()
    assert (len(words), words.counts.tolist()) == (0, [0] * len(texts))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_words_are_runs_of_letters_marks_and_digits_in_whatever_script(texts: list[str]) -> None:
    """The same as one regular expression finds, and a word has one number wherever it stands."""
    values = pl.Series("value", texts, dtype=pl.String)
    folded = values.str.to_lowercase().str.normalize("NFKC").str.to_lowercase()
    folded = folded.str.replace_many({"ς": "σ", "ß": "ss"})
    expected = folded.str.extract_all(r"[\p{L}\p{M}\p{N}]+").to_list()
    words = Words(Cells(values), KEY)
    assert words.counts.tolist() == [len(found) for found in expected]
    flat = [word for found in expected for word in found]
    assert words.sizes.tolist() == [len(word) for word in flat]
    assert len(set(words.hash.tolist())) == len(set(flat))
    numbers = dict(zip(flat, words.hash.tolist(), strict=True))
    assert [numbers[word] for word in flat] == words.hash.tolist()


def test_words_of_any_length_have_numbers_of_their_own() -> None:
    """Of one that is longer than the pieces that are mixed in, every letter counts, and how many there are."""
    texts = [f"{'a' * length}{last}" for length in range(40) for last in ("", "b", "c")]
    texts += [f"{'a' * before}b{'a' * (30 - before)}" for before in range(30)]
    words = Words(Cells(pl.Series([text for text in texts if text])), KEY)
    distinct = {text for text in texts if text}
    assert len(set(words.hash.tolist())) == len(distinct)
    other = Words(Cells(pl.Series(["a" * 20])), b"x" * 32)
    assert other.hash[0] not in words.hash
