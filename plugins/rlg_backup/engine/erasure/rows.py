"""Rows of erased subjects are left out while a table is loaded: they never reach the new database.

What was left out is taken from the profile, so that parity still proves every row that is there. To delete rows once
they are in would leave them in its pages and its log, run its triggers, and keep them in what was computed of them.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from ...anonymize.actions import Redact
from ...anonymize.policies import Policies
from ...core.errors import ErasureUndecided, ParityFailed
from ...format.digest import ROW_DIGESTS, RowDigest
from ...format.forms import TYPES
from ...format.profile import Profile, TableProfile
from ...sources.kinds import longest_text
from ..layers import LayeredTable
from ..tally import Tally
from .counts import SHOWN_LEVELS, ErasedRows, less_erased, title_of, titles_of
from .plan import Match, Place, Plan
from .subjects import texts_of

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_MODULUS = 2**256


@dataclass
class _Done:
    """What was left out of a table: the digests of rows that went and of those that came in their place."""

    went: RowDigest
    came: RowDigest
    counts: ErasedRows = field(default_factory=ErasedRows)


class TableErasing:
    """The erasures of one restore, of tables. ``placing``: table > the columns that say where its rows belong."""

    def __init__(self, plan: Plan, profile: Profile, placing: Mapping[str, frozenset[str]]) -> None:
        self.plan = plan
        self._profile, self._placing = profile, placing
        self._done: dict[Place, _Done] = {}
        self._one = Lock()

    def stages(self, tables: Sequence[LayeredTable], keys: Sequence[bytes]) -> Iterator[list[LayeredTable]]:
        """The tables in groups: the rows of one group tell which of the next belong to erased subjects. Tables that
        refer to themselves, or to each other in a circle, are read ahead of being loaded; one of ``keys`` turns tokens
        back."""
        by_place = {(one.table.schema_name, one.table.name): one for one in tables}
        for places in self.plan.stages(by_place):
            self._find(
                [one for place, one in by_place.items() if place in places and self.plan.looks_ahead(place)], keys
            )
            yield [one for place, one in by_place.items() if place in places]

    def _find(self, tables: Sequence[LayeredTable], keys: Sequence[bytes]) -> None:
        """Reads tables for the keys of erased rows, again until none is found that was not known."""
        before = -1
        while tables and self.plan.known > before:
            before = self.plan.known
            for one in tables:
                matches = self.plan.matches[one.table.schema_name, one.table.name]
                fresh = LayeredTable(one.table, one.layers, one.digest_key)  # it counts what was read of it
                batches = (batch for layer, name in fresh.parts for batch in fresh.rows(layer, [name], keys))
                for batch in batches:
                    for match in matches:
                        _hit(batch, match)

    def rows(self, table: TableProfile, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of some members of a table, without those that are erased. For several threads."""
        place = (table.schema_name, table.name)
        matches = self.plan.matches.get(place)
        if not matches:
            yield from batches
            return
        placing = next((self._placing[title] for title in titles_of(table) if title in self._placing), frozenset[str]())
        work = _Erasure(table, matches, self._new(), placing=placing, key=bytes.fromhex(self._profile.digest_key))
        for batch in batches:
            yield from work.left(batch)
        with self._one:
            all_of_it = self._done.setdefault(place, self._new())
            all_of_it.went += work.done.went
            all_of_it.came += work.done.came
            all_of_it.counts.add(work.done.counts)

    @contextmanager
    def told_of_orphans(self) -> Iterator[None]:
        """Around what makes foreign keys: of rows that refer to erased ones the configuration must say what to do."""
        try:
            yield
        except ParityFailed as error:
            if not self.erased or error.verb == "restore to":  # by then all keys were made
                raise
            cause = f"without what was to be erased, {error.cause}"
            hint = "say under 'erasure.subjects' what becomes of rows that refer to erased ones: delete or anonymize"
            raise ErasureUndecided("erase in", error.subject, cause, hint) from None

    @property
    def erased(self) -> dict[str, ErasedRows]:
        """By table, of those that something was erased of."""
        found = {title_of(table): self._of(table) for table in self._profile.tables}
        return {title: done.counts for title, done in found.items() if done is not None and done.counts}

    def profile(self) -> Profile:
        """What the restored database must be."""
        less = less_erased(self._profile, self.erased)
        return less.model_copy(update={"tables": tuple(self._digested(table) for table in less.tables)})

    def _digested(self, table: TableProfile) -> TableProfile:
        done = self._of(table)
        if done is None:
            return table
        came, went = (int(digest.hexdigest(), 16) for digest in (done.came, done.went))
        restored = (int(table.digest.restored, 16) + came - went) % _MODULUS
        return table.model_copy(update={"digest": table.digest.model_copy(update={"restored": f"{restored:064x}"})})

    def _of(self, table: TableProfile) -> _Done | None:
        return self._done.get((table.schema_name, table.name))

    def _new(self) -> _Done:
        kind, key = ROW_DIGESTS[self._profile.row_digest], bytes.fromhex(self._profile.digest_key)
        return _Done(kind(key), kind(key))


class _Erasure:
    """The erasures in some members of one table. ``key`` hashes what no two rows may have alike."""

    def __init__(
        self, table: TableProfile, matches: Sequence[Match], done: _Done, *, placing: frozenset[str], key: bytes
    ) -> None:
        self._matches, self._placing, self.done, self._key = matches, placing, done, key
        self._title = title_of(table)
        self._columns = {column.name: column for column in table.columns}

    def left(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The rows that stay, as they are or with columns emptied; in groups by what befell them."""
        import polars as pl

        befell = pl.zeros(len(batch), dtype=pl.UInt64, eager=True)
        for number, match in enumerate(self._matches):
            hit = _hit(batch, match)
            if hit is not None:
                befell += hit.cast(pl.UInt64) * 2**number
        for code in befell.unique().sort():
            rows = batch.filter((befell == code).to_arrow())
            matches = [match for number, match in enumerate(self._matches) if code >> number & 1]
            if not matches:
                yield rows
            elif any(match.does.action == "delete" for match in matches):
                self.done.went.update(rows)
                self.done.counts.add(ErasedRows(len(rows), 0, _places(rows)))
            else:
                yield self._anonymized(rows, matches)

    def _anonymized(self, rows: pa.RecordBatch, matches: Sequence[Match]) -> pa.RecordBatch:
        names = {name for match in matches for name in (*match.does.columns, *([match.column] if match.cut else []))}
        names &= set(rows.schema.names)  # a column that a policy dropped is empty already
        nullable = {name: column.nullable for name, column in self._columns.items()}
        emptied = Policies(self._title, {name: Redact() for name in names}, None, nullable).apply(rows)
        for name in sorted(name for name in names if not nullable[name]):
            place, declared = emptied.schema.get_field_index(name), self._columns[name].declared_type
            own = own_values(self._key, rows.column(name), declared)
            emptied = emptied.set_column(place, emptied.schema.field(place), own)
        self.done.went.update(rows)
        self.done.came.update(emptied)
        moved = bool(self._placing) and self._placing <= {name for name in names if nullable[name]}
        self.done.counts.add(ErasedRows(0, len(rows), _moved(_places(rows)) if moved else {}))
        return emptied


def own_values(key: bytes, column: pa.Array, declared: str) -> pa.Array:
    """Texts in place of a column's values, the same for the same: where none is NULL, no two may have to be alike. What
    is too long for the declared type loses its beginning. A NULL that was there before the column took none stays."""
    import polars as pl

    texts, longest = texts_of(column), longest_text(declared) or 0
    distinct = texts.drop_nulls().unique().to_list()
    own = [
        f"erased-{hmac.digest(key, text.encode('utf-8', 'surrogatepass'), 'sha256').hex()[:16]}" for text in distinct
    ]
    series = texts.replace_strict(distinct, [text[-longest:] for text in own], return_dtype=pl.String)
    return series.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(TYPES["utf8"])


def _hit(batch: pa.RecordBatch, match: Match) -> pl.Series | None:
    """Which rows a match is of; what refers to them is to be found later. None where it is of none."""
    texts = texts_of(batch.column(match.column), match.declared)
    found = [text for text in texts.drop_nulls().unique() if match.whose.has(text)]
    if not found:
        return None
    hit = texts.is_in(found).fill_null(False)
    for name, keys in match.notes.items():
        keys.add(texts_of(batch.column(name), match.noted[name]).filter(hit))
    return hit


def _places(rows: pa.RecordBatch) -> dict[str, dict[str, int]]:
    tally = Tally(())
    tally.add(rows)
    return tally.geography(SHOWN_LEVELS) or {}


def _moved(places: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Rows that have no place any more: they count under ''."""
    return {
        level: {**{code: rows for code, rows in codes.items() if code}, "": codes.get("", 0) - sum(codes.values())}
        for level, codes in places.items()
    }
