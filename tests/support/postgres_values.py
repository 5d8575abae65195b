"""What a source reads of a PostgreSQL database, against what COPY writes of it: two ways that share no code."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from psycopg import sql
from tests.support.postgres_server import session

from rlg_backup.sources.port import Table, TableSnapshot
from rlg_backup.sources.postgres.address import PINNED, Address

Row = tuple[Any, ...]


def rows_read(snapshot: TableSnapshot, table: Table) -> list[Row]:
    """All rows, piece after piece, each value as COPY would write it."""
    rows: list[Row] = []
    kinds = [column.declared_type for column in table.columns]
    for piece in snapshot.pieces(table):
        for batch in snapshot.read(table, piece=piece, geography=False):
            arrays = batch.columns if kinds else []
            columns = [_texts(*pair) for pair in zip(arrays, kinds, strict=True)]
            rows += zip(*columns, strict=True) if columns else [()] * batch.num_rows
    return rows


def rows_there(address: Address, table: Table) -> list[Row]:
    """The same by COPY, under the settings that a backup pins."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    place = sql.Identifier(table.schema, table.name)
    kept = {name: value for name, value in PINNED.items() if name != "client_encoding"}
    with session(address) as connection:
        for name, value in kept.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        statement = sql.SQL("COPY (SELECT {} FROM ONLY {}) TO STDOUT").format(columns, place)
        with connection.cursor().copy(statement) as copy:
            if not table.columns:
                return [() for _ in copy]
            kinds = [column.declared_type for column in table.columns]
            return [tuple(_comparable(*pair) for pair in zip(row, kinds, strict=True)) for row in copy.rows()]


def _texts(column: pa.Array, kind: str) -> list[Any]:
    write = _WRITTEN[str(column.type)]
    return [None if value is None else _comparable(write(value), kind) for value in column.to_pylist()]


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _comparable(text: str | None, kind: str) -> Any:
    """Floats by their bits: Python and the server write the shortest text of one in different ways."""
    if text is None or kind not in _FLOATS:
        return text
    return struct.pack(_FLOATS[kind], float(text))


_FLOATS = {
    "real": "f",
    "double precision": "d",
    'values_of."real domain"': "f",
    'values_of."double precision domain"': "d",
}
_WRITTEN: dict[str, Callable[[Any], str]] = {
    "bool": lambda value: "t" if value else "f",
    "int64": str,
    "double": _float,
    "string": str,
    "binary": lambda value: f"\\x{value.hex()}",
}
