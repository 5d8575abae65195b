"""The times of locks, as every driver counts them: UTC, whole seconds, rounded up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rlg_backup.core.errors import InvalidSetting

FOR_EVER = datetime.max.replace(microsecond=0, tzinfo=UTC)  # also the time of a hold, which has none


def lock_time(verb: str, key: str, until: datetime | None, now: datetime | None = None) -> datetime | None:
    """The time a lock is to hold until; None if there is none or it has passed. InvalidSetting without a zone."""
    if until is None:
        return None
    if until.utcoffset() is None:
        raise InvalidSetting(verb, key, "the time of a lock has no zone")
    whole = until.astimezone(UTC).replace(microsecond=0)
    if until.microsecond and whole < FOR_EVER:
        whole += timedelta(seconds=1)
    return still_locked(whole, now)


def still_locked(until: datetime | None, now: datetime | None = None) -> datetime | None:
    """The time a target keeps of a lock; None once it has passed (``now``: not this machine's clock's)."""
    return until if until is not None and until > (now or datetime.now(UTC)) else None
