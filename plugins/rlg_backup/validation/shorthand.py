"""What a check is, and the two shorthands of a suite file that stand for SQL checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.model import LEVELS
from .document import Place

SQL_CHECK = "unexpected_rows_expectation"
PROFILE_ROWS = "rlg_profile_rows"  # the temporary table that ``references.profile_rows`` describes
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True)
class Expectation:
    """One check of one table. ``level`` is set when it needs that level of the table's profile."""

    table: str
    type: str
    kwargs: Mapping[str, object]
    description: str
    considers: str | None = None
    level: str | None = None


def resolving(place: Place, item: object) -> list[Expectation]:
    """``resolves``: one check for each reference of a column to another table's key."""
    found = []
    for origin, goal in place.mapping({} if item is None else item, "resolves").items():
        (table, column), (other, key) = (_column(place, text, f"resolves.{origin}") for text in (origin, goal))
        query = (
            f'SELECT 1 AS found FROM "{table}" AS a LEFT JOIN "{other}" AS b ON b."{key}" = a."{column}" '  # noqa: S608
            f'WHERE a."{column}" IS NOT NULL AND b."{key}" IS NULL'
        )
        considers = f'SELECT COUNT(*) FROM "{table}" WHERE "{column}" IS NOT NULL'  # noqa: S608  # identifiers, checked
        kwargs = {"unexpected_rows_query": query}
        found.append(Expectation(table, SQL_CHECK, kwargs, f"every {origin} is a known {goal}", considers))
    return found


def _column(place: Place, text: object, where: str) -> tuple[str, str]:
    parts = text.split(".") if isinstance(text, str) else []
    if len(parts) != 2 or not all(IDENTIFIER.fullmatch(part) for part in parts):
        raise place.invalid(where, "write 'table.column: table.column'")
    return parts[0], parts[1]


def counting(place: Place, item: object) -> tuple[list[Expectation], tuple[str, ...]]:
    """``rows_by``: one check for each table and level, and the tables."""
    if item is None:
        return [], ()
    raw = place.mapping(item, "rows_by", ("levels", "tables"))
    levels = [str(level) for level in place.sequence(raw.get("levels"), "rows_by.levels")]
    if not set(levels) <= set(LEVELS):
        raise place.invalid("rows_by.levels", f"the levels are: {', '.join(LEVELS)}")
    tables = place.mapping(raw.get("tables"), "rows_by.tables")
    found = []
    for table in tables:
        if not IDENTIFIER.fullmatch(table):
            raise place.invalid(f"rows_by.tables.{table}", "a table has a plain name here")
        select = place.text(tables, table, "rows_by.tables")
        found += [_counted(table, level, select) for level in levels]
    return found, tuple(tables)


def _counted(table: str, level: str, select: str) -> Expectation:
    """Restored rows count up, those of the profile down: what does not end at zero is a difference."""
    profiled = f"FROM {PROFILE_ROWS} WHERE table_name = '{table}' AND level = '{level}'"
    query = (
        "SELECT code FROM ("  # noqa: S608  # the suite's own SQL and checked identifiers
        f"SELECT COALESCE(CAST(q.{level} AS TEXT), '') AS code, COUNT(*) AS n FROM ({select}) AS q GROUP BY 1 "
        f"UNION ALL SELECT code, -row_count AS n {profiled}) AS d GROUP BY code HAVING SUM(n) <> 0"
    )
    considers = f"SELECT COUNT(*) {profiled} AND row_count > 0"
    description = f"{table}: rows by {level} equal those of the profile"
    return Expectation(table, SQL_CHECK, {"unexpected_rows_query": query}, description, considers, level)
