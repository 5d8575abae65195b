"""Rows as the server's COPY takes them: Arrow batches to its text form, by columns; what that cannot carry, by INSERT.

Measured on rows of 250 bytes: beside the CSV form it costs the server a tenth less and the client no more; the binary
form, which only tables of Arrow's own types could take, costs the client twice as much and the server no less.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import MemberDamaged
from ..port import ROLE, Table
from .inserting import LINE_VALUES, beyond_copy, insert_empty, insert_rows

if TYPE_CHECKING:
    import polars as pl
    import psycopg
    import pyarrow as pa

_PIECE: Final = 128 << 10
_SPECIAL: Final = r"[\\\t\n\r]"
_PLAIN: Final = ["\\", "\t", "\n", "\r"]
_ESCAPED: Final = ["\\\\", "\\t", "\\n", "\\r"]


def copy_rows(
    connection: psycopg.Connection[Any],
    table: Table,
    batches: Iterable[pa.RecordBatch],
    *,
    chars: Collection[str] = (),
    line_values: int = LINE_VALUES,
) -> int:
    """Loads rows of ``table`` in one transaction; returns their number. For ``chars`` and ``line_values`` see
    ``beyond_copy``: what is beyond goes by INSERT.

    Raises psycopg.Error, and MemberDamaged for batches that are not rows of the table.
    """
    from psycopg import sql

    names = [column.name for column in table.columns]
    place = sql.Identifier(table.schema, table.name)
    if not names:
        return insert_empty(connection, place, sum(batch.num_rows for batch in batches))
    total = 0
    own = (_own_columns(batch, names, table.title) for batch in batches)
    with connection.transaction():
        for beyond, some in groupby(own, lambda batch: beyond_copy(batch, chars, line_values)):
            if beyond:
                total += sum(insert_rows(connection, place, batch, chars) for batch in some)
            else:
                total += _copy(connection, place, names, some)
    return total


def _copy(
    connection: psycopg.Connection[Any], place: Any, names: Sequence[str], batches: Iterable[pa.RecordBatch]
) -> int:
    from psycopg import sql

    total = 0
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    text = io.BytesIO()  # the same for all batches: new memory for each costs more than to fill it
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(place, columns)) as copy:
        for batch in batches:
            if batch.num_rows:
                _encode(batch, text)
                with text.getbuffer() as held:
                    for start in range(0, text.tell(), _PIECE):  # the driver copies what it is given
                        copy.write(held[start : min(start + _PIECE, text.tell())])
            total += batch.num_rows
    return total


def _own_columns(batch: pa.RecordBatch, names: Sequence[str], title: str) -> pa.RecordBatch:
    """The batch without what is no column of its table; the columns ``names`` must be all that is left."""
    import pyarrow as pa

    places = [place for place, field in enumerate(batch.schema) if ROLE not in (field.metadata or {})]
    own = batch.select(places)
    if own.schema.names != list(names):
        raise MemberDamaged("load", title, "its columns are not those of the schema")
    if set(own.schema.types) - {pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.binary()}:
        raise MemberDamaged("load", title, "its rows have no form of the format")
    return own


def _encode(batch: pa.RecordBatch, text: io.BytesIO) -> None:
    """Writes the rows of a batch in COPY's text form to the beginning of ``text``, up to its position then."""
    import polars as pl

    columns = {str(place): _text(pl.Series(column)) for place, column in enumerate(batch.columns)}
    text.seek(0)
    pl.DataFrame(columns).write_csv(text, include_header=False, separator="\t", null_value="\\N", quote_style="never")


def _text(column: pl.Series) -> pl.Series:
    """A column as it may be written between tabs; numbers stay what they are, for each has one text."""
    import polars as pl

    if column.dtype == pl.Binary:
        return "\\\\x" + column.bin.encode("hex")
    if column.dtype == pl.String:
        special = column.str.contains(_SPECIAL).any()
        escaped = pl.first().str.replace_many(_PLAIN, _ESCAPED)
        return column.to_frame().select(escaped).to_series() if special else column
    return column
