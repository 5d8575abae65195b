"""What is left for ever of a value: by mask, generalize, pseudonym, drop and redact; their bytes are the format's."""

from __future__ import annotations

import hmac
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.anonymize.columns import KEY, VARIANT, arrays, batch_of, exact, variant_cell
from tests.unit.anonymize.test_tokens import hkdf

from rlg_backup.anonymize.actions import Action, Drop, Mask, Pseudonym, Redact, words_of
from rlg_backup.anonymize.generalizing import Generalize
from rlg_backup.anonymize.inside import Scrub, TokenizePaths
from rlg_backup.anonymize.policies import Policies
from rlg_backup.format.forms import fault

# Made once, by hand from docs/FORMAT.md. Archives hold such texts: a change here is a change of the format.
EMAILS = {"jane.doe@example.org": "u3d3657339c35c8c67b93@example.invalid"}
PHONES = {"+27 11 555 0143": "+27004595105614"}


def left(action: Action, values: pa.Array, *, nullable: bool = True) -> list[Any]:
    policies = Policies("t", {"c": action}, KEY, {"c": nullable})
    after = policies.apply(batch_of(c=values))
    assert policies.reverse(after).equals(after)
    found: list[Any] = after.column(0).to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111-1111-1111-1234", "****-****-****-1234"),
        ("+27 11 555 0143", "+** ** *** 0143"),
        ("jane.doe@example.org", "****.***@******e.org"),
        ("abcdefg", "****efg"),
        ("abc", "**c"),
        ("a", "*"),
        ("", ""),
        (" - ", " - "),
        ("Zoë Müller", "*** **ller"),
        ("मिरियम हिंदी", "****** *िंदी"),
        ("דָּוִד", "***וִד"),
    ],
)
def test_a_mask_keeps_separators_and_the_last_and_never_more_than_half(text: str, masked: str) -> None:
    assert left(Mask(4), pa.array([text, None])) == [masked, None]


def test_a_mask_of_none_keeps_no_letter_and_no_digit() -> None:
    assert left(Mask(0), pa.array(["ab-1"])) == ["**-*"]


def test_a_value_that_a_mask_cannot_read_leaves_nothing() -> None:
    cells = pa.array(
        [variant_cell(1, -1234567), variant_cell(4, b"\xffblob"), variant_cell(3, b"\xff"), variant_cell(0, None)],
        VARIANT,
    )
    assert left(Mask(2), cells) == ["-*****67", None, None, None]
    assert left(Mask(2), cells, nullable=False) == ["-*****67", "", "", None]


@pytest.mark.parametrize(
    ("to", "text", "coarse"),
    [
        ("year", "1990-05-17", "1990-01-01"),
        ("month", "1990-05-17", "1990-05-01"),
        ("year", "2026-03-05 10:11:12.345+02", "2026-01-01 00:00:00+02"),
        ("month", "2026-03-05T10:11:12.345Z", "2026-03-01T00:00:00Z"),
        ("year", "2026-03-05T10:11", "2026-01-01T00:00"),
        ("year", "0044-03-15 BC", "0044-01-01 BC"),
        ("year", "10044-03-15", "10044-01-01"),
        ("year", "4714-12-25 BC", "4714-11-24 BC"),
        ("month", "4714-11-30 00:00:00 BC", "4714-11-24 00:00:00 BC"),
        ("month", "4714-12-25 BC", "4714-12-01 BC"),
        ("year", "-infinity", "-infinity"),
        ("year", "17 May 1990", None),
        ("year", "1990-05-17, or so", None),
        ("network", "196.25.1.7", "196.25.1.0"),
        ("network", "10.1.2.3/32", "10.1.2.0/32"),
        ("network", "2001:db8:1:2::3", "2001:db8:1::"),
        ("network", "fe80::1%eth0", "fe80::"),
        ("network", "10.1.2", None),
        ("network", "10.1.2.3/192.0.2.17", None),
        ("network", "10.1.2.3/32 jane.doe@example.org", None),
        ("network", "10.1.2.3/", None),
        ("year", "27115550143-01-01", None),
    ],
)
def test_a_value_becomes_one_that_many_share(to: str, text: str, coarse: str | None) -> None:
    assert left(Generalize(to), pa.array([text])) == [coarse]


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**40))
def test_a_number_becomes_the_multiple_nearest_to_it_towards_zero(number: int, size: int) -> None:
    (found,) = left(Generalize(bucket=size), pa.array([number], pa.int64()))
    assert found % size == 0 and abs(number) - size < abs(found) <= abs(number) and found * number >= 0


def test_numbers_of_every_class_are_put_into_buckets_in_their_class() -> None:
    assert left(Generalize(bucket=10), pa.array([99.5, -5.0, float("inf"), 1e300])) == [90.0, 0.0, float("inf"), 1e300]
    decimals = pa.array(["-1250.75", "99", "0.5", "NaN", "-5", "1e3", "12 cents", "9" * 400, "NaN27115550143"])
    expected = ["-1200.00", "0", "0.0", "NaN", "0", "1000", None, "9" * 398 + "00", "NaN"]
    assert left(Generalize(bucket=100), decimals) == expected
    cells = pa.array([variant_cell(1, 7), variant_cell(2, 17.5), variant_cell(4, b"x")], VARIANT)
    found = Policies("t", {"c": Generalize(bucket=5)}, None, {}).apply(batch_of(c=cells)).column(0)
    assert exact(found)[0] == ("i", 5) and found[1].as_py()["r"] == 15.0 and exact(found)[2] is None
    assert fault(found) is None


def reference_digest(text: str) -> bytes:
    return hmac.digest(hkdf(KEY, b"rlg-backup pseudonym 1", 32), b"t" + text.encode(), "sha256")


@pytest.mark.parametrize("text", EMAILS)
def test_an_e_mail_s_pseudonym_is_what_the_format_says(text: str) -> None:
    expected = f"u{reference_digest(text).hex()[:20]}@example.invalid"
    assert left(Pseudonym("email"), pa.array([text])) == [expected] == [EMAILS[text]]


@pytest.mark.parametrize("text", PHONES)
def test_a_phone_s_pseudonym_is_what_the_format_says(text: str) -> None:
    digits = int.from_bytes(reference_digest(text)[:16], "big") % 10**10
    assert left(Pseudonym("phone"), pa.array([text])) == [f"+2700{digits:010d}"] == [PHONES[text]]


@pytest.mark.parametrize(
    ("number", "begin"),
    [
        ("+1 (212) 555-0123", "+100"),
        ("+7 495 555 0123", "+700"),
        ("+44 20 7946 0958", "+4400"),
        ("0044 20 7946 0958", "+4400"),
        ("+972 2 555 0199", "+97200"),
        ("+353 1 555 0100", "+35300"),
        ("011 555 0143", "000"),
        ("no number", "000"),
    ],
)
def test_a_phone_s_pseudonym_has_its_country_and_is_nobody_s(number: str, begin: str) -> None:
    (found,) = left(Pseudonym("phone"), pa.array([number]))
    assert re.fullmatch(re.escape(begin) + r"\d{10}", found)
    assert len(found) <= 16


@settings(max_examples=100, deadline=None)
@given(arrays)
def test_equal_values_have_equal_pseudonyms_and_others_others(values: pa.Array) -> None:
    found, cells = left(Pseudonym("email"), values), exact(values)
    assert len(set(zip(found, cells, strict=True))) == len(set(found)) == len(set(cells))


def test_a_dropped_column_is_not_there_and_a_redacted_one_holds_what_was_given() -> None:
    batch = batch_of(a=pa.array([1, 2]), b=pa.array(["x", None]), c=pa.array(["y", "z"]))
    after = Policies("t", {"b": Redact("{}"), "c": Drop()}, None, {}).apply(batch)
    assert after.to_pydict() == {"a": [1, 2], "b": ["{}", "{}"]}


CHAT = pa.array(["I am jane.doe@example.org"])


def test_what_is_to_be_found_nowhere_else_is_told_by_the_policy() -> None:
    """Not an address within a chat, nor the text around it: that one stays, and would be found."""
    actions = {"a": Mask(1), "b": Generalize("year"), "c": TokenizePaths(("$.x",)), "d": Scrub()}
    batch = batch_of(
        a=pa.array(["secret"]), b=pa.array(["1990-01-01"]), c=pa.array(['{"x": "hidden", "y": "open"}']), d=CHAT
    )
    personal = {name: values.to_pylist() for name, values in Policies("t", actions, KEY, {}).personal(batch)}
    assert personal == {"a": ["secret"], "c": ["hidden"]}


def test_an_action_s_words_tell_its_settings() -> None:
    said = [words_of(one) for one in (Drop(), Redact(), Redact("x"), Mask(4), Generalize("year"), Generalize(bucket=5))]
    assert said == [
        "drop",
        "redact",
        "redact to='x'",
        "mask keep_last=4",
        "generalize to='year'",
        "generalize bucket=5",
    ]
