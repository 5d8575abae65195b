"""Saves the tables of one snapshot as members: policies, digests and clustering in one stream.

No original value of a column under a policy reaches a disk: a batch is tokenized, hashed or redacted in
memory before it is written. A table is read in the pieces its source cuts it into, several at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from ..anonymize.actions import Action
from ..anonymize.originals import Originals
from ..anonymize.policies import Policies
from ..anonymize.resolution import resolve, unused
from ..config.settings import TableSettings
from ..core.errors import InvalidSetting
from ..core.model import LEVELS
from ..format.digest import ROW_DIGESTS, WRITTEN
from ..format.forms import role_of
from ..format.names import table_folder
from ..format.rows import PartWriter
from ..sources.port import Piece, Table, TableSnapshot
from .fitting import doubts, require_fitting
from .members import StagedMembers
from .parallel import run_all
from .tally import Tally
from .wiring import Progress

if TYPE_CHECKING:
    import pyarrow as pa


class TableSaver:
    """Saves all tables of one snapshot; collects what the profile says of them."""

    def __init__(
        self,
        snapshot: TableSnapshot,
        settings: TableSettings,
        members: StagedMembers,
        *,
        digest_key: bytes,
        tokenization_key: bytes | None,
        originals: Originals,
        progress: Progress,
    ) -> None:
        self._snapshot = snapshot
        self._settings = settings
        self._members = members
        self._digest_key = digest_key
        self._key = tokenization_key
        self._originals = originals
        self._progress = progress
        self._tables = {table.title: table for table in snapshot.tables}
        self._datasets = {table: name for name, tables in settings.datasets.items() for table in tables}
        self.profiles: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def save_all(self) -> None:
        """Every table of the snapshot. Settings that name nothing there are errors before a row is read."""
        self._check_settings()
        saved = [self._prepared(table) for table in self._snapshot.tables]
        cut = [(table, self._snapshot.pieces(table.table)) for table in saved]
        cut.sort(key=lambda item: -len(item[1]))  # the long ones first: no reader is left alone with one at the end
        jobs = [partial(self._save, table, piece) for table, pieces in cut for piece in pieces]
        run_all(jobs, self._snapshot.readers)
        self.profiles = [table.profile() for table in saved]

    def _check_settings(self) -> None:
        tables = {
            title: [column.name for column in table.columns]
            for table in self._snapshot.tables
            for title in reversed(table.titles)
        }
        hint = "correct the name, or take the line out"
        for pattern in unused(self._settings.policies, tables):
            raise InvalidSetting("apply", f"policies.{pattern}", "it matches no column of the source", hint)
        excluded = {item.name for item in self._snapshot.excluded}
        for table in self._datasets:
            if table not in tables and table not in excluded:
                raise InvalidSetting("apply", f"datasets.{self._datasets[table]}", f"there is no table '{table}'", hint)
        for table, columns in self._settings.totals.items():
            for column in columns:
                if column not in tables.get(table, ()):
                    raise InvalidSetting("apply", f"totals.{table}", f"there is no column '{column}'", hint)

    def _prepared(self, table: Table) -> _SavedTable:
        actions = _actions(self._settings.policies, table)
        for_ever = {name: action for name, action in actions.items() if not action.reversible}
        require_fitting(table, for_ever, self._for_ever)
        self.warnings += doubts(table, for_ever)
        return _SavedTable(
            table,
            actions,
            _first(self._settings.totals, table.titles, ()),
            _first(self._datasets, table.titles, "unassigned"),
            self._digest_key,
            self._key,
        )

    def _for_ever(self, title: str, column: str) -> Action | None:
        """What is left for ever of a column of another table."""
        table = self._tables.get(title)
        policies = self._settings.policies
        action = (resolve(policies, title, [column]) if table is None else _actions(policies, table)).get(column)
        return None if action is None or action.reversible else action

    def _save(self, table: _SavedTable, piece: Piece) -> None:
        writer = _PieceWriter(table, self._members)
        with closing(self._snapshot.read(table.table, piece=piece)) as batches:
            for batch in batches:
                self._originals.collect(table.table.root, batch, table.protected)
                writer.write(batch)
                self._progress(f"snapshot {table.table.title}", table.count(batch.num_rows), 0)
        table.add(writer)


def _actions(policies: Mapping[str, str], table: Table) -> dict[str, Action]:
    """The policy of each column: what names the table itself goes before what names the tables it is within."""
    columns = [column.name for column in table.columns]
    found: dict[str, Action] = {}
    for title in table.titles:
        found = {**resolve(policies, title, columns), **found}
    return found


def _first(settings: Mapping[str, Any], titles: Sequence[str], default: Any) -> Any:
    return next((settings[title] for title in titles if title in settings), default)


class _SavedTable:
    """One table: what is done to it, and the sum of what its pieces gave. Shared by threads."""

    def __init__(
        self,
        table: Table,
        actions: Mapping[str, Action],
        totals: Sequence[str],
        dataset: str,
        digest_key: bytes,
        tokenization_key: bytes | None,
    ) -> None:
        nullable = {column.name: column.nullable for column in table.columns}
        for_ever = {name: action for name, action in actions.items() if not action.reversible}
        for_now = {name: action for name, action in actions.items() if action.reversible}
        self.table, self.totals, self.digest_key = table, totals, digest_key
        self._actions, self._dataset = actions, dataset
        self.mask = Policies(table.title, for_ever, tokenization_key, nullable)
        self.tokenize = Policies(table.title, for_now, tokenization_key, nullable)
        for policies in (self.mask, self.tokenize):
            policies.check([column.name for column in table.columns])
        self.protected = [*self.mask.declared, *self.tokenize.declared]
        self._folder = table_folder(table.schema, table.name)
        self._lock = Lock()
        self._names: list[str] = []
        self._rows = 0
        self._restored, self._stored = (ROW_DIGESTS[WRITTEN](digest_key) for _ in range(2))
        self._tally = Tally(totals)

    def next_part(self) -> str:
        """The name of a member that is begun now."""
        with self._lock:
            self._names.append(f"{self._folder}/part-{len(self._names):05d}.parquet")
            return self._names[-1]

    def count(self, rows: int) -> int:
        """The rows that were read so far, with these."""
        with self._lock:
            self._rows += rows
            return self._rows

    def add(self, piece: _PieceWriter) -> None:
        """Ends a piece and takes in what it holds."""
        piece.close()
        with self._lock:
            self._restored += piece.restored
            self._stored += piece.stored
            self._tally.merge(piece.tally)

    def profile(self) -> dict[str, Any]:
        """What profile.json says of the table."""
        table = self.table
        return {
            "schema": table.schema,
            "name": table.name,
            "rows": self._stored.rows,
            "fingerprint": table.fingerprint,
            "digest": {"restored": self._restored.hexdigest(), "stored": self._stored.hexdigest()},
            "members": self._names,
            "columns": [
                {
                    "name": column.name,
                    "declared_type": column.declared_type,
                    "nullable": column.nullable,
                    "key": column.key,
                    "policy": self._actions[column.name].name if column.name in self._actions else "keep",
                }
                for column in table.columns
            ],
            "options": dict(table.options),
            "geography": self._tally.geography(LEVELS),
            "totals": self._tally.totals(),
            "dataset": self._dataset,
            "within": [list(one) for one in table.within],
        }


class _PieceWriter:
    """One piece of a table: batches in, Parquet parts, digests and counts out."""

    def __init__(self, table: _SavedTable, members: StagedMembers) -> None:
        self._table, self._members = table, members
        self._stack = ExitStack()
        self.restored, self.stored = (ROW_DIGESTS[WRITTEN](table.digest_key) for _ in range(2))
        self.tally = Tally(table.totals)
        columns = [column.name for column in table.table.columns]
        self._parts = PartWriter(self._open_part, columns=columns, subject=table.table.title)

    def _open_part(self, number: int) -> BinaryIO:
        """Called by the writer when a part begins: the part before is whole by then."""
        self._stack.close()
        return self._stack.enter_context(self._members.stored(self._table.next_part()))

    def write(self, batch: pa.RecordBatch) -> None:
        self.tally.add(batch)
        restored = self._table.mask.apply(_without_fine_places(batch))
        self.restored.update(restored)
        if self._table.tokenize.declared:
            restored = self._table.tokenize.apply(restored)
            self.stored.update(restored)
        self._parts.write(restored)

    def close(self) -> None:
        self._parts.close()
        self._stack.close()
        if not self._table.tokenize.declared:
            self.stored = self.restored


def _without_fine_places(batch: pa.RecordBatch) -> pa.RecordBatch:
    """City and town were counted; what is stored beside the columns is region and country."""
    return batch.select([field.name for field in batch.schema if role_of(field) not in (b"city", b"town")])
