"""Bech32: BIP 173's own valid and invalid strings, and that every single slip is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.format.age import bech32

prefixes = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).map(str.lower)

VALID = [
    "A12UEL5L",
    "a12uel5l",
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    "?1ezyfcl",
    "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
]
INVALID = {
    "it mixes upper and lower case": "A12uEL5L",
    "it has no prefix": "pzry9x0s0muk",
    "it is too short": "li1dgmt3",
    "it has a character that Bech32 does not use": "x1b4n0q5v",
    "its checksum is wrong": "a12uel5m",
    "its prefix has a character that Bech32 does not allow": "\x201nwldj5",
}


@pytest.mark.parametrize("text", VALID)
def test_decodes_what_bip_173_calls_valid(text: str) -> None:
    prefix, data = bech32.decode(text)
    assert bech32.encode(prefix, data) == text.lower()


@pytest.mark.parametrize(("cause", "text"), INVALID.items())
def test_names_the_fault_of_a_text_without_showing_it(cause: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        bech32.decode(text)
    assert str(caught.value) == cause


def test_refuses_padding_that_is_not_zero_or_too_long() -> None:
    values = [31] * 2  # ten bits: one byte and two bits that are not zero
    text = _with_checksum("a", values)
    with pytest.raises(ValueError, match=r"^its padding is not canonical$"):
        bech32.decode(text)
    with pytest.raises(ValueError, match=r"^its padding is not canonical$"):
        bech32.decode(_with_checksum("a", [0]))  # five bits of padding: a whole group too many


def test_refuses_to_encode_a_prefix_it_would_not_decode() -> None:
    for prefix, cause in {
        "": "its prefix has a character that Bech32 does not allow",
        "A": "the prefix is not in lower case",
    }.items():
        with pytest.raises(ValueError) as caught:
            bech32.encode(prefix, b"x")
        assert str(caught.value) == cause


@given(prefixes, st.binary(max_size=1300))
@settings(max_examples=40)
def test_what_is_encoded_decodes_in_either_case_whatever_its_length(prefix: str, data: bytes) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.upper()) == (prefix, data)


def test_notices_every_single_wrong_character() -> None:
    text = bech32.encode("age", bytes(range(32)))
    for at in range(len("age1"), len(text)):
        for character in bech32.CHARSET:
            if character != text[at]:
                with pytest.raises(ValueError, match=r"^its checksum is wrong$"):
                    bech32.decode(text[:at] + character + text[at + 1 :])


def _with_checksum(prefix: str, values: list[int]) -> str:
    residue = bech32._polymod([*bech32._expand(prefix), *values, *([0] * 6)]) ^ 1
    tail = [residue >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(bech32.CHARSET[value] for value in [*values, *tail])
