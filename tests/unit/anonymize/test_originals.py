"""The filter of original values: what it finds again, what it forgets, what it gives away."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.anonymize.columns import VARIANT, batch_of, variant_cell

from rlg_backup.anonymize.cells import Cells
from rlg_backup.anonymize.originals import Originals
from rlg_backup.anonymize.words import Words
from rlg_backup.core.errors import ObjectDamaged

KEY = b"k" * 32
ORIGINAL = ["jane.doe@example.org", "+27 82 555 0101", "Maria Lopez", "192.0.2.17", "Nkosana"]


def filled(*values: str, bound: int = 1_000_000) -> Originals:
    originals = Originals(KEY, bound)
    originals.collect("users", batch_of(contact=pa.array(values, pa.string())), ["contact"])
    return originals


def found_in(originals: Originals, *texts: str) -> list[int]:
    found = originals.find(Cells(pl.Series("value", texts, dtype=pl.String)))
    assert set(found["origin"]) <= {"users.contact"}
    return sorted(found["cell"].to_list())


@pytest.mark.parametrize(
    "text",
    [
        "jane.doe@example.org",
        "  JANE.DOE@Example.ORG ",
        "please write to jane.doe@example.org.",
        '{"from": "jane.doe@example.org"}',
        r'{"note": "line\njane.doe@example.org"}',
        r"jane.doe\u0040example.org",
        r"é: jane.doe\u0040example.org",
        "é: 0027 82 555 0101",
        "mailto:jane.doe%40example.org?subject=x",
        "jane.doe&#64;example.org",
        "export_jane.doe@example.org.csv",
        "call +27 82 555 0101",
        "call +27825550101",
        "call +27-82-555-01-01 today",
        "2024-05-06 10:11 +27 (82) 555-0101",
        '{"tel":"27825550101"}',
        "dial 0027 82 555 0101",
        "spoke with Maria Lopez, who",
        "spoke with maria\nlopez",
        "maria_lopez_cv.pdf",
        "came from 192.0.2.17:443",
        "ＭＡＲＩＡ　ＬＯＰＥＺ",
        "Nkosana",
        " nkosana. ",
    ],
)
def test_an_original_value_is_found_again(text: str) -> None:
    assert found_in(filled(*ORIGINAL), "nothing here", text) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "john.doe@example.org",
        "jane.doe@example.net",
        "jane doe",
        "Maria said that Lopez",
        "Lopez Maria",
        "192.0.2.170",
        "+27 82 555 0102",
        "a word like Nkosana within a sentence",
        "2024-05-06 10:11:12",
    ],
)
def test_other_text_is_not(text: str) -> None:
    assert found_in(filled(*ORIGINAL), text) == []


def test_a_value_does_not_run_from_one_cell_into_the_next() -> None:
    assert found_in(filled("Maria Lopez"), "ask Maria", "Lopez agreed", "", "Maria", "", "Lopez") == []


def test_values_that_are_found_everywhere_are_not_used() -> None:
    originals = filled(
        "Ann", "12345678", "2024-05-06", "ZA", "", "  ", "a b c d e f g h i j", "jane.doe@example.org", "ZA"
    )
    assert len(originals) == 1
    assert found_in(originals, "Ann", "12345678", "2024-05-06", "ZA", "a b c d e f g h i j") == []


def test_text_and_blobs_of_every_form_are_collected_and_numbers_are_not() -> None:
    cells = [
        variant_cell(3, b"text@example.org"),
        variant_cell(4, b"\xffblob@example.org\xff"),
        variant_cell(1, 1234567890),
    ]
    originals = Originals(KEY)
    batch = batch_of(
        contact=pa.array(cells, VARIANT),
        b=pa.array([b"bytes@example.org", None, None]),
        n=pa.array([1234567891] * 3),
        z=pa.nulls(3),
    )
    originals.collect("users", batch, ["contact", "n", "z"])
    assert len(originals) == 2
    assert found_in(
        originals, "text@example.org", "blob@example.org", "1234567890", "1234567891", "bytes@example.org"
    ) == [0, 1]
    originals.collect("users", batch, ["b"])
    assert len(originals) == 3


def test_each_hit_names_the_column_the_value_comes_from() -> None:
    originals = filled("jane.doe@example.org")
    originals.collect("fans", batch_of(name=pa.array(["Maria Lopez"])), ["name"])
    found = originals.find(Cells(pl.Series("value", ["Maria Lopez <jane.doe@example.org>", "Maria Lopez"])))
    assert sorted(found.iter_rows()) == [(0, "fans.name"), (0, "users.contact"), (1, "fans.name")]


def test_above_the_bound_a_sample_is_kept_and_its_share_is_told() -> None:
    values = [f"user{number}@example.org" for number in range(20_000)]
    originals = filled(*values, bound=1_000)
    assert 500 <= len(originals) <= 1_000
    assert originals.share == 1 / 32
    assert len(found_in(originals, *values)) == len(originals)
    whole = filled(*values)
    assert (len(whole), whole.share) == (20_000, 1.0)


def test_the_sample_does_not_depend_on_the_order_of_the_rows() -> None:
    values = [f"user{number}@example.org" for number in range(3_000)]
    ahead, back = filled(*values, bound=100), filled(*values[::-1], bound=100)
    assert found_in(ahead, *values) == found_in(back, *values)


def test_it_comes_back_from_bytes_that_hold_no_value() -> None:
    values = [f"user{number}@example.org" for number in range(3_000)]
    originals = filled(*values, "Maria Lopez", bound=1_000)
    data = originals.to_bytes()
    again = Originals.from_bytes(data, KEY)
    assert found_in(again, *values) == found_in(originals, *values)
    assert (again.share, len(again)) == (originals.share, len(originals))
    assert again.to_bytes() == data
    for part in (b"example", b"Lopez", b"lopez", b"user1", KEY):
        assert part not in data


def test_other_bytes_or_another_key_are_refused_since_nothing_would_be_found() -> None:
    data = filled("jane.doe@example.org").to_bytes()
    text = "unable to read 'the filter of original values': it is damaged or of another run"
    for wrong, key in ((data, b"x" * 32), (data[:-1], KEY), (b"", KEY), (bytes([data[0] ^ 1]) + data[1:], KEY)):
        with pytest.raises(ObjectDamaged) as caught:
            Originals.from_bytes(wrong, key)
        assert str(caught.value) == text


def test_another_key_gives_other_hashes() -> None:
    ours, theirs = filled("jane.doe@example.org"), Originals(b"x" * 32)
    theirs.collect("users", batch_of(contact=pa.array(["jane.doe@example.org"])), ["contact"])
    assert len(ours) == len(theirs) == 1
    assert ours._entries["run"].item() != theirs._entries["run"].item()


def test_a_word_of_a_megabyte_is_told_by_its_beginning_and_its_size() -> None:
    picture = "ffd8ffe0" * (1 << 17)
    texts = [picture, picture[:-1] + "9", picture + "0", "0" + picture[1:]]
    same, other_end, longer, other_beginning = Words(Cells(pl.Series(texts)), KEY).hash.tolist()
    assert same == other_end and len({same, longer, other_beginning}) == 3
    assert found_in(filled(picture), *texts) == [0, 1]


def test_its_repr_holds_counts_only() -> None:
    assert repr(filled("jane.doe@example.org")) == "Originals(1 entries of 1 columns, share 1.0000)"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=10))
def test_every_value_that_is_used_is_found_as_a_cell_and_among_other_words(value: str, left: str, right: str) -> None:
    originals = filled(value)
    if len(originals):
        one_name = Words(Cells(pl.Series([value])), KEY).letters.tolist() == [True]
        assert found_in(originals, value) == [0]
        assert one_name or 1 in found_in(originals, "", f"{left} | {value} | {right}")


def test_entries_that_come_in_many_small_lots_make_the_same_filter_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a value that several columns hold the first column is named, whichever came first."""
    values = [f"user{number % 700}@example.org" for number in range(2_000)]
    columns = {"a": values[:300] * 3, "b": values[300:1_500], "c": values}
    batch = batch_of(**{name: pa.array(cells[:900]) for name, cells in columns.items()})
    rest = batch_of(**{name: pa.array(cells[-900:]) for name, cells in columns.items()})
    whole = Originals(KEY, 400)
    for part in (batch, rest):
        whole.collect("users", part, ["a", "b", "c"])
    monkeypatch.setattr("rlg_backup.anonymize.originals._PENDING", 50)
    lots = Originals(KEY, 400)
    lots.collect("users", batch.slice(0, 0), ["a", "b", "c"])
    lots._origins = ["users.a", "users.b", "users.c"]
    for part in (rest, batch):
        for start in reversed(range(0, 900, 90)):
            for name in ("c", "b", "a"):
                lots.collect("users", part.slice(start, 90), [name])
    assert lots.to_bytes() == whole.to_bytes()
    found = lots.find(Cells(pl.Series("value", values[:700])))
    assert len(found) == len(lots) > 100
    assert set(found["origin"]) == {"users.a", "users.b"}


def test_of_more_columns_than_can_be_told_apart_the_values_are_found_all_the_same() -> None:
    originals = Originals(KEY)
    originals._origins = [f"tenant_{number}.users.contact" for number in range(2**16 - 1)]
    values = [f"user{number}@example.org" for number in range(100)]
    for table in ("tenant_1.users", "late.users", "latest.users"):
        originals.collect(table, batch_of(contact=pa.array([f"{table}.{one}" for one in values])), ["contact"])
    found = originals.find(Cells(pl.Series([f"{table}.users.{one}" for table in ("late", "latest") for one in values])))
    assert (len(found), set(found["origin"])) == (200, {"another column"})
    assert len(originals) == 300
