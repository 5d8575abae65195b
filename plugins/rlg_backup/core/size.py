"""How much is stored, as people say it: ``500 GB`` are 500,000,000,000 bytes, ``500 GiB`` 536,870,912,000."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)},
}
_TEXT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([kKMGTP]i?B)")


def parse_size(text: str) -> int:
    """Bytes; raises ValueError for what is not written so."""
    match = _TEXT.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise ValueError("it is not a size such as '500 GB', '1.5 TB' or '750 GiB'")
    return int(float(match[1]) * _UNITS[match[2]])


def shown_size(size: int) -> str:
    """Bytes in the largest unit of kB to PB that they fill, with three figures: ``1.5 TB``."""
    power = next((power for power in range(1, 5) if size < 999.5 * 1000**power), 5)
    return f"{size / 1000**power:.3g} {'kMGTP'[power - 1]}B"
