"""Tokens of many values at once are those that the library's AES-SIV makes one by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.anonymize.columns import KEY

from rlg_backup.anonymize.siv import Siv, by_length
from rlg_backup.anonymize.tokens import OVERHEAD, TokenDamaged, TokenKey

SECRET, ASSOCIATED = bytes(range(64)), b"associated"
TOKENS = TokenKey(KEY)


def sealed(values: list[bytes], offset: int = 0) -> list[bytes]:
    """By our own, of values that may lie in the middle of an array."""
    siv = Siv(SECRET, ASSOCIATED)

    def change(given: list, taken: list) -> None:  # type: ignore[type-arg]
        for (vectors, texts), out in zip(siv.seal(given), taken, strict=True):
            out[:, :16], out[:, 16:] = vectors, texts

    array = pa.array([b"before"] * offset + values, pa.binary()).slice(offset)
    return list(by_length(array, 16, change).to_pylist())


@pytest.mark.parametrize("rows", [1, 11, 500], ids=["one", "few", "many"])
@pytest.mark.parametrize("first", [1, 13, 29, 250])
def test_values_of_any_length_are_sealed_as_the_library_seals_them(rows: int, first: int) -> None:
    values = [(b"%d-" % number * 300)[: first + number % 8] for number in range(rows)]
    library = AESSIV(SECRET)
    assert sealed(values, offset=3) == [library.encrypt(value, [ASSOCIATED]) for value in values]


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=40), st.integers(1, 40))
def test_tokens_come_back_in_order(values: list[bytes], repeated: int) -> None:
    given = pa.array(values * repeated, pa.binary())
    assert TOKENS.plaintexts(TOKENS.tokens(given)).equals(given)


@pytest.mark.parametrize("size", [0, 5, OVERHEAD - 2, OVERHEAD - 1])
def test_what_is_too_short_for_a_token_among_many_is_found(size: int) -> None:
    tokens = TOKENS.tokens(pa.array([b"t%05d" % n for n in range(500)])).to_pylist()
    with pytest.raises(TokenDamaged):
        TOKENS.plaintexts(pa.array([*tokens, tokens[0][:size]], pa.binary()))


@pytest.mark.parametrize("rows", [3, 3_000], ids=["few", "many"])
@pytest.mark.parametrize("place", [OVERHEAD - 16, OVERHEAD - 1, OVERHEAD, -1])
def test_one_changed_bit_of_one_token_among_many_is_found(rows: int, place: int) -> None:
    tokens = [bytearray(token) for token in TOKENS.tokens(pa.array([b"t%05d" % n for n in range(rows)])).to_pylist()]
    tokens[rows // 2][place] ^= 4
    with pytest.raises(TokenDamaged):
        TOKENS.plaintexts(pa.array(map(bytes, tokens), pa.binary()))
