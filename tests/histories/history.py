"""Histories: changes and backups in any order. After each backup its profile must say of every table what a full read
says; at the end points are restored, and must be the database as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from rlg_backup.core.model import Kind
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import choose
from rlg_backup.engine.wiring import Wiring
from rlg_backup.format.digest import Xxh3RowDigest

KINDS = (Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.DIFFERENTIAL, Kind.FULL)


@dataclass(frozen=True)
class Step:
    """A change by its place in the list of them, or a backup; ``seed`` decides what it does."""

    change: int | None
    kind: Kind
    seed: int


def histories(changes: int, most: int = 40) -> st.SearchStrategy[list[Step]]:
    """Lists of changes, of which there are so many, with backups between them."""
    seeds = st.integers(0, 2**16)
    change = st.builds(Step, st.integers(0, changes - 1), st.just(Kind.FULL), seeds)
    saved = st.builds(Step, st.none(), st.sampled_from(KINDS), seeds)
    return st.lists(st.one_of(change, change, change, saved), min_size=4, max_size=most)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one history: Hypothesis lives through many in one test."""
    root = Path(tempfile.mkdtemp(prefix="rlg-history-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def back_up(wiring: Wiring, kind: Kind) -> str:
    """Backs up and proves the profile by reading everything; returns the backup's id."""
    done = backup(wiring, "app", kind)
    assert done.complete, done
    assert done.kind == kind.value, done.warnings
    chosen = choose(wiring, "app", done.backup_id)
    profile = open_remote(wiring, chosen, wiring.identities()).profile()
    told = {(t.schema_name, t.name): (t.rows, t.digest.restored, t.geography, dict(t.totals)) for t in profile.tables}
    assert told == _read(wiring, bytes.fromhex(profile.digest_key), {key: told[key][2:] for key in told})
    return done.backup_id


def _read(wiring: Wiring, key: bytes, rest: dict[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    found = {}
    with wiring.table_source("app").snapshot() as snapshot:
        for table in snapshot.tables:
            digest = Xxh3RowDigest(key)
            for piece in snapshot.pieces(table):
                with closing(snapshot.read(table, piece=piece, geography=False)) as batches:
                    for batch in batches:
                        digest.update(batch)
            name = (table.schema, table.name)
            found[name] = (digest.rows, digest.hexdigest(), *rest.get(name, ()))
    return found
