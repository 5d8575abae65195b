"""Tables of a SQLite database whose rows, as the configuration declares, never change once they are written.

A row is then known by its INTEGER PRIMARY KEY, which AUTOINCREMENT never gives twice: an incremental backup reads the
keys, and of the rows those that are new. Rows may be deleted. One that is changed all the same is not noticed before
the next full backup: what was declared is believed. So is that nobody copies an older database over the file, which
gives keys again that were given: only another file in its place is noticed.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from ..core.errors import InvalidSetting, SourceUnreadable
from .port import PLACE, ROLE, VERSION, Piece, Stretch, Table
from .sqlite_schema import Layout, quoted, text_of

if TYPE_CHECKING:
    from .sqlite_read import TableReader

STORAGE: Final = "append-only"
_STRETCH_ROWS: Final = 200_000
_LARGEST: Final = 2**53 - 1  # of the places that the format takes
_FIELDS: Final = (
    pa.field("$place", pa.uint64(), metadata={ROLE: PLACE}),
    pa.field("$version", pa.uint32(), metadata={ROLE: VERSION}),
)


class AppendOnlyReading(ABC):
    """The part of a snapshot that knows tables by their keys (see ``port.AddressedSnapshot``)."""

    _connection: sqlite3.Connection
    _path: Path
    _layouts: Mapping[str, Layout]

    @abstractmethod
    def _reader_of(self, table: Table) -> TableReader: ...

    @abstractmethod
    def _failed(self, table: Table, error: Exception) -> SourceUnreadable: ...

    def position(self) -> Mapping[str, str]:
        """Which file it is: one that was put back from a copy gives keys again."""
        return {"inode": str(self._path.stat().st_ino)}

    def wait_until_kept(self, position: Mapping[str, str]) -> None:
        """Nothing is waited for."""
        return

    def why_unrelated(self, position: Mapping[str, str]) -> str | None:
        if position == self.position():
            return None
        return "the database file is another one than at the backup before: it was put back, or replaced"

    def ran_on(self, position: Mapping[str, str]) -> bool:
        """There is no such program."""
        return True

    def may_be_new(self, position: Mapping[str, str], versions: Any) -> Any:
        return np.zeros(len(versions), np.bool_)

    def read_addressed(self, table: Table, piece: Piece) -> Generator[pa.RecordBatch, None, None]:
        yield from self._read(table, None)

    def addresses(self, table: Table, piece: Piece) -> Generator[Stretch, None, None]:
        """By key, some hundred thousand at a time."""
        key, name = self._key(table), quoted(table.name)
        query = f"SELECT {key} FROM {name} WHERE {key} >= ? ORDER BY {key} LIMIT {_STRETCH_ROWS}"  # noqa: S608 - quoted
        first: int | None = 0
        while first is not None:
            try:
                found = [row[0] for row in self._connection.execute(query, (first,)).fetchall()]
            except sqlite3.Error as error:
                raise self._failed(table, error) from error
            following = found[-1] + 1 if len(found) == _STRETCH_ROWS else None
            yield Stretch(first, following, np.array(found, np.uint64), np.zeros(len(found), np.uint32))
            first = following

    def read_at(self, table: Table, stretch: Stretch, places: Any) -> Generator[pa.RecordBatch, None, None]:
        for batch in self._read(table, (int(places[0]), int(places[-1]))):
            own = pl.Series(pl.from_arrow(batch.column(batch.num_columns - 2))).to_numpy()
            yield batch.filter(pl.Series(np.isin(own, places)).to_arrow())

    def counted(self, table: Table, totals: Sequence[str]) -> Generator[pa.RecordBatch, None, None]:
        """Nothing: such a table has neither geography nor totals."""
        yield from ()

    def _read(self, table: Table, keys: tuple[int, int] | None) -> Generator[pa.RecordBatch, None, None]:
        alias = self._layouts[table.name].alias
        try:
            for batch in self._reader_of(table).batches(65_536, keys):
                place = pl.Series(pl.from_arrow(batch.column(alias))).to_numpy().astype(np.uint64)
                extra = (pl.Series(place).to_arrow(), pl.Series(np.zeros(len(place), np.uint32)).to_arrow())
                schema = pa.schema([*batch.schema, *_FIELDS])
                yield pa.RecordBatch.from_arrays([*batch.columns, *extra], schema=schema)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._failed(table, error) from error

    def _key(self, table: Table) -> str:
        return quoted(self._layouts[table.name].alias or "")


def storages(
    connection: sqlite3.Connection, layouts: Mapping[str, Layout], declared: Collection[str], counted: Collection[str]
) -> dict[str, str]:
    """The ``storage`` of each declared table; none for one with keys that are no place. Raises InvalidSetting for one
    that is not there, whose keys may be given twice, or that is ``counted`` by geography, which needs all rows."""
    found, used = {}, set()
    if declared and connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        used = {text_of(name) for (name,) in connection.execute("SELECT name FROM sqlite_sequence")}
    for name in declared:
        if name not in layouts:
            raise _invalid(name, "there is no such table", "correct the name, or take it out")
        if name in counted:
            raise _invalid(name, "it has geography, for which all its rows are read", "take it out of one of the two")
        alias = quoted(layouts[name].alias or "rowid")
        least, most = connection.execute(f"SELECT min({alias}), max({alias}) FROM {quoted(name)}").fetchone()  # noqa: S608
        if least is None:
            continue
        if name not in used:
            cause = "its keys may be given twice: it has no INTEGER PRIMARY KEY AUTOINCREMENT"
            raise _invalid(name, cause, "take it out")
        if least >= 0 and most <= _LARGEST:
            found[name] = STORAGE
    return found


def _invalid(name: str, cause: str, hint: str) -> InvalidSetting:
    return InvalidSetting("use", f"append_only.{name}", cause, hint)
