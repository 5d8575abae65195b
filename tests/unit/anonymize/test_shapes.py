"""What looks like personal data, and what must not."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.anonymize.shapes import CANDIDATE, CARD, CARD_SHAPED, EMAIL, HARMLESS, IBAN, IP, PHONE, kinds_in

PERSONAL = {
    EMAIL: (
        "jane.doe@example.org",
        "write to <jane+news@mail.example.co.za>, please",
        '{"to":"j@x.example"}',
        "jürgen@müller.example",
        "report_jane.doe@example.org.pdf",
    ),
    PHONE: (
        "+27 82 555 0101",
        "+27825550101",
        "call +1 (212) 555-0101 x12 now",
        '{"tel":"+972-54-555-0101"}',
        "0027 82 555 0101",
        "082 555 0101",
        "(021) 555 0101",
        "212-555-0101",
        "0825550101",
    ),
    IP: ("192.0.2.17", "from 10.1.2.3:8080", "2001:db8::17", "[2001:db8:0:0:0:0:0:1]", "::ffff:192.0.2.17"),
    CARD: (
        "4111 1111 1111 1111",
        "4111111111111111",
        "card 5500-0000-0000-0004.",
        "378282246310005",
        "3782 822463 10005",
        "5500 0000 0000 0004",
        "4111 1111 1111 1111 12/27",
    ),
    IBAN: (
        "GB82WEST12345698765432",
        "pay to GB82 WEST 1234 5698 7654 32.",
        "NL91ABNA0417164300",
        '{"i":"IL620108000000099999999"}',
    ),
}
PLAIN = (
    "",
    "hello",
    "GB83WEST12345698765432",  # an IBAN's check digits do not hold
    "licence AB12 CDEF 1234 5678",
    "2024-05-06",
    "2024-05-06 10:11:12",
    "2024-05-06T10:11:12.123456+02:00",
    "10:11:12",
    "06/05/2024 10:11",
    "1716970000",
    "1716970000123",
    "0000012345",
    "3.14159265358979",
    "-33.924870,18.424055",
    "1.2.3",
    "999.1.1.1",
    "0.0.0.0",
    "127.0.0.1",
    "::",
    "::1",
    "std::vector",
    "a::b",
    "aa:bb:cc:dd:ee:ff",
    "7f3a9c2e-1b2c-4d5e-8f90-123456789012",
    "@newsroom",
    "me@localhost",
    "R 1 234 567,00",
    "20261123T020000Z-7f3a9c2e",
    "SKU 1234-5678-90",
    "d41d8cd98f00b204e9800998ecf8427e",
)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PERSONAL.items() for text in texts])
def test_personal_data_is_known_by_its_shape(kind: str, text: str) -> None:
    assert kinds_in(text) - {CARD_SHAPED} == {kind}


@pytest.mark.parametrize("text", PLAIN)
def test_dates_times_identifiers_and_numbers_are_no_personal_data(text: str) -> None:
    assert kinds_in(text) == frozenset()


def test_a_card_number_that_fails_luhn_is_only_shaped_like_one() -> None:
    assert kinds_in("4111111111111112") == {CARD_SHAPED}


def test_no_text_makes_the_patterns_slow() -> None:
    """Each of these makes a pattern with unbounded repeats take minutes."""
    began = time.process_time()
    for text in (
        "a" * 300_000 + "@",
        "1 " * 150_000,
        "a:" * 150_000,
        "1." * 150_000,
        "@" + "a." * 150_000,
        "+" * 300_000,
    ):
        kinds_in(text)
    assert time.process_time() - began < 5


_PARTS = st.sampled_from([text for texts in PERSONAL.values() for text in texts])
_NOISE = st.text(alphabet="0123456789 +-().:/@abcdefx", max_size=20)


@settings(max_examples=300, deadline=None)
@given(st.tuples(_NOISE, _PARTS, _NOISE).map("".join) | _NOISE)
def test_what_has_a_shape_is_never_left_out_as_no_candidate(text: str) -> None:
    kinds = kinds_in(text)
    assert kinds <= {EMAIL, PHONE, IP, CARD, CARD_SHAPED, IBAN}
    assert not kinds or re.search(CANDIDATE, text)


@pytest.mark.parametrize("text", [text for texts in PERSONAL.values() for text in texts])
def test_taking_out_times_and_identifiers_leaves_personal_data(text: str) -> None:
    assert re.sub(HARMLESS, "~", text) == text
