"""Pseudonyms in the shape of an e-mail address or a phone number that is nobody's (docs/FORMAT.md, section 7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from .values import as_text

# ITU E.164: the country codes of one and of two digits; all others have three.
_PREFIX: Final = re.compile(r"\s*(?:\+|00)(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9]\d\d)")


def email(digest: bytes, plaintext: bytes) -> str:
    """An address in a domain that is nobody's for ever (RFC 2606)."""
    return f"u{digest.hex()[:20]}@example.invalid"


def phone(digest: bytes, plaintext: bytes) -> str:
    """A number of the same country, where the value tells its country: no subscriber's begins with 00."""
    digits = int.from_bytes(digest[:16], "big") % 10**10
    country = _PREFIX.match(as_text(plaintext) or "")
    return f"{'+' + country[1] if country else '0'}00{digits:010d}"


SHAPES: Final[dict[str, Callable[[bytes, bytes], str]]] = {"email": email, "phone": phone}
LONGEST: Final = {"email": 37, "phone": 16}
