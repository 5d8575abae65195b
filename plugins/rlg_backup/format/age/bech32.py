"""Bech32 (BIP 173) without its limit on length, as the age specification uses it for keys.

Raises ValueError with a cause that never holds the text itself: it may be a secret key.
"""

from __future__ import annotations

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(CHARSET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6


def encode(prefix: str, data: bytes) -> str:
    """``data`` behind ``prefix`` (lower case, the human-readable part), all in lower case.

    >>> encode("a", b"")
    'a12uel5l'
    """
    if prefix != prefix.lower():
        raise ValueError("the prefix is not in lower case")
    _check_prefix(prefix)
    values = _regroup(data, 8, 5, pad=True)
    residue = _polymod([*_expand(prefix), *values, *([0] * _CHECKSUM_LENGTH)]) ^ 1
    checksum = [residue >> 5 * (_CHECKSUM_LENGTH - 1 - i) & 31 for i in range(_CHECKSUM_LENGTH)]
    return prefix + "1" + "".join(CHARSET[value] for value in [*values, *checksum])


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the data of a text that is all lower or all upper case."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("it mixes upper and lower case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix:
        raise ValueError("it has no prefix")
    _check_prefix(prefix)
    if len(rest) < _CHECKSUM_LENGTH:
        raise ValueError("it is too short")
    try:
        values = [_VALUES[character] for character in rest]
    except KeyError:
        raise ValueError("it has a character that Bech32 does not use") from None
    if _polymod([*_expand(prefix), *values]) != 1:
        raise ValueError("its checksum is wrong")
    return prefix, bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, pad=False))


def _check_prefix(prefix: str) -> None:
    if not prefix or any(not 33 <= ord(character) <= 126 for character in prefix):
        raise ValueError("its prefix has a character that Bech32 does not allow")


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _regroup(values: bytes | list[int], width_in: int, width_out: int, *, pad: bool) -> list[int]:
    """Groups of ``width_in`` bits as groups of ``width_out``; what is left over must be zero, and short."""
    out: list[int] = []
    pending = bits = 0
    for value in values:
        pending = pending << width_in | value
        bits += width_in
        while bits >= width_out:
            bits -= width_out
            out.append(pending >> bits)
            pending &= (1 << bits) - 1
    if pad:
        if bits:
            out.append(pending << (width_out - bits))
    elif bits >= width_in or pending:
        raise ValueError("its padding is not canonical")
    return out
