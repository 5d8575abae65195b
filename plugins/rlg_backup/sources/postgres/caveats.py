"""What of a PostgreSQL database a backup cannot hold, or a restore could not give back: said when it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def caveats(connection: psycopg.Connection[Any], tables: Sequence[SourceTable]) -> Iterator[str]:
    """One warning for each. Raises psycopg.Error."""
    if not _one(connection, _SUPERUSER):
        yield from _hidden(connection)
    for table in tables:
        for column in table.table.columns:
            if column.declared_type == "regclass" and _names_an_index(connection, table, column.name):
                cause = "has values that name an index, which a restore makes after the rows: it could not load them"
                yield f"table '{table.table.title}': the column '{column.name}' {cause}"


def _hidden(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """pg_dump leaves out what only a superuser may see, in silence or nearly so."""
    if number := _one(connection, _SUBSCRIPTIONS):
        yield f"{number} subscriptions are left out: only a superuser may read them"
    if number := _one(connection, _HIDDEN_MAPPINGS):
        yield f"the options of {number} user mappings are left out: only a superuser may read them"


def _names_an_index(connection: psycopg.Connection[Any], table: SourceTable, column: str) -> bool:
    names = f'SELECT FROM {table.relation} AS "row" JOIN pg_class i ON i.oid = "row".{quoted(column)}'
    return bool(_one(connection, f"SELECT EXISTS ({names} WHERE i.relkind IN ('i', 'I'))"))


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    return connection.execute(query.encode()).fetchall()[0][0]
