"""What a PostgreSQL database demands of the values of its columns, beside their type: a policy may have to break it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ..port import ForeignKey, Rule, RuleKind, table_title

if TYPE_CHECKING:
    import psycopg

_PLACES: Final = """
SELECT c.oid, a.attname, 'its partition'
FROM pg_catalog.pg_class c, pg_catalog.pg_partition_ancestors(c.oid) t (oid)
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.objsubid > 0
     AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = 0 AND d.deptype = 'i'
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.objsubid
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.oid
WHERE c.oid = ANY (%s) AND c.relispartition
"""
"""The columns of a partition key, those of its expressions included, depend on their table. By name, since a partition
may have them in another order."""
_CHECKS: Final = """
SELECT o.conrelid, a.attname, 'the check ' || o.conname
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = ANY (o.conkey)
WHERE o.conrelid = ANY (%s) AND o.contype = 'c' AND o.convalidated
"""
_GENERATED: Final = """
SELECT g.attrelid, a.attname, 'the generated column ' || g.attname
FROM pg_catalog.pg_attribute g
JOIN pg_catalog.pg_attrdef f ON f.adrelid = g.attrelid AND f.adnum = g.attnum
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = g.attrelid AND d.refobjsubid > 0
     AND d.refobjsubid <> g.attnum AND ((d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid)
         OR (d.classid = 'pg_class'::regclass AND d.objid = g.attrelid AND d.objsubid = g.attnum))
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE g.attrelid = ANY (%s) AND g.attgenerated <> ''
"""
"""The dependency is of the default's expression; up to version 14, of the column."""
_INDEXES: Final = """
SELECT i.indrelid, a.attname, CASE WHEN i.indisunique THEN 'the unique index ' ELSE 'the exclusion ' END || c.relname
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND (
    a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
    OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
               AND i.indexprs IS NOT NULL
               AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))
WHERE i.indrelid = ANY (%s) AND (i.indisunique OR i.indisexclusion)
"""
_SINGLE: Final = """
SELECT i.indrelid, a.attname, 'the unique index ' || c.relname || ' (of NULL, too)'
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid
     AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = ANY (%s) AND (pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool
"""
"""What up to version 14 no index is."""
_REFERENCES: Final = """
SELECT o.conrelid, a.attname, n.nspname, r.relname, b.attname
FROM pg_catalog.pg_constraint o
CROSS JOIN unnest(o.conkey, o.confkey) AS k (here, there)
JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.here
JOIN pg_catalog.pg_attribute b ON b.attrelid = o.confrelid AND b.attnum = k.there
JOIN pg_catalog.pg_class r ON r.oid = o.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE o.conrelid = ANY (%s) AND o.contype = 'f' AND o.convalidated
"""
_DECLARED: Final = """
SELECT n.nspname, c.relname, (
    SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.place)
    FROM unnest(o.conkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.number
), m.nspname, r.relname
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_class c ON c.oid = o.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = o.confrelid JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace
WHERE o.contype = 'f' AND o.conparentid = 0 ORDER BY 1, 2, o.conname
"""

_ASKED: Final[tuple[tuple[str, RuleKind], ...]] = (
    (_PLACES, "place"),
    (_CHECKS, "computed"),
    (_GENERATED, "computed"),
    (_INDEXES, "distinct"),
    (_SINGLE, "computed"),
)


def rules(connection: psycopg.Connection[Any], oids: Sequence[int]) -> dict[int, tuple[Rule, ...]]:
    """The rules of each of the tables. Constraints that the server itself has never proved are none: a restore makes
    them as unproved as they were. Raises psycopg.Error."""
    columns: dict[tuple[int, RuleKind, str], set[str]] = {}
    for query, kind in _ASKED:
        for oid, column, words in connection.execute(query.encode(), [list(oids)]):
            columns.setdefault((oid, kind, words), set()).add(column)
    found: dict[int, list[Rule]] = {}
    for (oid, kind, words), names in sorted(columns.items()):
        found.setdefault(oid, []).append(Rule(kind, words, tuple(sorted(names))))
    for oid, column, schema, table, other in connection.execute(_REFERENCES.encode(), [list(oids)]):
        title = table_title(schema, table, {})
        found.setdefault(oid, []).append(Rule("reference", f"{title}.{other}", (column,), (title, other)))
    return {oid: tuple(one) for oid, one in found.items()}


def foreign_keys(connection: psycopg.Connection[Any]) -> list[ForeignKey]:
    """Every one that the database declares. Raises psycopg.Error."""
    return [
        ForeignKey(table_title(schema, table, {}), tuple(columns), table_title(there, refers, {}))
        for schema, table, columns, there, refers in connection.execute(_DECLARED)
    ]
