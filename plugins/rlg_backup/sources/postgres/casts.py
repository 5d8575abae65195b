"""Geography compares columns and reads them as text: a cast that is a user's function would run as who backs up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import InvalidSetting
from ..geography import Geography
from .catalog import Relation

if TYPE_CHECKING:
    import psycopg

_CAST: Final = """
WITH RECURSIVE base (oid, type) AS (
    SELECT oid, oid FROM pg_catalog.pg_type
    UNION ALL
    SELECT b.oid, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT DISTINCT a.attrelid, a.attname
FROM pg_catalog.pg_attribute a
JOIN base b ON b.oid = a.atttypid
JOIN pg_catalog.pg_cast c ON c.castsource = b.type
JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')
"""
"""Columns whose type, or the one it is a domain of, has a cast by a function that is neither the system's (OIDs below
16384) nor a compiled one, an extension's or the server's own by another name, which only a superuser makes."""


def require_no_casts(connection: psycopg.Connection[Any], geography: Geography, found: Sequence[Relation]) -> None:
    """Raises InvalidSetting for the first column of ``geography`` with such a cast, and psycopg.Error."""
    titles = {relation.oid: relation.title for relation in found}
    cast = {(titles[oid], name) for oid, name in connection.execute(_CAST, [list(titles)])}
    for setting, table, names in geography.named():
        for name in names:
            if (table, name) in cast:
                cause = f"a function of a user casts the type of '{table}.{name}': it would run as who backs up"
                raise InvalidSetting("use", f"geography.{setting}", cause, "name a column of another type")
