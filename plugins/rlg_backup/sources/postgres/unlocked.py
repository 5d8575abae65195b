"""What neither a lock nor a snapshot holds still: the names of schemas, and of the values of enumerations, and what
composite types are made of.

A reader finds a table by its schema's name, and writes a value's label or its attributes, as these are at that moment:
after two schemas have changed names, rows would be those of another table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...core.errors import SourceChanged

if TYPE_CHECKING:
    import psycopg

    from .address import Address

_NAMES: Final = """
SELECT 'schema', oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'
UNION ALL SELECT 'value', oid, enumlabel FROM pg_catalog.pg_enum
UNION ALL SELECT 'composite', c.oid, string_agg(concat_ws(':', attnum, atttypid, attisdropped), ',' ORDER BY attnum)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.relkind = 'c' GROUP BY c.oid
"""
_CHANGED: Final = {
    "schema": "the schema '{}' was renamed",
    "value": "a value of an enumeration was renamed",
    "composite": "a composite type was altered",
}


def require_unchanged(held: psycopg.Connection[Any], address: Address) -> None:
    """Compares the names in the snapshot that a session has ``held`` with those of now.

    Raises SourceChanged, SourceUnavailable, and psycopg.Error.
    """
    with address.connected() as other:
        now = _names(other)
    for (kind, oid), name in _names(held).items():
        if now.get((kind, oid), name) != name:
            raise SourceChanged(
                "read", str(address), f"{_CHANGED[kind].format(name)} while it was read", "run it again"
            )


def _names(connection: psycopg.Connection[Any]) -> dict[tuple[str, int], str]:
    return {(kind, oid): name for kind, oid, name in connection.execute(_NAMES)}
