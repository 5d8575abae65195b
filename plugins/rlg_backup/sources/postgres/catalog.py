"""What a PostgreSQL database says of itself: its tables, their columns, and how each is to be read.

Everything is asked by whole sets, in the transaction the caller has begun.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..kinds import kind_of, longest_text
from ..port import CASELESS, MOVES, Column, Rule, Table, table_title
from .rules import rules

if TYPE_CHECKING:
    import psycopg

LARGE_OBJECTS = ("pg_catalog", "pg_largeobject")

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, coalesce(a.amname, '') AS method,
       e.extname, e.extconfig IS NOT NULL AND c.oid = ANY (e.extconfig) AS configured,
       CASE WHEN c.oid = ANY (e.extconfig) THEN e.extcondition[array_position(e.extconfig, c.oid)] END AS condition
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
     AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS declared,
       a.attnotnull, a.attidentity::text, a.attgenerated::text, a.atttypid,
       CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END AS collation,
       pg_catalog.pg_get_expr(f.adbin, f.adrelid) AS default,
       coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1 AS key,
       EXISTS (SELECT FROM pg_catalog.pg_collation o WHERE o.oid = a.attcollation AND NOT o.collisdeterministic)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""
_TYPES = """
WITH RECURSIVE base (oid, type) AS (
    SELECT oid, oid FROM pg_catalog.pg_type
    UNION ALL
    SELECT b.oid, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT b.oid, CASE WHEN b.oid <> t.oid THEN pg_catalog.format_type(t.oid, -1) END AS base, t.oid AS type,
       n.nspname, p.proname, a.typtype <> 'p' AND a.oid <> t.oid AS borrowed,
       EXISTS (SELECT FROM base d JOIN pg_catalog.pg_type x ON x.oid = d.type WHERE d.oid = b.oid AND x.typnotnull)
FROM base b
JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_type a ON a.oid = p.proargtypes[0]
WHERE b.oid = ANY (%s)
"""
_PARENTS = """
SELECT i.inhrelid, n.nspname, c.relname, i.inhparent
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY i.inhrelid, i.inhseqno
"""
MOVABLE = """
SELECT n.nspname, c.relname, rn.nspname, r.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid)
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relispartition AND c.relkind = 'r' AND EXISTS (
    SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a
    JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.relid AND p.partstrat = 'h'
    JOIN pg_catalog.pg_opclass o ON o.oid = ANY (p.partclass) AND (o.oid >= 16384 OR o.opcname IN (
        'enum_ops', 'oid_ops', 'array_ops', 'record_ops', 'range_ops', 'multirange_ops')))
"""
"""Partitions whose rows another database may put elsewhere (schema, name; those of the table they are all of): the hash
of an enumeration's value, or of what names an object, is that of an object id, which every database gives anew. So is
what holds such values; of a user's own hash nothing is known (OIDs below 16384 are the system's)."""
_BOUNDS = """
SELECT oid, pg_catalog.pg_get_expr(relpartbound, oid) FROM pg_catalog.pg_class WHERE oid = ANY (%s) AND relispartition
"""
_PLAIN = frozenset((16, 21, 23, 20, 700, 701, 25, 1043, 1042, 17))
"""OIDs of the types whose values ADBC gives exactly (tried): bool, int2, int4, int8, float4, float8, text, varchar,
bpchar, bytea."""
_WHOLE = frozenset((20, 21, 23))  # of these, those of whole numbers
_BOOLEAN = 16
_CHAR = 18  # the OID of "char", a byte


@dataclass(frozen=True)
class Relation:
    """A relation that holds rows, or stands for some. ``kind`` is r (table), p (partitioned), f (foreign) or m."""

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    method: str
    extension: str | None
    configured: bool
    condition: str | None

    @property
    def title(self) -> str:
        return table_title(self.schema, self.name, {})


@dataclass(frozen=True)
class SourceColumn:
    """A column that is read: ``expression`` is SQL over the table's alias ``"row"``, which gives ``whole`` numbers
    or not."""

    name: str
    expression: str
    whole: bool = False


@dataclass(frozen=True)
class SourceTable:
    """A table and how to read it. ``pages`` says whether ranges of row addresses can be read by themselves."""

    table: Table
    columns: tuple[SourceColumn, ...]
    relation: str
    pages: bool
    condition: str


def quoted(name: str) -> str:
    """An identifier as the driver writes it."""
    from psycopg import sql

    return sql.Identifier(name).as_string(None)


def qualified(schema: str, name: str) -> str:
    return f"{quoted(schema)}.{quoted(name)}"


def relations(connection: psycopg.Connection[Any], schemas: Collection[str] | None = None) -> tuple[Relation, ...]:
    """Every table, materialized view and foreign table in ``schemas``, or outside the system's, in order of name."""
    found = (Relation(*row) for row in connection.execute(_RELATIONS))
    return tuple(one for one in found if schemas is None or one.schema in schemas)


def tables(connection: psycopg.Connection[Any], found: Sequence[Relation]) -> list[SourceTable]:
    """The tables among ``found`` that have rows of their own, with their columns, and large objects where any are."""
    oids = [relation.oid for relation in found]
    columns: dict[int, list[Any]] = {}
    for row in connection.execute(_COLUMNS, [oids]):
        columns.setdefault(row[0], []).append(row)
    kinds = {row[6] for rows in columns.values() for row in rows}
    types = {row[0]: row for row in connection.execute(_TYPES, [list(kinds)])}
    parents: dict[int, list[tuple[str, str, int]]] = {}
    for child, schema, name, parent in connection.execute(_PARENTS):
        parents.setdefault(child, []).append((schema, name, parent))
    bounds = dict(connection.execute(_BOUNDS, [oids]).fetchall())
    demanded = rules(connection, oids)
    movable = {(schema, name): root for schema, name, *root in connection.execute(MOVABLE)}
    made = [
        _table(
            relation,
            columns.get(relation.oid, []),
            types,
            _within(relation.oid, parents),
            demanded.get(relation.oid, ()),
            bounds.get(relation.oid),
            movable.get((relation.schema, relation.name)),
        )
        for relation in found
        if relation.kind == "r" and (relation.extension is None or relation.configured)
    ]
    if connection.execute("SELECT FROM pg_catalog.pg_largeobject_metadata LIMIT 1").fetchall():
        made.append(_large_objects())
    return made


def column_names(connection: psycopg.Connection[Any], found: Sequence[Relation]) -> dict[int, list[str]]:
    """The columns of each relation, generated ones as well, by its OID."""
    names: dict[int, list[str]] = {relation.oid: [] for relation in found}
    for row in connection.execute(_COLUMNS, [list(names)]):
        names[row[0]].append(row[1])
    return names


def _table(
    relation: Relation,
    rows: Sequence[Any],
    types: dict[int, Any],
    within: tuple[tuple[str, str], ...],
    demanded: tuple[Rule, ...],
    bound: str | None,
    moves_within: Sequence[str] | None,
) -> SourceTable:
    loaded = [row for row in rows if not row[5]]
    said = {MOVES: list(moves_within or ()), CASELESS: [row[1] for row in loaded if row[10]]}
    table = Table(
        relation.schema,
        relation.name,
        tuple(_column(row, types[row[6]]) for row in loaded),
        _fingerprint(relation, rows, bound),
        {name: value for name, value in said.items() if value},
        within,
        demanded,
    )
    columns = tuple(
        SourceColumn(row[1], _expression(row[1], types[row[6]]), types[row[6]][2] in _WHOLE) for row in loaded
    )
    place = f"ONLY {qualified(relation.schema, relation.name)}"
    return SourceTable(table, columns, place, relation.method == "heap", _condition(relation.condition))


def _column(row: Any, kind: Any) -> Column:
    """A column; one of a domain that takes no NULL takes none."""
    return Column(
        row[1],
        row[2],
        not (row[3] or kind[6]),
        row[9],
        "boolean" if kind[2] == _BOOLEAN else kind_of(row[2]),  # of a domain, too: what reads it gives no text
        longest_text(row[2]),
        default=bool(row[8] or row[4]),
    )


def _expression(name: str, kind: Any) -> str:
    """The column as it is, or as the text its type's own output function makes: a cast could be a user's, or cut."""
    _, base, type_, schema, output, borrowed, _ = kind
    column = f'"row".{quoted(name)}'
    if base is not None:  # no cast of a user's leads from a domain; enum_out takes no domain
        column = f"CAST({column} AS {base})"
    if type_ in _PLAIN:
        return column
    if type_ == _CHAR:
        return _char(column)
    if borrowed:  # refcursor's is that of text, which takes no refcursor: the cast calls it
        return f"CAST({column} AS pg_catalog.text)"
    return f"pg_catalog.textin({qualified(schema, output)}({column}))"


def _char(column: str) -> str:
    """As servers since 15 write a "char": a byte over 127, which is no text of any encoding, as octal digits."""
    number = f"CAST({column} AS pg_catalog.int4)"
    digits = ", ".join(f"({number} >> {shift}) & {mask}" for shift, mask in ((6, 3), (3, 7), (0, 7)))
    octal = f"pg_catalog.concat(pg_catalog.chr(92), {digits})"
    return f"CASE WHEN {number} < 0 THEN {octal} ELSE pg_catalog.textin(pg_catalog.charout({column})) END"


def _condition(text: str | None) -> str:
    """What of an extension's own table is the user's, as the extension declares it (``WHERE ...``, or nothing)."""
    words = (text or "").strip()
    return words[len("WHERE") :] if words.upper().startswith("WHERE") else words


def _within(oid: int, parents: dict[int, list[tuple[str, str, int]]]) -> tuple[tuple[str, str], ...]:
    """All that a table is a part of, nearest first, each once."""

    def above(child: int) -> Iterator[tuple[str, str]]:
        level = parents.get(child, [])
        yield from ((schema, name) for schema, name, _ in level)
        for _, _, parent in level:
            yield from above(parent)

    return tuple(dict.fromkeys(above(oid)))


def _fingerprint(relation: Relation, rows: Sequence[Any], bound: Any) -> str:
    """SHA-256 of what the table is, in the server's own words: no OID, nothing that a restore changes. By name: pg_dump
    makes the columns that a table inherits before its own, in whatever order they stood."""
    columns = sorted([row[1], row[2], row[3], row[4], row[5], row[7], row[8]] for row in rows)
    words = [relation.persistence, columns, bound]
    return hashlib.sha256(json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _large_objects() -> SourceTable:
    """The pages of all large objects; their owners and rights are in the definitions."""
    columns = (
        Column("loid", "oid", False, 1),
        Column("pageno", "integer", False, 2),
        Column("data", "bytea", False),
    )
    table = Table(*LARGE_OBJECTS, columns, hashlib.sha256(b"large objects").hexdigest())
    read = (
        SourceColumn("loid", 'CAST("row".loid AS pg_catalog.int8)'),
        SourceColumn("pageno", '"row".pageno'),
        SourceColumn("data", '"row".data'),
    )
    return SourceTable(table, read, qualified(*LARGE_OBJECTS), pages=True, condition="")
