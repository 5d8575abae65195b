"""How long something is kept: months are those of the calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rlg_backup.core.span import Span


def day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment", "before", "after"),
    [
        ("3 months", day(2026, 5, 31), day(2026, 2, 28), day(2026, 8, 31)),
        ("1 month", day(2024, 3, 31), day(2024, 2, 29), day(2024, 4, 30)),
        ("1 year", day(2024, 2, 29), day(2023, 2, 28), day(2025, 2, 28)),
        ("13 months", day(2026, 1, 15), day(2024, 12, 15), day(2027, 2, 15)),
        ("2 weeks", day(2026, 3, 10), day(2026, 2, 24), day(2026, 3, 24)),
        ("0 days", day(2026, 3, 10), day(2026, 3, 10), day(2026, 3, 10)),
    ],
)
def test_a_span_is_counted_in_the_calendar(text: str, moment: datetime, before: datetime, after: datetime) -> None:
    assert (Span.parse(text).before(moment), Span.parse(text).after(moment)) == (before, after)


@pytest.mark.parametrize("text", ["forever", "99999 years", "99999 months"])
def test_what_no_calendar_reaches_is_its_beginning_and_its_end(text: str) -> None:
    span, moment = Span.parse(text), day(2026, 3, 10)
    assert (span.before(moment), span.after(moment)) == (
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("1 month", "1 month"), ("12 months", "1 year"), ("2 weeks", "14 days"), ("1 day", "1 day"), ("forever",) * 2],
)
def test_a_span_is_said_as_people_say_it(text: str, shown: str) -> None:
    assert str(Span.parse(text)) == shown
    assert Span.parse(shown) == Span.parse(text)


@pytest.mark.parametrize("text", ["", "3", "3months", "-1 days", "1.5 months", "3 parsecs", "３ days", "3 months "])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is not a time such as '3 months', '10 days', '7 years' or 'forever'$"):
        Span.parse(text)
