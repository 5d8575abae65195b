"""What of a PostgreSQL database a backup cannot hold, or a restore could not give back: said when it is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .catalog import SourceTable, quoted

if TYPE_CHECKING:
    import psycopg

_SUBSCRIPTIONS: Final = """
SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()
"""
_HIDDEN_MAPPINGS: Final = """
SELECT count(*) FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid
WHERE m.umoptions IS NULL AND m.usename <> current_user AND NOT (m.umuser = 0 AND pg_has_role(s.srvowner, 'USAGE'))
"""
_SUPERUSER: Final = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"

_ALONE_NOT_NULL: Final = """
SELECT s.nspname, c.relname, a.attname
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND NOT c.relispartition JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE a.attnotnull AND NOT a.attislocal AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (
    SELECT FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
    WHERE i.inhrelid = c.oid AND p.attnotnull)
ORDER BY c.oid, a.attnum
"""
"""Inherited columns that take no NULL where those they are inherited from do. From version 18 on pg_dump writes that
as a constraint of the table (``NOT NULL a``), which servers before 18 do not read."""
_NAMED_NOT_NULL: Final = 180_000

_NAMING: Final = """
WITH RECURSIVE holds (holder, held, how) AS (
    SELECT oid, typbasetype, 'domain' FROM pg_type WHERE typtype = 'd'
    UNION ALL SELECT typarray, oid, 'array' FROM pg_type WHERE typarray <> 0
    UNION ALL SELECT rngtypid, rngsubtype, 'range' FROM pg_range
    UNION ALL SELECT rngmultitypid, rngtypid, 'range' FROM pg_range
    UNION ALL SELECT c.reltype, a.atttypid, 'composite' FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
              WHERE c.reltype <> 0 AND a.attnum > 0 AND NOT a.attisdropped
), naming (type, name, form) AS (
    SELECT oid, oid, 'value' FROM pg_type WHERE oid = ANY (ARRAY['regclass', 'regproc', 'regoper']::regtype[])
    UNION SELECT h.holder, n.name, CASE WHEN h.how = 'domain' THEN n.form
                                        WHEN h.how = 'array' AND n.form = 'value' THEN 'array' ELSE 'within' END
    FROM naming n JOIN holds h ON h.held = n.type
)
SELECT s.nspname, c.relname, a.attname, n.name::regtype::text, n.form
FROM pg_attribute a JOIN naming n ON n.type = a.atttypid
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE c.relkind = 'r' AND a.attnum > 0 AND a.attgenerated = '' ORDER BY c.oid, a.attnum, 4
"""
"""The columns whose values name objects, by themselves or within others; domains are what they are of."""
_VALUES: Final = {"value": "ARRAY[CAST({} AS {})]", "array": "CAST({} AS {}[])"}
_UNLOADABLE: Final = {
    "regclass": "pg_class o WHERE o.relkind IN ('i', 'I', 't')",
    "regproc": "pg_proc o JOIN pg_proc p USING (pronamespace, proname) WHERE p.oid <> o.oid",
    "regoper": "pg_operator o JOIN pg_operator p USING (oprnamespace, oprname) WHERE p.oid <> o.oid",
}
_WORDS: Final = {
    "regclass": "an index or a TOAST table, which a restore does not have when it loads rows",
    "regproc": "a function whose name others share, and no text of theirs says which",
    "regoper": "an operator whose name others share, and no text of theirs says which",
}


def caveats(connection: psycopg.Connection[Any], tables: Sequence[SourceTable], dumped_by: int | None) -> Iterator[str]:
    """One warning for each. ``dumped_by``: of which version the pg_dump was, as server_version_num; None without
    definitions. Raises psycopg.Error."""
    if not _one(connection, _SUPERUSER):
        yield from _hidden(connection)
    found = {(one.table.schema, one.table.name): one for one in tables}
    version = connection.info.server_version
    if dumped_by is not None and version < _NAMED_NOT_NULL <= dumped_by:
        yield from _beyond(connection, found, version // 10_000, dumped_by // 10_000)
    for schema, name, column, kind, form in connection.execute(_NAMING).fetchall():
        if (table := found.get((schema, name))) is None:
            continue
        about = f"table '{table.table.title}': the column '{column}' has values"
        if form == "within":
            yield f"{about} in which a {kind} may name {_WORDS[kind]}: those could not be loaded"
        elif _unloadable(connection, table, column, kind, form):
            yield f"{about} that name {_WORDS[kind]}: they could not be loaded"


def _hidden(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """pg_dump leaves out what only a superuser may see, in silence or nearly so."""
    if number := _one(connection, _SUBSCRIPTIONS):
        yield f"{number} subscriptions are left out: only a superuser may read them"
    if number := _one(connection, _HIDDEN_MAPPINGS):
        yield f"the options of {number} user mappings are left out: only a superuser may read them"


def _beyond(
    connection: psycopg.Connection[Any], tables: Mapping[tuple[str, str], SourceTable], major: int, dumped_by: int
) -> Iterator[str]:
    """What a newer pg_dump writes so that no server of the source's own version reads it."""
    for schema, name, column in connection.execute(_ALONE_NOT_NULL).fetchall():
        if (table := tables.get((schema, name))) is not None:
            written = (
                f"the inherited column '{column}' takes no NULL, which pg_dump {dumped_by} writes as no server before"
            )
            instead = f"back up with the client programs of version {major}, else only a server 18 or later restores it"
            yield f"table '{table.table.title}': {written} 18 reads: {instead}"


def _unloadable(connection: psycopg.Connection[Any], table: SourceTable, column: str, kind: str, form: str) -> bool:
    values = _VALUES[form].format(f'"row".{quoted(column)}', kind)
    place = f'{table.relation} AS "row", unnest({values}) AS one'
    found = f"SELECT FROM {place} WHERE one IN (SELECT o.oid FROM {_UNLOADABLE[kind]})"  # noqa: S608  # quoted names
    return bool(_one(connection, f"SELECT EXISTS ({found})"))


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    return connection.execute(query.encode()).fetchall()[0][0]
