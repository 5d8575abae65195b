"""Reading what changed: addresses of all rows, the rows at some of them, counts of those that are not read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from ...core.model import LEVELS
from ..port import PLACE, ROLE, Piece, Stretch, Table
from .catalog import SourceTable, quoted
from .reader import Pages, Readers, where_of
from .row_addresses import ADDRESS, addresses, as_array, first_place, page_of

if TYPE_CHECKING:
    from ..geography import Geography

STRETCH_PAGES: Final = 2048  # 16 MiB of a table: some hundred thousand rows' addresses are in memory
_AT_ONCE: Final = 5000  # addresses in one statement
_MANY: Final = 4  # from one in so many on, all rows of a stretch are read instead of each by its address
_ONE_TEXT: Final = ("smallint", "integer", "bigint", "uuid")  # types whose equal values are written alike
_ROWS: Final = '"$n"'


class AddressedReading(ABC):
    """The part of a snapshot that knows addresses (see ``port.AddressedSnapshot``)."""

    _readers: Readers
    _geography: Geography | None
    _tables: Mapping[tuple[str, str], SourceTable]

    @abstractmethod
    def _places(self, table: Table) -> Sequence[str]: ...

    @abstractmethod
    def _pages(self, table: SourceTable) -> int: ...

    def read_addressed(self, table: Table, piece: Piece) -> Generator[pa.RecordBatch, None, None]:
        assert piece is None or isinstance(piece, Pages)  # of ``pieces``
        found = self._tables[table.schema, table.name]
        yield from self._readers.batches(found, piece, self._places(table), addressed=True)

    def addresses(self, table: Table, piece: Piece) -> Generator[Stretch, None, None]:
        assert piece is None or isinstance(piece, Pages)
        found = self._tables[table.schema, table.name]
        for pages in _stretches(piece, self._pages(found)):
            yield self._stretch(found, pages)

    def read_at(
        self, table: Table, stretch: Stretch, places: np.ndarray[Any, np.dtype[np.uint64]]
    ) -> Generator[pa.RecordBatch, None, None]:
        found, levels = self._tables[table.schema, table.name], self._places(table)
        if _MANY * len(places) > len(stretch.places):
            pages = Pages(page_of(stretch.first), None if stretch.last is None else page_of(stretch.last))
            for batch in self._readers.batches(found, pages, levels, addressed=True):
                yield _only(batch, places)
            return
        for start in range(0, len(places), _AT_ONCE):
            at = as_array(places[start : start + _AT_ONCE])
            yield from self._readers.batches(found, None, levels, addressed=True, at=at)

    def counted(self, table: Table, totals: Sequence[str]) -> Generator[pa.RecordBatch, None, None]:
        """Rows are put together by the columns that tell their place before it is looked up, once for each group, and
        then by their place."""
        levels = self._places(table)
        if not levels and not totals:
            return
        found = self._tables[table.schema, table.name]
        with self._readers.running(self._count(found, table, levels, totals), found) as reader:
            for batch in reader:
                if batch.num_rows:
                    fields = [pa.field(level, pa.string(), metadata={ROLE: level.encode()}) for level in LEVELS]
                    rest = list(batch.schema)[len(levels) :]
                    yield pa.RecordBatch.from_arrays(
                        batch.columns, schema=pa.schema([*(fields if levels else ()), *rest])
                    )

    def _count(self, found: SourceTable, table: Table, levels: Sequence[str], totals: Sequence[str]) -> str:
        columns = self._place_columns(table) if levels else []
        declared = {column.name: column.declared_type for column in table.columns}
        keys = [quoted(name) for name in columns]
        keys += [_exactly(quoted(name)) for name in columns if declared.get(name) not in _ONE_TEXT]
        whole = {column.name: column.expression for column in found.columns if column.whole}
        sums = [f'"$s{number}"' for number in range(len(totals))]
        rows = [*keys[: len(columns)], f"pg_catalog.count(*) AS {_ROWS}"]
        rows += [f"{_sum(whole.get(name))} AS {sum_}" for name, sum_ in zip(totals, sums, strict=True)]
        statement = f'SELECT {", ".join(rows)} FROM {found.relation} AS "row"{where_of(found, None)}{_grouped(keys)}'  # noqa: S608  # quoted names
        places = [f'"$p{number}"' for number in range(len(levels))]
        groups = [f"{_exactly(level)} AS {place}" for level, place in zip(levels, places, strict=True)]
        statement = f'SELECT {", ".join([*groups, _ROWS, *sums])} FROM ({statement}) AS "row"'  # noqa: S608
        given = [*places, f"pg_catalog.sum({_ROWS})::pg_catalog.int8"]
        given += [f"pg_catalog.sum({sum_})::pg_catalog.text" for sum_ in sums]
        return f'SELECT {", ".join(given)} FROM ({statement}) AS "row"{_grouped(places)}'  # noqa: S608

    def _place_columns(self, table: Table) -> list[str]:
        """The table's own columns that its geography is told by."""
        assert self._geography is not None
        title = next(title for title in table.titles if title in self._geography.tables)
        told = self._geography.tables[title]
        return list(dict.fromkeys([*told.columns.values(), *([told.through] if told.through else [])]))

    def _stretch(self, found: SourceTable, pages: Pages) -> Stretch:
        """The addresses of a few pages; the session is free again before they are given on."""
        statement = f'SELECT {", ".join(ADDRESS)} FROM {found.relation} AS "row"{where_of(found, pages)}'  # noqa: S608
        with self._readers.running(statement, found) as reader:
            pairs = [addresses(batch) for batch in reader if batch.num_rows]
        places = np.concatenate([one for one, _ in pairs] or [np.empty(0, np.uint64)])
        versions = np.concatenate([one for _, one in pairs] or [np.empty(0, np.uint32)])
        if (places[1:] < places[:-1]).any():
            order = np.argsort(places)
            places, versions = places[order], versions[order]
        last = None if pages.last is None else first_place(pages.last)
        return Stretch(first_place(pages.first), last, places, versions)


def _stretches(piece: Pages | None, pages: int) -> Iterator[Pages]:
    """A piece in runs of a few pages; the last of an open piece is open."""
    first = piece.first if piece else 0
    last = piece.last if piece else None
    end = pages if last is None else last
    for start in range(first, max(end, first + 1), STRETCH_PAGES):
        more = start + STRETCH_PAGES < end
        yield Pages(start, start + STRETCH_PAGES if more else last)


def _sum(number: str | None) -> str:
    """Of what gives whole numbers; NULL where nothing does."""
    return "NULL::pg_catalog.numeric" if number is None else f"coalesce(pg_catalog.sum({number}), 0)"


def _exactly(value: str) -> str:
    """A value as a text that no other value is equal to: 1.0 and 1.00 are equal, and texts by some collations."""
    return f'CAST({value} AS pg_catalog.text) COLLATE pg_catalog."C"'


def _grouped(keys: Sequence[str]) -> str:
    """As groups of these; of no rows none, without keys too."""
    groups = f" GROUP BY {', '.join(keys)}" if keys else ""
    return f"{groups} HAVING pg_catalog.count(*) > 0"


def _only(batch: pa.RecordBatch, places: np.ndarray[Any, np.dtype[np.uint64]]) -> pa.RecordBatch:
    """The rows of a batch that lie at these places, which are in order."""
    import polars as pl

    field = next(number for number, one in enumerate(batch.schema) if (one.metadata or {}).get(ROLE) == PLACE)
    own = pl.Series(pl.from_arrow(batch.column(field))).to_numpy()
    at = np.minimum(np.searchsorted(places, own), len(places) - 1)
    return batch.filter(pl.Series(places[at] == own).to_arrow())
