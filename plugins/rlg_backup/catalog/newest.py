"""The newest backup of every source on a target, from one listing: what each says of the erasure ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..core.errors import BackupError, CatalogForged
from ..format.commit import CommitRecord
from ..format.signing import Signer
from .points import FOLDER, RestorePoint, folder, parse_key, stretches
from .records import read_record
from .seen import SeenHeads
from .store import Store

_THREADS = 8  # a request to a cloud takes 30 ms


def newest_records(
    store: Store, sources: Collection[str], *, trusted: Sequence[Signer], seen: SeenHeads
) -> Iterator[CommitRecord]:
    """The newest commit record of each source that has one, checked; what is damaged or no record's name is left out:
    it is told to whoever restores from there. Raises StorageError's subclasses."""
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda point: _record(store, point, trusted), _points(store, sources, seen))
        yield from (record for record in found if record is not None)


def _points(store: Store, sources: Collection[str], seen: SeenHeads) -> list[RestorePoint]:
    newest: dict[str, RestorePoint] = {}
    heads = {source: seen.get(store.name, source) for source in sorted(sources)}
    edges = [edge for source, head in heads.items() if head for edge in stretches(source, head.sequence)]
    for item in store.list(FOLDER, edges=edges):
        source = item.key.removeprefix(FOLDER).partition("/")[0]
        if source in heads and item.key.startswith(folder(source)):
            with suppress(CatalogForged):
                entry = parse_key(store.name, source, item.key)
                before = newest.get(source)
                if isinstance(entry, RestorePoint) and (before is None or before.sequence < entry.sequence):
                    newest[source] = entry
    return list(newest.values())


def _record(store: Store, point: RestorePoint, trusted: Sequence[Signer]) -> CommitRecord | None:
    try:
        record = read_record(store, point, trusted).record
    except BackupError as error:
        if error.transient:
            raise
        return None
    assert isinstance(record, CommitRecord)
    return record
