"""Telephone numbers as each country writes them: by phonenumbers, loaded when asked."""

from __future__ import annotations

import re
from typing import Final

# A trunk prefix or an area in brackets, then groups: what ``shapes`` does not take for a number by itself.
_NATIONAL: Final = re.compile(r"\(?0\d{0,4}\)?(?:[ .\-/]\d{2,5}){1,5}|\(\d{2,5}\) ?\d{3,5}[ \-]\d{3,5}")
_LONGEST: Final = 20


def is_national_phone(text: str) -> bool:
    """Whether a cell holds one valid number, and nothing else, grouped just as some country groups it.

    Numbers in international form, and those with a country's separators alone, are found by their shape.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberFormat

    text = text.strip()
    if len(text) > _LONGEST or not _NATIONAL.fullmatch(text):
        return False
    wanted = _groups(text)
    for region in phonenumbers.SUPPORTED_REGIONS:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        grouped = _groups(phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)) == wanted
        if grouped and phonenumbers.is_valid_number_for_region(number, region):
            return True
    return False


def _groups(text: str) -> list[str]:
    return re.findall(r"\d+", text)
