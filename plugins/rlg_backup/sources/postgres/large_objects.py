"""Large objects at a restore. They are made empty, their pages are rows, and last they get their owners and rights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..port import Table
from .copying import copy_rows
from .schema_document import LargeObject

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

LARGE_OBJECTS: Final = ("pg_catalog", "pg_largeobject")
_AT_ONCE: Final = 1000  # statements that are sent together
_MAKE: Final = """
SELECT count(pg_catalog.lo_create(one::oid)) FROM pg_catalog.unnest(%s::bigint[]) one
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid = one::oid)
"""
_ARRIVED: Final = "CREATE TEMPORARY TABLE IF NOT EXISTS pg_largeobject (loid bigint, pageno bigint, data bytea)"
# An empty page stays where an object was cut: nothing but a cut makes one, so it comes before what was written later.
_CUT: Final = """
SELECT count(pg_catalog.lo_truncate64(pg_catalog.lo_open(loid::oid, 131072), pageno * page.size))
FROM (SELECT * FROM pg_temp.pg_largeobject WHERE data = '' ORDER BY loid, pageno) cut,
     (SELECT pg_catalog.current_setting('block_size')::bigint / 4 AS size) page
"""
_PUT: Final = """
SELECT count(pg_catalog.lo_put(loid::oid, pageno * page.size, data)::text)
FROM pg_temp.pg_largeobject, (SELECT pg_catalog.current_setting('block_size')::bigint / 4 AS size) page
WHERE data <> ''
"""


def make_large_objects(connection: psycopg.Connection[Any], objects: Sequence[LargeObject]) -> None:
    """Makes them, empty and ours. Raises psycopg.Error."""
    connection.execute(_MAKE, [[one.oid for one in objects]])


def copy_pages(connection: psycopg.Connection[Any], table: Table, batches: Iterable[pa.RecordBatch]) -> int:
    """Loads pages, some or all, into objects that are there; returns their number.

    Raises psycopg.Error, and MemberDamaged for batches that are not pages.
    """
    total = 0
    connection.execute(_ARRIVED)
    for batch in batches:
        with connection.transaction():
            connection.execute("TRUNCATE pg_temp.pg_largeobject")
            total += copy_rows(connection, replace(table, schema="pg_temp"), [batch])
            connection.execute(_CUT)
            connection.execute(_PUT)
    return total


def own_large_objects(
    connection: psycopg.Connection[Any], objects: Sequence[LargeObject], absent: Collection[str]
) -> None:
    """Gives them their comments, owners and rights, but to the roles that are ``absent``. Raises psycopg.Error."""
    from psycopg import sql

    statements = [statement for one in objects for statement in _statements(one, absent)]
    for start in range(0, len(statements), _AT_ONCE):
        connection.execute(sql.SQL("; ").join(statements[start : start + _AT_ONCE]))


def _statements(one: LargeObject, absent: Collection[str]) -> Iterator[Any]:
    from psycopg import sql

    subject = sql.SQL("LARGE OBJECT {}").format(sql.Literal(one.oid))
    if one.comment is not None:
        yield sql.SQL("COMMENT ON {} IS {}").format(subject, sql.Literal(one.comment))
    if one.owner not in absent:
        yield sql.SQL("ALTER {} OWNER TO {}").format(subject, sql.Identifier(one.owner))
        if one.grants is not None:  # one who may read it may have been denied even to its owner
            yield sql.SQL("REVOKE ALL ON {} FROM {}").format(subject, sql.Identifier(one.owner))
    for grant in one.grants or ():
        if grant.grantee not in absent:
            yield sql.SQL("GRANT {} ON {} TO {}{}").format(
                sql.SQL(grant.privilege),  # one of the words that the document allows
                subject,
                sql.Identifier(grant.grantee) if grant.grantee else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
            )
