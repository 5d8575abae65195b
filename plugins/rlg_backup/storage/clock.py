"""How far a target's clock is from ours, as its answers tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def skew(date: str | None, begun: datetime, ended: datetime) -> timedelta | None:
    """The target's clock less ours, from the Date header of an answer to a request begun and ended at those times.

    0 where both may be the same: the header tells whole seconds only. None without a header that is a date.

    >>> at = datetime(2026, 1, 1, 0, 0, 5, 900_000, tzinfo=UTC)
    >>> skew("Thu, 01 Jan 2026 00:00:05 GMT", at, at), skew("Thu, 01 Jan 2026 00:01:05 GMT", at, at)
    (datetime.timedelta(0), datetime.timedelta(seconds=59))
    """
    try:
        told = parsedate_to_datetime(date or "").astimezone(UTC)
    except ValueError:
        return None
    least, most = told - ended, told + timedelta(seconds=1) - begun
    if least <= timedelta(0) <= most:
        return timedelta(0)
    return timedelta(seconds=round(min(least, most, key=abs).total_seconds()))
