"""The rows of PostgreSQL tables as Arrow batches, by several sessions in one snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from ...core.errors import SourceUnreadable
from ...core.model import LEVELS
from ..geography import NOWHERE, cast_to_text
from ..port import ROLE, ROWID
from .catalog import SourceTable
from .faults import unreadable
from .row_addresses import ADDRESS, ADDRESS_FIELDS, address_arrays
from .session import Session

if TYPE_CHECKING:
    from adbc_driver_manager._reader import AdbcRecordBatchReader

    from .address import Address

FORM: Final = b"rlg.form"
PIECE_PAGES: Final = 8192  # 64 MiB of a table: enough that what a piece costs besides does not count
_BATCH_BYTES: Final = 8 << 20
_FORMS: Final = {
    pa.bool_(): "bool",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.string(): "utf8",
    pa.binary(): "bytes",
}
_WIDER: Final = {pa.int16(): pa.int64(), pa.int32(): pa.int64(), pa.float32(): pa.float64()}  # each exactly


_Given = str | int | None


@dataclass(frozen=True)
class Pages:
    """The rows that lie in the pages from ``first`` to before ``last`` (None: to the end)."""

    first: int
    last: int | None


def pieces_of(pages: int, size: int = PIECE_PAGES) -> tuple[Pages | None, ...]:
    """A table of so many pages, cut; the last piece is open, for pages that were added since it was measured."""
    if pages <= size:
        return (None,)
    starts = range(0, pages, size)
    return tuple(Pages(first, first + size if first + size < pages else None) for first in starts)


class Readers:
    """Sessions that see the rows of one exported snapshot. ``preparation`` are the statements that begin each."""

    def __init__(self, address: Address, number: int, preparation: Sequence[str]) -> None:
        """Raises SourceUnreadable, and what the driver raises for the statements (``adbc_driver_manager.Error``)."""
        self._idle: SimpleQueue[Session] = SimpleQueue()
        self._all: list[Session] = []
        try:
            for _ in range(number):
                self._all.append(Session(address))
                for statement in preparation:
                    self._all[-1].execute(statement)
                self._idle.put(self._all[-1])
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._all)

    def close(self) -> None:
        """Ends the sessions; idempotent."""
        while self._all:
            self._all.pop().close()

    def batches(
        self,
        table: SourceTable,
        piece: Pages | None,
        places: Sequence[str],
        *,
        addressed: bool = False,
        at: str | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """``places``: SQL for the levels of geography, or nothing. ``addressed``: with fields of where each row lies;
        ``at``: only the rows that this SQL, an array of addresses, has. Raises SourceUnreadable or SourceUnavailable,
        which name the table."""
        given = [_given(table, place) for place in places]
        return self._batches(_statement(table, piece, given, addressed, at), table, given, addressed)

    def sample(self, table: SourceTable, pieces: Sequence[Pages | None], rows: int) -> Iterator[pa.RecordBatch]:
        """The first ``rows`` of each of some pieces of a table; raises as ``batches``."""
        parts = (f"({_statement(table, piece, ())} LIMIT {rows})" for piece in pieces)
        return self._batches(" UNION ALL ".join(parts), table, (), addressed=False)

    def _batches(
        self, statement: str, table: SourceTable, places: Sequence[_Given], addressed: bool
    ) -> Iterator[pa.RecordBatch]:
        with self.running(statement, table) as reader:
            schema = _schema(reader.schema, table, bool(places), addressed)
            for batch in reader:
                if batch.num_rows:
                    own = [*map(_wide, batch.columns[: len(table.columns) or 1])]
                    levels = _levels(batch.columns[len(own) :], places, own, len(batch))
                    addresses = address_arrays(batch) if addressed else ()
                    yield pa.RecordBatch.from_arrays([*own, *levels, *addresses], schema=schema)

    @contextmanager
    def running(self, statement: str, table: SourceTable) -> Iterator[AdbcRecordBatchReader]:
        """The rows of a statement about a table, while the block runs; raises as ``batches``."""
        import adbc_driver_manager

        with self._session() as session:
            try:
                with session.rows(statement, _BATCH_BYTES) as reader:
                    yield reader
            # Arrow's own are of a connection that is gone
            except (adbc_driver_manager.Error, OSError, pa.ArrowException) as error:
                raise unreadable("read", table.table.title, error) from None

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._idle.get()
        try:
            yield session
        finally:
            self._idle.put(session)


def _given(table: SourceTable, place: str) -> _Given:
    """How a level's place is come by: not at all, as what the column of that number holds, or as SQL, which takes the
    server and the driver as long as one more column."""
    if place == NOWHERE:
        return None
    same = {cast_to_text(column.expression): number for number, column in enumerate(table.columns)}
    number = same.get(place)
    return place if number is None or table.table.columns[number].declared_type != "text" else number


def _levels(
    asked: Sequence[pa.Array], places: Sequence[_Given], own: Sequence[pa.Array], rows: int
) -> Iterator[pa.Array]:
    """The places of each level. ``asked``: what the server gave of them; ``own``: of the table's columns."""
    found = iter(asked)
    for place in places:
        if place is None:
            yield pa.nulls(rows, pa.string())
        else:
            yield own[place] if isinstance(place, int) else next(found)


def _statement(
    table: SourceTable, piece: Pages | None, places: Sequence[_Given], addressed: bool = False, at: str | None = None
) -> str:
    columns = [f"{column.expression} AS c{number}" for number, column in enumerate(table.columns)]
    columns += [f"{place} AS p{number}" for number, place in enumerate(places) if isinstance(place, str)]
    if not table.columns:  # its rows have nothing but their number
        columns.insert(0, "pg_catalog.row_number() OVER () AS r")
    columns += [*ADDRESS] if addressed else []
    where = where_of(table, piece, at)
    return f'SELECT {", ".join(columns)} FROM {table.relation} AS "row"{where}'  # noqa: S608  # quoted names


def where_of(table: SourceTable, piece: Pages | None, at: str | None = None) -> str:
    """The rows of a piece, as SQL; of these, with ``at``, those whose address is in that array."""
    conditions = [f"({table.condition})"] if table.condition else []
    if at is not None:
        conditions.append(f'"row".ctid = ANY ({at})')
    elif piece is not None:
        conditions.append(f"\"row\".ctid >= '({piece.first},0)'::pg_catalog.tid")
        if piece.last is not None:
            conditions.append(f"\"row\".ctid < '({piece.last},0)'::pg_catalog.tid")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _wide(array: pa.Array) -> pa.Array:
    """The array in its form. Each NaN has the bits that the server makes of the text ``NaN``, as pg_dump's has: what
    arithmetic leaves (``-'NaN'::float8`` has another sign) is the same value to the server, and no text says it."""
    wider = _WIDER.get(array.type)
    wide = array if wider is None else array.cast(wider)
    if not pa.types.is_floating(wide.type):
        return wide
    nan = pc.is_nan(wide)
    return pc.if_else(nan, pa.scalar(math.nan), wide) if pc.any(nan).as_py() else wide


def _schema(read: pa.Schema, table: SourceTable, placed: bool, addressed: bool) -> pa.Schema:
    names: list[tuple[str, dict[bytes, bytes]]] = [(column.name, {}) for column in table.columns] or [
        ("$rowid", {ROLE: ROWID})
    ]
    fields = []
    for (name, role), found in zip(names, read, strict=False):
        kind = _WIDER.get(found.type, found.type)
        form = _FORMS.get(kind)
        if form is None:
            raise SourceUnreadable(
                "read", f"{table.table.title}.{name}", f"no form holds what the driver gives ({kind})"
            )
        fields.append(pa.field(name, kind, metadata={FORM: form.encode(), **role}))
    taken = {column.name for column in table.columns}
    for level in LEVELS if placed else ():
        extra = f"${level}"
        while extra in taken:
            extra = f"${extra}"
        fields.append(pa.field(extra, pa.string(), metadata={FORM: b"utf8", ROLE: level.encode()}))
    return pa.schema([*fields, *(ADDRESS_FIELDS if addressed else ())])
