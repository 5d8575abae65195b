"""How long something is kept, as people say it: ``3 months`` are calendar months, not 90 days."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_TEXT = re.compile(r"([0-9]{1,5}) (day|week|month|year)s?")
_FOREVER = "forever"


@dataclass(frozen=True)
class Span:
    """Calendar months, or days; both 0 is no time, ``endless`` is for ever."""

    months: int = 0
    days: int = 0
    endless: bool = False

    @classmethod
    def parse(cls, text: str) -> Span:
        """``90 days``, ``2 weeks``, ``3 months``, ``7 years`` or ``forever``; raises ValueError for any other text."""
        if text == _FOREVER:
            return cls(endless=True)
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"it is not a time such as '3 months', '10 days', '7 years' or '{_FOREVER}'")
        count = int(match[1])
        if match[2] in ("month", "year"):
            return cls(months=count * (12 if match[2] == "year" else 1))
        return cls(days=count * (7 if match[2] == "week" else 1))

    def before(self, moment: datetime) -> datetime:
        """That long before an aware time; a day that the month has not is its last. Where no calendar reaches, its
        beginning."""
        try:
            return _shifted(moment, -self.months) - timedelta(days=self.days) if not self.endless else _FIRST
        except (OverflowError, ValueError):
            return _FIRST

    def after(self, moment: datetime) -> datetime:
        """That long after an aware time; where no calendar reaches, its end."""
        try:
            return _shifted(moment, self.months) + timedelta(days=self.days) if not self.endless else _LAST
        except (OverflowError, ValueError):
            return _LAST

    def __str__(self) -> str:
        if self.endless:
            return _FOREVER
        count, unit = (self.months, "month") if self.months else (self.days, "day")
        if unit == "month" and count % 12 == 0:
            count, unit = count // 12, "year"
        return f"{count} {unit}{'' if count == 1 else 's'}"


_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def _shifted(moment: datetime, months: int) -> datetime:
    if not months:
        return moment
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
