"""Saves the tables of one snapshot as members: policies, digests and clustering in one stream.

No original value of a column under a policy reaches a disk: a batch is tokenized, hashed or redacted in
memory before it is written. A table is read in the pieces its source cuts it into, several at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..anonymize.actions import Action, Tokenize
from ..anonymize.column_words import PERSONAL
from ..anonymize.originals import Originals
from ..anonymize.resolution import action_of, resolve, unused
from ..changes.bag import Bag
from ..changes.places import difference
from ..config.residency import Residency
from ..config.settings import TableSettings
from ..core.errors import InvalidSetting, SourceUnreadable
from ..format.change_state import StateTable
from ..sources.port import AddressedSnapshot, Column, Piece, Stretch, Table, TableSnapshot
from .breaking import beside, require_unbroken
from .classifying import UNASSIGNED, class_of
from .coarse_places import CoarsePlaces
from .fitting import doubts, require_fitting, require_pairs
from .members import StagedMembers
from .parallel import run_all
from .samples import Samples
from .saved_table import PieceWriter, SavedTable
from .tracking import Tracking
from .undecided import Undecided
from .wiring import Progress
from .zones import Zones

if TYPE_CHECKING:
    import pyarrow as pa


class TableSaver:
    """Saves all tables of one snapshot; collects what the profile says of them."""

    def __init__(
        self,
        snapshot: TableSnapshot,
        settings: TableSettings,
        members: StagedMembers,
        samples: Samples,
        *,
        digest_key: bytes,
        tokenization_key: bytes | None,
        originals: Originals,
        progress: Progress,
        residency: Residency,
        tracking: Tracking | None = None,
        undecided: Undecided,
    ) -> None:
        self._snapshot = snapshot
        self._addressed = cast(AddressedSnapshot, snapshot)  # asked for tables that have a storage
        self._settings = settings
        self._members, self._samples = members, samples
        self._digest_key = digest_key
        self._key = tokenization_key
        self._originals = originals
        self._progress, self._tracking, self._zones = progress, tracking, Zones(residency)
        self._undecided = undecided
        self._tables = {table.title: table for table in snapshot.tables}
        self._coarse = CoarsePlaces(settings.geography, self._rows_of)
        self._referred = {rule.refers for table in snapshot.tables for rule in table.rules if rule.kind == "reference"}
        self._datasets = {table: name for name, tables in settings.datasets.items() for table in tables}
        self.profiles: list[dict[str, Any]] = []
        self.zone_profiles: dict[str, list[dict[str, Any]]] = {}
        """By zone, of the tables that have rows of it."""
        self.samples: list[list[str]] = []
        """Of each table the files of its sample, for the search for personal data."""
        self.states: list[StateTable] = []
        self.made_of: list[Mapping[str, Any] | None] = []
        """Of each table what its identity in the state is made of; None where changes are not tracked."""
        self.warnings: list[str] = []

    def save_all(self) -> None:
        """Every table of the snapshot. Settings that name nothing there are errors before a row is read."""
        self._check_settings()
        self.warnings += self._allowed_for_nothing()
        self._require_placed()
        self.warnings += self._undecided.find()
        saved = [self._prepared(table) for table in self._snapshot.tables]
        cut = [(table, self._snapshot.pieces(table.table)) for table in saved]
        cut.sort(key=lambda item: -len(item[1]))  # the long ones first: no reader is left alone with one at the end
        for table, pieces in cut:
            table.expect(len(pieces))
        jobs = [partial(self._save, table, piece) for table, pieces in cut for piece in pieces]
        jobs += [partial(self._count, table) for table in saved if table.as_places]
        run_all(jobs, self._snapshot.readers)
        self.profiles = [table.profile() for table in saved]
        for table in saved:
            for zone, part in table.zone_profiles().items():
                self.zone_profiles.setdefault(zone, []).append(part)
        self._require_known_places(saved)
        self.samples = [table.sampled for table in saved]
        self.made_of = [table.tracked.made_of if table.tracked else None for table in saved]
        self.states = [state for table in saved if (state := table.state()) is not None]

    def _check_settings(self) -> None:
        tables: dict[str, set[str]] = {}  # of one that others inherit from with what these have besides
        for one in self._snapshot.tables:
            for title in one.titles:
                tables.setdefault(title, set()).update(column.name for column in one.columns)
        hint = "correct the name, or take the line out"
        for setting in ("policies", "classes", "masked", "invariants", "allow_breaking"):
            for pattern in unused(getattr(self._settings, setting), tables):
                raise InvalidSetting("apply", f"{setting}.{pattern}", "it matches no column of the source", hint)
        for name in set(self._settings.dataset_policies) - {*self._settings.datasets, UNASSIGNED}:
            raise InvalidSetting("apply", f"dataset_policies.{name}", "there is no dataset of that name", hint)
        excluded = {item.name for item in self._snapshot.excluded}
        for table in self._datasets:
            if table not in tables and table not in excluded:
                raise InvalidSetting("apply", f"datasets.{self._datasets[table]}", f"there is no table '{table}'", hint)
        for table, columns in self._settings.totals.items():
            for column in columns:
                if column not in tables.get(table, set()):
                    raise InvalidSetting("apply", f"totals.{table}", f"there is no column '{column}'", hint)

    def _allowed_for_nothing(self) -> list[str]:
        """No error: without its name the column is tokenized, and a partitioned table may have no part yet."""
        named = {
            f"{title}.{one.name}" for table in self._snapshot.tables for title in table.titles for one in table.columns
        }
        names = sorted({*self._settings.personal_text_allowed} - named)
        return [f"personal_text_allowed: '{name}' is no column that is saved" for name in names]

    def _prepared(self, table: Table) -> SavedTable:
        detected = self._undecided.of(table)
        actions = {name: self._coarse.known_to(table, name, action) for name, action in self._actions(table).items()}
        actions |= dict.fromkeys(detected, Tokenize())
        for_ever = {name: action for name, action in actions.items() if not action.reversible}
        require_pairs(table, actions)
        require_fitting(table, for_ever, self._for_ever)
        require_unbroken(table, for_ever, self._settings, self._referred)
        self.warnings += [*doubts(table, for_ever), *beside(table, actions, self._settings)]
        return SavedTable(
            table,
            actions,
            _first(self._settings.totals, table.titles, ()),
            self._dataset(table),
            self._digest_key,
            self._key,
            self._members,
            self._samples,
            self._tracking.table(table, actions) if self._tracking else None,
            self._zones,
            detected,
        )

    def _require_placed(self) -> None:
        """Where rows must stay in a zone, every table says where its own belong."""
        geography = self._settings.geography
        if geography is not None:  # else all rows of the source are of one zone
            told = {*geography.tables, *(level.table for level in geography.levels.values())}
            self._zones.require_placed(self._snapshot.tables, told, self._settings.placeless)

    def _require_known_places(self, saved: Sequence[SavedTable]) -> None:
        """Every place that a zone names, and every one that decides of a row's zone, is one that the source lists.
        Raises InvalidSetting, and ResidencyRefused."""
        geography = self._settings.geography
        named = geography.levels.items() if geography else ()
        titles: dict[str, str] = {level: one.table for level, one in named if level in self._zones.levels}
        if not titles:
            return
        listed: dict[str, set[str]] = {level: set() for level in titles}
        for level, title in titles.items():
            for table in saved:
                if title in table.table.titles:
                    listed[level] |= table.places(level)
        self._zones.require_known(titles, listed)
        for table in saved:
            for level, codes in listed.items():
                self._zones.require_listed(table.table.title, level, table.places(level), codes)

    def _for_ever(self, title: str, column: str) -> Action | None:
        """What is left for ever of a column of another table; one that has no rows of its own has its parts' policies,
        which may come from their dataset."""
        table = self._tables.get(title) or next((one for one in self._tables.values() if title in one.titles), None)
        found = resolve(self._settings.policies, title, [column]) if table is None else self._actions(table)
        action = found.get(column)
        return None if action is None or action.reversible else action

    def _actions(self, table: Table) -> dict[str, Action]:
        """The policy of each column: what names the table itself goes before what names the tables it is within, and
        both before what its dataset says of all."""
        columns = [column.name for column in table.columns]
        found: dict[str, Action] = {}
        for title in table.titles:
            found = {**resolve(self._settings.policies, title, columns), **found}
        rest = self._settings.dataset_policies.get(self._dataset(table))
        if rest is None:
            return found
        action = action_of(rest)
        return {**{one.name: action for one in table.columns if self._covers(action, table, one)}, **found}

    def _covers(self, action: Action, table: Table, column: Column) -> bool:
        """Whether what a dataset says of all is said of a column: not of truth values, which are nobody's unless they
        are called personal, where it takes none. One that was added overnight would stop every night's backup."""
        nobodys = column.kind == "boolean" and class_of(self._settings, table, column.name) != PERSONAL
        return not nobodys or column.kind in action.takes

    def _dataset(self, table: Table) -> str:
        return str(_first(self._datasets, table.titles, UNASSIGNED))

    def _rows_of(self, title: str) -> Generator[pa.RecordBatch, None, None] | None:
        table = self._tables.get(title)
        return None if table is None else self._snapshot.read(table, geography=False)

    def _save(self, table: SavedTable, piece: Piece) -> None:
        writer = PieceWriter(table, self._originals)
        if table.as_places:
            self._write_changes(table, piece, writer)
        else:
            self._write(table, writer, self._read(table, piece))
        table.add(writer)

    def _read(self, table: SavedTable, piece: Piece) -> Generator[pa.RecordBatch, None, None]:
        if table.tracked is None or table.tracked.storage is None:
            return self._snapshot.read(table.table, piece=piece)
        return self._addressed.read_addressed(table.table, piece)

    def _write_changes(self, table: SavedTable, piece: Piece, writer: PieceWriter) -> None:
        """Rows that lie where they lay are known; only the others are read. Where addresses are not to be believed, all
        are read, and those of each stretch told apart by their numbers."""
        assert table.tracked is not None
        believed = self._addressed.ran_on(table.tracked.position_before)
        with closing(self._addressed.addresses(table.table, piece)) as stretches:
            for stretch in stretches:
                numbers, before = table.tracked.rows_before(stretch.first, stretch.last)
                if not believed:
                    known = Bag(numbers)
                    self._write_at(table, writer, stretch, stretch.places, known)
                    table.removed.add(known.rest())
                    continue
                new = self._addressed.may_be_new(table.tracked.position_before, stretch.versions)
                found = difference((before.place, before.version), (stretch.places, stretch.versions), new)
                kept, gone = found.kept, ~found.kept
                writer.keep((numbers[0][kept], numbers[1][kept]), before.of(kept))
                table.removed.add((numbers[0][gone], numbers[1][gone]))
                self._tell(table, int(kept.sum()))
                self._write_at(table, writer, stretch, stretch.places[found.added])

    def _write_at(
        self, table: SavedTable, writer: PieceWriter, stretch: Stretch, places: Any, known: Bag | None = None
    ) -> None:
        """Raises SourceUnreadable when other rows come than lie there: what is missing would be gone in silence."""
        if not len(places):
            return
        rows = self._write(table, writer, self._addressed.read_at(table.table, stretch, places), known)
        if rows != len(places):
            raise SourceUnreadable("read", table.table.title, f"it gave {rows} rows of the {len(places)} asked for")

    def _write(
        self,
        table: SavedTable,
        writer: PieceWriter,
        read: Generator[pa.RecordBatch, None, None],
        known: Bag | None = None,
    ) -> int:
        """Saves rows, but for those that are ``known``; how many were read."""
        rows = 0
        with closing(read) as batches:
            for batch in batches:
                writer.write(batch, known)
                rows += batch.num_rows
                self._tell(table, batch.num_rows)
        return rows

    def _count(self, table: SavedTable) -> None:
        """Of a table whose rows were not all read."""
        with closing(self._addressed.counted(table.table, table.totals)) as groups:
            for batch in groups:
                table.tally(batch)

    def _tell(self, table: SavedTable, rows: int) -> None:
        self._progress(f"snapshot {table.table.title}", table.count(rows), 0)


def _first(settings: Mapping[str, Any], titles: Sequence[str], default: Any) -> Any:
    return next((settings[title] for title in titles if title in settings), default)
