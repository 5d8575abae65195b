"""Rows that COPY's text form cannot carry, by INSERT: of no columns, too long for one of its lines, or with bytes that
are no text."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

LINE_VALUES: Final = 500 << 20
"""Bytes of a row's values that always fit a line of 1 GiB, the longest that a server takes: escaped, or as digits, they
take twice as many, and numbers little, for a table has at most 1,600 columns."""
CHARS: Final = """
WITH RECURSIVE of_char (oid) AS (
    VALUES (18::oid)
    UNION ALL SELECT t.oid FROM of_char JOIN pg_catalog.pg_type t ON t.typbasetype = of_char.oid AND t.typtype = 'd'
)
SELECT n.nspname, c.relname, pg_catalog.array_agg(a.attname::text)
FROM pg_catalog.pg_attribute a JOIN of_char ON of_char.oid = a.atttypid
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_|^information_schema$' AND NOT a.attisdropped
GROUP BY 1, 2
"""
"""Columns of the type "char" (OID 18, one byte) or a domain of it: schema, table, names."""
KNOWS_OCTAL: Final = 150_000
"""Servers since this one take a byte over 127 of a "char" as a backslash and octal digits, those before in no text."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def beyond_copy(batch: pa.RecordBatch, chars: Collection[str], line_values: int) -> bool:
    """Whether a row of it may hold more than ``line_values`` bytes, or a byte over 127 in one of the columns ``chars``
    of a server that takes none as text."""
    import pyarrow.compute as pc

    texts = (batch.column(name) for name in chars)
    longest = (pc.max(pc.binary_length(text)).as_py() for text in texts if text.null_count < len(text))
    return bool(batch.nbytes > line_values) or any(length > 1 for length in longest)


def insert_rows(connection: psycopg.Connection[Any], place: Any, batch: pa.RecordBatch, chars: Collection[str]) -> int:
    """One by one, each value as a parameter; returns their number. Raises psycopg.Error."""
    from psycopg import RawCursor, sql

    names = batch.schema.names
    numbered = {name: sql.SQL(f"${place}") for place, name in enumerate(names, 1)}
    cast = sql.SQL('CAST({}::pg_catalog.int4 AS pg_catalog."char")')
    values = [cast.format(number) if name in chars else number for name, number in numbered.items()]
    statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
        place, sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(values)
    )
    columns = [_signed(column) if name in chars else column for name, column in zip(names, batch.columns, strict=True)]
    with RawCursor(connection) as cursor:  # which takes a name with a percent sign for no parameter
        cursor.executemany(statement, ([value.as_py() for value in row] for row in zip(*columns, strict=True)))
    return len(batch)


def _signed(texts: pa.Array) -> pa.Array:
    """Bytes as the server casts numbers to them: -128 to 127."""
    import pyarrow as pa

    return pa.array([None if text is None else _byte(text) for text in texts.to_pylist()], pa.int64())


def _byte(text: str) -> int:
    octal = _OCTAL.fullmatch(text)
    byte = int(octal[1], 8) if octal else (text.encode()[:1] or b"\0")[0]  # as the server cuts any other text
    return byte - 256 if byte > 127 else byte


def insert_empty(connection: psycopg.Connection[Any], place: Any, rows: int) -> int:
    """Rows of no columns, or of generated ones only: COPY knows no such list."""
    from psycopg import sql

    statement = sql.SQL("INSERT INTO {} SELECT FROM pg_catalog.generate_series(1, %s)").format(place)
    connection.execute(statement, [rows])
    return rows
