"""The rows of one SQLite table as Arrow batches, with bounded memory and a bound number of columns a statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from ..core.model import LEVELS
from .geography import Geography
from .port import ROLE, ROWID
from .sqlite_schema import Layout, quoted, text_of
from .variants import FORM, ColumnForm, text_array

BATCH_BYTES: Final = 8 << 20  # of values in memory in a batch, unless one row alone is larger
_CELL_BYTES: Final = 64  # what a value takes in memory besides its text
_PIECE_ROWS: Final = 128  # rows fetched before their size is looked at again
_RUNS: Final = 8  # of rows that a sample is made of
_LAST_KEY: Final = 2**63 - 1
_COUNTED: Final = frozenset((bytes, bytearray))

Values = list[list[Any]]
Kinds = list[set[type]]


class TableReader:
    """Reads one table of an open transaction, in the order in which it is stored."""

    def __init__(self, connection: sqlite3.Connection, layout: Layout, codec: str, geography: Geography | None) -> None:
        self._connection, self._layout, self._codec = connection, layout, codec
        self._places = geography.expressions(layout.name, '"row"', quoted) if geography else {}

    def place_without_index(self) -> bool:
        """Whether a row's geography has to be looked for in a whole table. Raises sqlite3.Error."""
        if not self._places:
            return False
        places = ", ".join(self._places.values())
        table = quoted(self._layout.name)
        plan = f'EXPLAIN QUERY PLAN SELECT {places} FROM {table} AS "row" NOT INDEXED'  # noqa: S608 - quoted names
        details = [text_of(row[3]) for row in self._connection.execute(plan).fetchall()]
        return any("geo" in detail and ("SCAN" in detail or "AUTOMATIC" in detail) for detail in details)

    def batches(self, batch_rows: int, keys: tuple[int, int] | None = None) -> Iterator[pa.RecordBatch]:
        """``keys``: only the rows whose row id is from the one to the other. Raises sqlite3.Error, and
        UnicodeDecodeError for UTF-16 text of an odd length."""
        names = [column.name for column in self._layout.loaded]
        columns = [f'"row".{quoted(name)}' for name in names]
        rowid = [] if self._layout.rowid is None else [f'"row".{self._layout.rowid}']
        places = [self._places[level] for level in LEVELS if level in self._places]
        # SQLite reads UTF-16 text as UTF-8, and in doing so garbles a surrogate without its other half:
        # such a database gives the bytes of its text beside.
        raw = (
            []
            if self._codec == "utf-8"
            else [f"CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) END" for c in columns]
        )
        forms = [ColumnForm() for _ in columns]
        for values, kinds in self._pieces([*rowid, *columns, *places, *raw], batch_rows, keys):
            first, last = len(rowid), len(rowid) + len(columns)
            if raw:
                _replace_text(values, kinds, first, last, len(values) - len(raw), self._codec)
            arrays = [pa.array(column, pa.int64()) for column in values[:first]]
            fields = [_field(name, pa.int64(), "int64", ROWID) for name in self._extra_names(["rowid"][:first])]
            for name, form, column, types in zip(names, forms, values[first:last], kinds[first:last], strict=True):
                arrays.append(form.array(column, types))
                fields.append(_field(name, arrays[-1].type, form.form))
            for level, name in zip(LEVELS, self._extra_names(LEVELS if places else ()), strict=bool(places)):
                arrays.append(text_array(values[last + LEVELS.index(level)]))
                fields.append(_field(name, pa.string(), "utf8", level.encode()))
            values.clear()  # let go of before the batch is worked on: it would be there twice
            yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
            del arrays

    def sample(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Runs of rows, one at each of some row ids from the first to one before the last, where it has row ids. Raises
        as ``batches``."""
        key = self._layout.rowid or (quoted(self._layout.alias) if self._layout.alias is not None else None)
        first, last = (0, 0) if key is None else self._connection.execute(_ends(key, self._layout.name)).fetchone()
        if first is None or last - first < rows:
            yield from islice(self.batches(rows), 1)
            return
        each = max(1, rows // _RUNS)
        last -= each - 1
        for start in sorted({first + (last - first) * run // (_RUNS - 1) for run in range(_RUNS)}):
            yield from islice(self.batches(each, (start, _LAST_KEY)), 1)

    def _extra_names(self, names: Sequence[str]) -> list[str]:
        """``$name``, with one more ``$`` while a column of the table has that name."""
        taken = {column.name for column in self._layout.loaded}
        made = []
        for name in names:
            extra = f"${name}"
            while extra in taken:
                extra = f"${extra}"
            made.append(extra)
        return made

    def _pieces(
        self, expressions: Sequence[str], batch_rows: int, keys: tuple[int, int] | None
    ) -> Iterator[tuple[Values, Kinds]]:
        """Columns of values and the types in each, up to ``batch_rows`` rows or BATCH_BYTES at a time.

        A statement gives 2,000 columns at most; more are read by several statements side by side, which is
        right since each scans the table itself (NOT INDEXED) in its one order.
        """
        limit = self._connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN)
        source = f'FROM {quoted(self._layout.name)} AS "row" NOT INDEXED'
        if keys is not None:
            key = self._layout.rowid or quoted(self._layout.alias or "")
            source += f' WHERE "row".{key} BETWEEN {keys[0]} AND {keys[1]}'
        statements = [
            f"SELECT {', '.join(expressions[start : start + limit])} {source}"
            for start in range(0, len(expressions), limit)
        ]
        cursors = [self._connection.execute(statement) for statement in statements]
        try:
            yield from _gather(cursors, len(expressions), batch_rows)
        finally:
            for cursor in cursors:
                cursor.close()


def _ends(key: str, table: str) -> str:
    """The first and the last row id; asked for together, SQLite would read the whole table."""
    ends = (f"(SELECT {end}({key}) FROM {quoted(table)})" for end in ("min", "max"))  # noqa: S608 - quoted names
    return f"SELECT {', '.join(ends)}"


def _gather(cursors: Sequence[sqlite3.Cursor], width: int, batch_rows: int) -> Iterator[tuple[Values, Kinds]]:
    held: Values = [[] for _ in range(width)]
    kinds: Kinds = [set() for _ in range(width)]
    size, piece_rows = 0, 16
    while True:
        wanted = min(piece_rows, batch_rows - len(held[0]))
        parts = [cursor.fetchmany(wanted) for cursor in cursors]
        piece = [column for part in parts for column in zip(*part, strict=True)]
        if not piece:
            break
        weight = _weigh(piece, held, kinds)
        size += weight
        # Rows that grow: fewer at a time, so that a piece stays at an eighth of a batch.
        fitting = BATCH_BYTES // 8 * len(piece[0]) // (weight + 1)
        piece_rows = max(1, min(_PIECE_ROWS, 2 * piece_rows, fitting))
        del parts, piece
        if len(held[0]) >= batch_rows or size >= BATCH_BYTES:
            yield from _split(held, kinds, size)
            held, kinds, size = [[] for _ in range(width)], [set() for _ in range(width)], 0
    if held[0]:
        yield from _split(held, kinds, size)


def _weigh(piece: Sequence[tuple[Any, ...]], held: Values, kinds: Kinds) -> int:
    """Appends the columns of ``piece`` to ``held``, their types to ``kinds``; returns the bytes they take in memory."""
    total = _CELL_BYTES * len(piece) * len(piece[0])
    for column, values, types in zip(piece, held, kinds, strict=True):
        found = set(map(type, column))
        total += _bytes_in(column, found)
        values.extend(column)
        types |= found
    return total


def _bytes_in(column: Sequence[Any], types: set[type]) -> int:
    if not types & _COUNTED:
        return 0
    if types <= _COUNTED | {type(None)}:
        return sum(map(len, filter(None, column)))
    return sum(len(value) for value in column if type(value) in _COUNTED)


def _split(held: Values, kinds: Kinds, size: int) -> Iterator[tuple[Values, Kinds]]:
    """Halves what is far over the limit (an array of bytes ends at 2 GiB): only where large rows follow small ones."""
    rows = len(held[0])
    if size <= 2 * BATCH_BYTES or rows == 1:
        yield held, kinds
        return
    for part in (slice(0, rows // 2), slice(rows // 2, rows)):
        columns = [column[part] for column in held]
        types = [set(map(type, column)) for column in columns]
        weight = _CELL_BYTES * len(columns) * len(columns[0]) + sum(map(_bytes_in, columns, types))
        yield from _split(columns, types, weight)


def _replace_text(values: Values, kinds: Kinds, first: int, last: int, raw: int, codec: str) -> None:
    """Puts the text of columns first..last, taken from the raw bytes from column ``raw`` on, in UTF-8: a lone
    surrogate as the three bytes UTF-8 forbids (so the column becomes a variant)."""
    for index in range(first, last):
        if bytearray in kinds[index]:
            octets = values[raw + index - first]
            values[index] = [
                value
                if text is None
                else bytearray(text.decode(codec, "surrogatepass").encode("utf-8", "surrogatepass"))
                for value, text in zip(values[index], octets, strict=True)
            ]


def _field(name: str, kind: pa.DataType, form: str, role: bytes | None = None) -> pa.Field:
    metadata = {FORM: form.encode()} if role is None else {FORM: form.encode(), ROLE: role}
    return pa.field(name, kind, nullable=role != ROWID, metadata=metadata)
