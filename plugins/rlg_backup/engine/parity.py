"""Compares what is there with what the profile says, table by table, by digest."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial, reduce
from operator import add
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, cast

from ..anonymize.policies import Policies
from ..core.model import Check, Verdict
from ..format.digest import ROW_DIGESTS, EntryDigest
from ..format.forms import role_of
from ..format.profile import Profile, TableProfile
from ..sources.port import MOVES, FileSnapshot, Piece, Table, TableSnapshot, table_title
from .archives import Archive, digest_of, removed_numbers, rows_of
from .parallel import THREADS, Job, run_all
from .trees import without_attributes
from .wiring import Wiring

if TYPE_CHECKING:
    import pyarrow as pa


class _Digested:
    """The digest of one table, summed over the parts that threads read."""

    def __init__(self, wiring: Wiring, what: str, expected: TableProfile, profile: Profile) -> None:
        self.title = table_title(expected.schema_name, expected.name, expected.options)
        self._progress = partial(wiring.progress, f"{what} {self.title}")
        self._new = partial(ROW_DIGESTS[profile.row_digest], bytes.fromhex(profile.digest_key))
        self._expected, self._lock = expected, Lock()
        self.digest = self._new()
        self.order = [column.name for column in expected.stored_columns]
        self.dropped = {column.name for column in expected.columns} - set(self.order)
        self.siblings: int | None = None  # rows of all tables that it was compared together with
        self.seconds = 0.0

    def take(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Adds the rows of a part."""
        start, own = time.perf_counter(), self._new()
        for batch in batches:
            own.update(batch)
            self._progress(self.digest.rows + own.rows, self._expected.rows)
        with self._lock:
            self.digest += own
            self.seconds += time.perf_counter() - start


Compared = tuple[Table | None, TableProfile, _Digested]


def restored_tables(wiring: Wiring, snapshot: TableSnapshot, profile: Profile, less: Mapping[str, str]) -> list[Check]:
    """The restored database against the profile: every table there, none besides, rows, definitions and digests.
    ``less``: by table, what it is less than at the snapshot, in words."""
    found = {(table.schema, table.name): table for table in snapshot.tables}
    jobs: list[Job] = []
    compared: list[Compared] = []
    for expected in profile.tables:
        table, digested = (
            found.pop((expected.schema_name, expected.name), None),
            _Digested(wiring, "parity", expected, profile),
        )
        compared.append((table, expected, digested))
        if table is not None:
            jobs += [partial(_read, digested, snapshot, table, piece) for piece in snapshot.pieces(table)]
    run_all(jobs, snapshot.readers)
    _moved(compared)
    checks = [_restored(*one, less.get(one[2].title, "")) for one in compared]
    excluded = {item.name for item in profile.excluded}
    for extra in found.values():
        if extra.title not in excluded:
            checks.append(Check("parity", f"table {extra.title}", Verdict.FAIL, "it is there", "not in the backup"))
    return checks


def _read(digested: _Digested, snapshot: TableSnapshot, table: Table, piece: Piece) -> None:
    with closing(snapshot.read(table, piece=piece, geography=False)) as batches:
        digested.take(_in_order(batches, digested.order, digested.dropped))


def _in_order(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], dropped: Collection[str]
) -> Iterator[pa.RecordBatch]:
    """With the columns in the order of the profile, less the dropped ones: a restored table may have another."""
    for batch in batches:
        columns = {field.name: place for place, field in enumerate(batch.schema) if not role_of(field)}
        if columns.keys() == {*names, *dropped}:
            extra = [place for place, field in enumerate(batch.schema) if role_of(field)]
            batch = batch.select([*extra, *(columns[name] for name in names)])
        yield batch


def _moved(compared: Sequence[Compared]) -> None:
    """Tables whose rows may lie in their siblings here are compared with them: each that differs stands for all."""
    groups: dict[str, list[Compared]] = {}
    for one in compared:
        if (root := one[1].options.get(MOVES)) is not None:
            groups.setdefault(json.dumps(root), []).append(one)
    for group in groups.values():
        wanted = sum(int(expected.digest.restored, 16) for _, expected, _ in group) % 2**256
        rows = sum(expected.rows for _, expected, _ in group)
        found = reduce(add, (digested.digest for _, _, digested in group))
        if (found.rows, found.hexdigest()) == (rows, f"{wanted:064x}"):
            for _, _, digested in group:
                digested.siblings = rows


def _restored(table: Table | None, expected: TableProfile, digested: _Digested, less: str) -> Check:
    name, wanted = f"table {digested.title}", f"{expected.rows:,} rows, as at the snapshot{less}"
    if table is None:
        return Check("parity", name, Verdict.FAIL, "the table is missing", wanted)
    rows, faults = digested.digest.rows, []
    same = (rows, digested.digest.hexdigest()) == (expected.rows, expected.digest.restored)
    moved = not same and digested.siblings is not None
    if rows != expected.rows and not moved:
        faults.append(f"{rows:,} rows")
    if not same and not moved:
        faults.append("another digest")
    if table.fingerprint != expected.fingerprint:
        faults.append("another definition")
    with_siblings = f"; with its siblings {digested.siblings:,}, as there" if moved else ""
    measured = ", ".join(faults) or f"{rows:,} rows{with_siblings}; digest and definition equal"
    return Check("parity", name, Verdict.FAIL if faults else Verdict.PASS, measured, wanted, digested.seconds)


def stored_tables(wiring: Wiring, archive: Archive, profile: Profile) -> list[Check]:
    """Every row in the archive against the profile, without a restore and without the tokenization key; and the numbers
    of those that went."""
    jobs, compared = [], []
    for table in profile.tables:
        digested = _Digested(wiring, "read", table, profile)
        compared.append((table, digested))
        jobs += [partial(_take_part, digested, archive, table, member) for member in table.members]
    run_all(jobs, THREADS)
    return [_stored(archive, *one) for one in compared]


def _take_part(digested: _Digested, archive: Archive, table: TableProfile, member: str) -> None:
    digested.take(rows_of(archive, table, [member]))


def _stored(archive: Archive, table: TableProfile, digested: _Digested) -> Check:
    rows = digested.digest.rows
    right = (rows, digested.digest.hexdigest()) == (table.stored_rows, table.digest.stored)
    measured = f"{rows:,} rows, digest {'equal' if right else 'different'}"
    wanted = f"{table.stored_rows:,} rows"
    if table.change is not None:
        removed = sum(len(removed_numbers(archive, name)[0]) for name in table.change.removed)
        right = right and removed == table.change.removed_rows
        measured, wanted = f"{measured}; {removed:,} removed", f"{wanted}; {table.change.removed_rows:,} removed"
    verdict = Verdict.PASS if right else Verdict.FAIL
    return Check("members", f"table {digested.title}", verdict, measured, wanted, digested.seconds)


def restored_tree(wiring: Wiring, snapshot: FileSnapshot, profile: Profile, less: str) -> Check:
    """The restored tree against the profile: every entry, and every content read back from the file system. ``less``:
    what it is less than at the snapshot, in words."""
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
    wanted = f"{profile.tree.entries:,} entries, as at the snapshot{less}"
    return Check(
        "parity", "tree", Verdict.PASS if right else Verdict.FAIL, measured, wanted, time.perf_counter() - start
    )


def reversed_rows(
    archive: Archive, table: TableProfile, keys: Sequence[bytes], members: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The rows of a table in some of its ``members``, with tokens turned back into the values they stand for; as in
    ``read``, of an empty table no batch (its part has columns, but no types)."""
    policies = Policies(table_title(table.schema_name, table.name, table.options), {}, None, {}, keys)
    for batch in rows_of(archive, table, members):
        if batch.num_rows:
            yield policies.reverse(batch)
