"""Compares what is there with what the profile says, table by table, by digest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from ..anonymize.policies import Policies
from ..core.model import Check, Verdict
from ..format.digest import EntryDigest, RowDigest
from ..format.profile import Profile, TableProfile
from ..sources.port import FileSnapshot, Table, TableSnapshot, table_title
from .archives import Archive, digest_of, rows_of
from .trees import without_attributes
from .wiring import Wiring

if TYPE_CHECKING:
    import pyarrow as pa


def restored_tables(wiring: Wiring, snapshot: TableSnapshot, profile: Profile) -> list[Check]:
    """The restored database against the profile: every table there, none besides, rows, definitions and digests."""
    found = {(table.schema, table.name): table for table in snapshot.tables}
    checks = []
    for expected in profile.tables:
        table = found.pop((expected.schema_name, expected.name), None)
        checks.append(_table(wiring, snapshot, table, expected, bytes.fromhex(profile.digest_key)))
    excluded = {item.name for item in profile.excluded}
    for extra in found.values():
        if extra.title not in excluded:
            checks.append(Check("parity", f"table {extra.title}", Verdict.FAIL, "it is there", "not in the backup"))
    return checks


def _table(wiring: Wiring, snapshot: TableSnapshot, table: Table | None, expected: TableProfile, key: bytes) -> Check:
    start = time.perf_counter()
    title = table_title(expected.schema_name, expected.name)
    name, wanted = f"table {title}", f"{expected.rows:,} rows, as at the snapshot"
    if table is None:
        return Check("parity", name, Verdict.FAIL, "the table is missing", wanted)
    digest = RowDigest(key)
    for batch in snapshot.read(table, geography=False):
        digest.update(batch)
        wiring.progress(f"parity {title}", digest.rows, expected.rows)
    faults = []
    if digest.rows != expected.rows:
        faults.append(f"{digest.rows:,} rows")
    if digest.hexdigest() != expected.digest.restored:
        faults.append("another digest")
    if table.fingerprint != expected.fingerprint:
        faults.append("another definition")
    measured = ", ".join(faults) or f"{digest.rows:,} rows; digest and definition equal"
    return Check(
        "parity", name, Verdict.FAIL if faults else Verdict.PASS, measured, wanted, time.perf_counter() - start
    )


def stored_tables(wiring: Wiring, archive: Archive, profile: Profile) -> list[Check]:
    """Every row in the archive against the profile, without a restore and without the tokenization key."""
    checks = []
    for table in profile.tables:
        start, title = time.perf_counter(), table_title(table.schema_name, table.name)
        digest = RowDigest(bytes.fromhex(profile.digest_key))
        for batch in rows_of(archive, table, table.members):
            digest.update(batch)
            wiring.progress(f"read {title}", digest.rows, table.rows)
        right = (digest.rows, digest.hexdigest()) == (table.rows, table.digest.stored)
        measured = f"{digest.rows:,} rows, digest {'equal' if right else 'different'}"
        verdict = Verdict.PASS if right else Verdict.FAIL
        seconds = time.perf_counter() - start
        checks.append(Check("members", f"table {title}", verdict, measured, f"{table.rows:,} rows", seconds))
    return checks


def restored_tree(wiring: Wiring, snapshot: FileSnapshot, profile: Profile) -> Check:
    """The restored tree against the profile: every entry, and every content read back from the file system."""
    assert profile.tree is not None
    start = time.perf_counter()
    digest = EntryDigest(bytes.fromhex(profile.digest_key))
    entries = done = 0
    for entry in snapshot.entries():
        sha256 = None
        if entry.kind == "file":
            with snapshot.open(entry) as reader:
                size, found = digest_of(cast(BinaryIO, reader))
            sha256, done = bytes.fromhex(found), done + size
            wiring.progress("parity files", done, profile.tree.bytes)
        digest.update(without_attributes(entry), sha256)
        entries += 1
    right = digest.hexdigest() == profile.tree.digest
    measured = f"{entries:,} entries, digest {'equal' if right else 'different'}"
    wanted = f"{profile.tree.entries:,} entries, as at the snapshot"
    return Check(
        "parity", "tree", Verdict.PASS if right else Verdict.FAIL, measured, wanted, time.perf_counter() - start
    )


def reversed_rows(
    archive: Archive, table: TableProfile, key: bytes | None, members: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The rows of a table in some of its ``members``, with tokens turned back into the values they stand for; as in
    ``read``, of an empty table no batch (its part has columns, but no types)."""
    policies = Policies(table_title(table.schema_name, table.name), {}, key, {})
    for batch in rows_of(archive, table, members):
        if batch.num_rows:
            yield policies.reverse(batch)
