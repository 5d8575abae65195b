"""Runs the suites of one database and says PASS, FAIL or COULD-NOT-VERIFY for each check.

Rows by region are recomputed here by the suite's own SQL rather than taken from the engine: parity
already compares what the engine counted on both sides, so one wrong way of counting would agree with itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from ..core.errors import InvalidSetting
from ..core.model import Check, Verdict
from .references import ProfileRows, load_references, profile_rows
from .session import CheckBroken, Outcome, Session
from .shorthand import SQL_CHECK, Expectation
from .suites import Suite, load_suites


def run_suites(
    url: str,
    folder: Path,
    *,
    profile: Mapping[str, object] | None,
    references: Path,
    only: Sequence[str] | None = None,
) -> list[Check]:
    """Validate a scratch database with the suites of a folder; the database is not changed.

    ``url`` is SQLAlchemy's; ``profile`` the backup's (FORMAT.md section 6), less what was erased since;
    ``references`` the folder of the configuration files that suites read as tables; ``only`` names
    suites. A check has the suite as its group, and texts of counts and names. An SQL error, a missing
    table and a check over no row are COULD-NOT-VERIFY. May be repeated.

    Raises InvalidSetting for a suite, reference or URL that is wrong, and ValidationUnavailable when
    the suites, the references or the database cannot be read at all.
    """
    suites = load_suites(folder, only)
    profiled = profile_rows(profile)
    relations = [*load_references(suites, references), profiled.relation]
    with Session(url, relations, _views(suites)) as session:
        planned = [(suite, item, session.build(item, suite.name)) for suite in suites for item in suite.expectations]
        checks = [_check(session, suite, item, built, profiled) for suite, item, built in planned]
    return checks + (_uncounted(suites, profiled) if only is None else [])


def _views(suites: Sequence[Suite]) -> dict[str, str]:
    found: dict[str, str] = {}
    for suite in suites:
        for name, query in suite.views.items():
            if found.setdefault(name, query) != query:
                raise InvalidSetting("load view", name, "two suites define it differently")
    return found


def _check(session: Session, suite: Suite, item: Expectation, built: Any, profiled: ProfileRows) -> Check:
    started = perf_counter()
    try:
        if item.level and (item.table, item.level) not in profiled.levels:
            raise CheckBroken(f"there is no profile of '{item.table}' by {item.level} to compare with")
        rows = session.rows(item.table)
        outcome = session.validate(item.table, built)
        considered = _considered(session, item, outcome, rows)
    except CheckBroken as broken:
        verdict, measured = Verdict.COULD_NOT_VERIFY, str(broken)
    else:
        verdict = Verdict.PASS if outcome.success else Verdict.FAIL
        measured = _measured(item, outcome, considered)
        if verdict is Verdict.PASS and not (rows and considered):
            verdict, measured = Verdict.COULD_NOT_VERIFY, "there is nothing to look at: no row"
    return Check(suite.name, item.description, verdict, measured, _expected(item), perf_counter() - started)


def _considered(session: Session, item: Expectation, outcome: Outcome, rows: int) -> int:
    """How many rows the check is about: a column without a value gives nothing to judge."""
    if item.considers is not None:
        return session.count(item.considers)
    return rows if outcome.considered is None else outcome.considered


def _measured(item: Expectation, outcome: Outcome, considered: int) -> str:
    if outcome.unexpected is not None:
        unit = item.level or ("row" if item.type == SQL_CHECK else "value")
        return f"{_amount(outcome.unexpected, f'unexpected {unit}')}, {considered:,} looked at"
    if outcome.observed is not None:
        return f"{outcome.observed:,}"
    return f"{'as' if outcome.success else 'not as'} expected, {_amount(considered, 'row')} looked at"


def _amount(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith(("city", "country")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _expected(item: Expectation) -> str:
    if item.level:
        return f"no {item.level} with another number of rows"
    if item.type == SQL_CHECK:
        return "no unexpected row"
    mostly = item.kwargs.get("mostly")
    if isinstance(mostly, float) and mostly < 1:
        return f"at least {mostly:.2%} as expected"
    return item.type.removeprefix("expect_").replace("_", " ")


def _uncounted(suites: Sequence[Suite], profiled: ProfileRows) -> list[Check]:
    """A table that the profile counts by geography and no suite does: said, not passed over."""
    counted = {table for suite in suites for table in suite.counted}
    if not counted:
        return []
    group = next(suite.name for suite in suites if suite.counted)
    name, expected = "every table with geography is counted", "a suite counts each"
    if not profiled.tables:
        return [Check(group, name, Verdict.COULD_NOT_VERIFY, "the profile names no table with geography", expected)]
    if left := sorted(profiled.tables - counted):
        measured = f"no suite counts: {', '.join(left)}"
        return [Check(group, name, Verdict.COULD_NOT_VERIFY, measured, expected)]
    return [Check(group, name, Verdict.PASS, f"{_amount(len(profiled.tables), 'table')}, all counted", expected)]
