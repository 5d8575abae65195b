"""Personal data told by its shape alone: e-mail addresses, phone numbers, IP addresses, payment cards, bank accounts.

Every pattern is bounded, so that no text makes it slow. The shapes are chosen not to take dates, times,
identifiers and decimals for phone numbers: a number needs a +, separators, or a leading 0 and nothing else.
"""

from __future__ import annotations

import ipaddress
import re

from .national_numbers import is_iban

EMAIL, PHONE, IP, CARD, IBAN = "email", "phone", "ip", "card", "iban"
CARD_SHAPED = "card-shaped"  # the digits of a card, whether or not they pass Luhn's check

# For engines of linear time, without look-around: what every text with one of the shapes matches, and times and
# UUIDs, which are better taken out before (they are full of digits and the text of every log).
CANDIDATE = "|".join(
    (
        r"@",
        r"\+[1-9][\d ().\-]{7}|\b00[1-9]\d{0,2}[ .\-]|\b0[1-9]\d{0,3}\)?[ \-]{1,2}\d{3}|\b0[1-9]\d{8}",
        r"\b\d{3}\)?[ .\-]\d{3}[ .\-]\d{4}",
        r"\d\.\d{1,3}\.\d{1,3}\.\d|::|(?:[0-9A-Fa-f]{1,4}:){7}",
        r"\b\d{13}|\b\d{4}[ -]\d{4,6}[ -]\d",
        r"\b[A-Z]{2}\d\d ?[A-Z0-9]{4}",
    )
)
HARMLESS = (
    r"\b[12]\d{3}-[01]\d-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?\b"
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
)

# Begins with the one character that is not in every text, so that nothing else is looked at.
_EMAIL = re.compile(r"@(?<=[\w.!#$%&'*+/=?^`{|}~-]@)(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2}")
_LOCAL, _REST = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+$"), re.compile(r"(?:[\w-]|\.(?=\w))*")  # the rest of an address
_NUMBER = re.compile(r"\d(?:[ ().\-]{0,3}\d){7}")  # in every text with a phone number or a payment card
_BEFORE, _AFTER = r"(?<![\w.+/-])", r"(?:[ ]?x\d{1,5})?(?!\w|[.-]\d)"
_PHONES = tuple(
    re.compile(_BEFORE + shape + _AFTER)
    for shape in (
        r"\+[1-9](?:[ ().\-]{0,2}\d){7,14}",  # E.164, with or without separators
        r"00[1-9]\d{0,2}[ .\-](?:[ ().\-]{0,2}\d){6,12}",
        r"(?<!\d[ \-])\(?0[1-9]\d{0,3}\)?[ \-]{1,2}\d{3,4}[ \-]?\d{3,4}",
        r"(?<!\d[ \-])(?:1[ .\-])?\(?[2-9]\d{2}\)?[ .\-][2-9]\d{2}[ .\-]\d{4}",
    )
)
_PHONE_ALONE = re.compile(r"\s*0[1-9]\d{8,9}\s*")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_CARD = re.compile(
    r"(?<![\w.+-])(?:\d{4}([ -])(?:\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{6}\1\d{5})|\d{13,19})(?!\w|[.-]\d)"
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?!\w)")
# Issuers' ranges with their lengths: Visa, Mastercard, American Express, Discover, JCB, UnionPay.
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)


def kinds_in(text: str) -> frozenset[str]:
    """The kinds of personal data that a text seems to hold."""
    kinds = set()
    if "@" in text and _EMAIL.search(text):
        kinds.add(EMAIL)
    if _NUMBER.search(text):
        for found in _CARD.finditer(text):
            digits = re.sub(r"[ -]", "", found[0])
            if _ISSUED.fullmatch(digits):
                kinds.update({CARD_SHAPED, CARD} if _luhn(digits) else {CARD_SHAPED})
        if any(is_iban(found[0]) for found in _IBAN.finditer(text)):
            kinds.add(IBAN)
        if _PHONE_ALONE.fullmatch(text) or any(phone.search(text) for phone in _PHONES):
            kinds.add(PHONE)
    if any(_address(found[0]) for shape in (_IPV4, _IPV6) for found in shape.finditer(text)):
        kinds.add(IP)
    return frozenset(kinds)


def places_in(text: str) -> list[tuple[int, int]]:
    """Where in a text (start, end) personal data seems to stand, in order and apart; two that overlap are one."""
    found = [_whole_email(text, match.start(), match.end()) for match in (_EMAIL.finditer(text) if "@" in text else ())]
    if _NUMBER.search(text):
        shapes = (_CARD, *_PHONES)
        found += [match.span() for shape in shapes for match in shape.finditer(text)]
        found += [match.span() for match in (_PHONE_ALONE.fullmatch(text),) if match]
        found += [match.span() for match in _IBAN.finditer(text) if is_iban(match[0])]
    found += [one.span() for shape in (_IPV4, _IPV6) for one in shape.finditer(text) if _address(one[0])]
    apart: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((start, end))
    return apart


def _whole_email(text: str, at: int, end: int) -> tuple[int, int]:
    """The address around an ``@``, of which the shape alone needs less."""
    local, rest = _LOCAL.search(text, max(0, at - 64), at), _REST.match(text, end)
    assert local is not None and rest is not None  # the shape has one character of the one, and the other may be empty
    return local.start(), rest.end()


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _address(text: str) -> bool:
    """Whether it is an address that can be somebody's; ``a::b`` of program text, 0.x and loopback are not."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and not any(digit in text for digit in "0123456789"):
        return False
    nobodys = address.is_loopback or address.is_unspecified or address.is_multicast
    return not nobodys and not (address.version == 4 and address.packed[0] == 0)
