"""The policy that leaves a value that many share, of the same type and never longer, so that its column takes it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation, localcontext
from ipaddress import ip_network
from typing import ClassVar, Final

import pyarrow as pa

from .actions import ALL, TEXTS, Subject, changed_column
from .values import on_text

_MOMENT: Final = re.compile(
    r"(?P<year>\d{4,7})-(?P<month>\d\d)-\d\d"
    r"(?:(?P<between>[ T])\d\d:\d\d(?P<seconds>:\d\d(?:\.\d+)?)?(?P<zone>Z|[+-]\d\d(?::?\d\d){0,2})?)?(?P<era> BC)?"
)
_ENDLESS: Final = ("infinity", "-infinity")  # PostgreSQL's: no date of anybody's
_EARLIEST: Final = ("4714", "11-24")  # year BC and day of PostgreSQL's first date
_NETWORKS: Final = {4: 24, 6: 48}
_LENGTH: Final = re.compile(r"(?:/[0-9]{1,3})?")  # of a prefix; what else stands behind a slash is anybody's


@dataclass(frozen=True)
class Generalize:
    """Values to their year, month, network, or bucket; the keys of places to one for their whole city or country, which
    ``places`` (plaintext > plaintext) tells."""

    to: str | None = None
    bucket: int | None = None
    places: Mapping[bytes, bytes] = field(default_factory=dict, compare=False, repr=False)

    name: ClassVar[str] = "generalize"
    reversible: ClassVar[bool] = False
    keyed: ClassVar[bool] = False
    longest: ClassVar[int | None] = None

    @property
    def takes(self) -> frozenset[str]:
        kinds = {"year": TEXTS | {"date"}, "month": TEXTS | {"date"}, "network": TEXTS | {"ip"}}
        return frozenset(("any", "number")) if self.to is None else kinds.get(self.to, ALL - {"boolean"})

    @property
    def of_places(self) -> bool:
        """Whether it leaves a place of the same country."""
        return self.to in ("city", "country")

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        """What cannot be read goes: NULL, or the empty text where the column allows no NULL."""
        return changed_column(subject, values, self._change())

    def personal(self, subject: Subject, values: pa.Array) -> pa.Array | None:
        """None: the first day of a year is a date as any other."""
        return None

    def _change(self) -> Callable[[bytes], bytes | None]:
        if self.bucket is not None:
            return to_bucket(self.bucket)
        texts = {"year": to_year, "month": to_month, "network": to_network}
        return on_text(texts[self.to]) if self.to in texts else self.places.get


def to_year(text: str) -> str | None:
    """The first day, or moment, of the year; None for what is no date."""
    return _first_moment(text, "01")


def to_month(text: str) -> str | None:
    """The first day, or moment, of the month; None for what is no date."""
    return _first_moment(text, None)


def to_network(text: str) -> str | None:
    """The first address of the /24 (IPv4) or /48 (IPv6); a prefix length stays. None for what is no address."""
    address, slash, behind = text.partition("/")
    if _LENGTH.fullmatch(slash + behind) is None:
        return None
    try:
        bits = _NETWORKS[ip_network(address).version]
        return f"{ip_network((address, bits), strict=False).network_address}{slash}{behind}"
    except ValueError:
        return None


def to_bucket(size: int) -> Callable[[bytes], bytes | None]:
    """Numbers (plaintexts) to the multiple of ``size`` nearest to them towards zero: no column is too narrow for it."""

    def of(plaintext: bytes) -> bytes | None:
        kind, value = plaintext[:1], plaintext[1:]
        if kind == b"i":
            (number,) = struct.unpack(">q", value)
            return struct.pack(">cq", b"i", abs(number) // size * size * (-1 if number < 0 else 1))
        if kind == b"r":
            (real,) = struct.unpack(">d", value)
            return struct.pack(">cd", b"r", real - math.fmod(real, size)) if math.isfinite(real) else plaintext
        return _decimal_bucket(value, size) if kind == b"t" else None

    return of


def _first_moment(text: str, month: str | None) -> str | None:
    if text in _ENDLESS:
        return text
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    time = ""
    if found["between"]:
        time = f"{found['between']}00:00{':00' if found['seconds'] else ''}{found['zone'] or ''}"
    day = f"{month or found['month']}-01"
    if found["era"] and found["year"] == _EARLIEST[0]:
        day = max(day, _EARLIEST[1])
    return f"{found['year']}-{day}{time}{found['era'] or ''}"


def _decimal_bucket(text: bytes, size: int) -> bytes | None:
    """A decimal in text, with as many digits behind the point as it had."""
    try:
        number = Decimal(text.decode())
        if number.is_nan():
            return b"tNaN"  # digits may stand behind it
        if number.is_infinite():
            return b"t" + text
        with localcontext(prec=len(text) + 25):
            return b"t" + f"{number // size * size + 0:f}".encode() + _fraction(text)
    except (InvalidOperation, UnicodeDecodeError):
        return None


def _fraction(text: bytes) -> bytes:
    behind = text.partition(b".")[2]
    return b"." + b"0" * len(behind) if behind else b""
