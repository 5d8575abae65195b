"""Saves the tables of one snapshot as members: policies, digests and clustering in one stream.

No original value of a column under a policy reaches a disk: a batch is tokenized, hashed or redacted in
memory before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from ..anonymize.actions import Action
from ..anonymize.originals import Originals
from ..anonymize.policies import Policies
from ..anonymize.resolution import resolve, unused
from ..config.settings import SqliteSettings
from ..core.errors import InvalidSetting
from ..core.model import LEVELS
from ..format.digest import RowDigest
from ..format.forms import role_of
from ..format.names import table_folder
from ..format.rows import PartWriter
from ..sources.port import Table, TableSnapshot
from .members import StagedMembers
from .tally import Tally
from .wiring import Progress

if TYPE_CHECKING:
    import pyarrow as pa


class TableSaver:
    """Saves one table after the other from one snapshot; collects what the profile says of them."""

    def __init__(
        self,
        snapshot: TableSnapshot,
        settings: SqliteSettings,
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
        self._datasets = {table: name for name, tables in settings.datasets.items() for table in tables}
        self.profiles: list[dict[str, Any]] = []

    def save_all(self) -> None:
        """Every table of the snapshot. Settings that name nothing there are errors before a row is read."""
        self._check_settings()
        for table in self._snapshot.tables:
            self.profiles.append(self._save(table))

    def _check_settings(self) -> None:
        tables = {table.name: [column.name for column in table.columns] for table in self._snapshot.tables}
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

    def _save(self, table: Table) -> dict[str, Any]:
        actions = resolve(self._settings.policies, table.name, [column.name for column in table.columns])
        writer = _TableWriter(table, actions, self._key, self._digest_key, self._members, self._settings.totals)
        done = 0
        for batch in self._snapshot.read(table):
            self._originals.collect(table.name, batch, writer.protected)
            writer.write(batch)
            done += batch.num_rows
            self._progress(f"snapshot {table.name}", done, 0)
        profile = writer.close()
        profile["dataset"] = self._datasets.get(table.name, "unassigned")
        return profile


class _TableWriter:
    """One table: batches in, Parquet parts and the table's profile out."""

    def __init__(
        self,
        table: Table,
        actions: Mapping[str, Action],
        tokenization_key: bytes | None,
        digest_key: bytes,
        members: StagedMembers,
        totals: Mapping[str, tuple[str, ...]],
    ) -> None:
        nullable = {column.name: column.nullable for column in table.columns}
        for_ever = {name: action for name, action in actions.items() if not action.reversible}
        for_now = {name: action for name, action in actions.items() if action.reversible}
        self._table, self._actions = table, actions
        self._mask = Policies(table.name, for_ever, tokenization_key, nullable)
        self._tokenize = Policies(table.name, for_now, tokenization_key, nullable)
        for policies in (self._mask, self._tokenize):
            policies.check([column.name for column in table.columns])
        self.protected = [*self._mask.declared, *self._tokenize.declared]
        self._restored, self._stored = RowDigest(digest_key), RowDigest(digest_key)
        self._tally = Tally(totals.get(table.name, ()))
        self._folder = table_folder(table.schema, table.name)
        self._stack = ExitStack()
        self._members = members
        self._names: list[str] = []
        self._parts = PartWriter(self._open_part, columns=[column.name for column in table.columns], subject=table.name)

    def _open_part(self, number: int) -> BinaryIO:
        """Called by the writer when a part begins: the part before is whole by then."""
        self._stack.close()
        name = f"{self._folder}/part-{number:05d}.parquet"
        self._names.append(name)
        return self._stack.enter_context(self._members.stored(name))

    def write(self, batch: pa.RecordBatch) -> None:
        self._tally.add(batch)
        restored = self._mask.apply(_without_fine_places(batch))
        stored = self._tokenize.apply(restored)
        self._restored.update(restored)
        self._stored.update(stored)
        self._parts.write(stored)

    def close(self) -> dict[str, Any]:
        self._parts.close()
        self._stack.close()
        table = self._table
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
        }


def _without_fine_places(batch: pa.RecordBatch) -> pa.RecordBatch:
    """City and town were counted; what is stored beside the columns is region and country."""
    return batch.select([field.name for field in batch.schema if role_of(field) not in (b"city", b"town")])
