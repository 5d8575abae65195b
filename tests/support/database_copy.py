"""Databases made from statements, and copied through the port."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from rlg_backup.sources.sqlite import SqliteSource
from rlg_backup.sources.sqlite_destination import SqliteDestination

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


def make_database(path: Path, *statements: str) -> Path:
    """A database in which the statements were run, each committed; returns ``path``."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


def copy_database(
    source: Path, path: Path, *, batch_rows: int = 1000, altered: bool = False, exclude: tuple[str, ...] = (),
    change: Change | None = None,
) -> list[str]:  # fmt: skip
    """Source to destination through the port; returns the destination's warnings."""
    with (
        SqliteSource(source, exclude=exclude).snapshot() as snapshot,
        SqliteDestination(path, altered=altered) as destination,
    ):
        destination.prepare(snapshot.schema_files())
        for table in snapshot.tables:
            batches = list(snapshot.read(table, batch_rows=batch_rows))
            loaded = destination.load(table, map(change, batches) if change else batches)
            assert loaded == sum(batch.num_rows for batch in batches)
        assert not path.exists()
        destination.finish()
        return destination.warnings
