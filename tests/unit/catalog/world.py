"""A small world for the catalog: targets in memory, clocks that are set, signers, and runs that stop or take turns."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rlg_backup.catalog import Catalog, Lease, RestorePoint, SeenHeads, commit
from rlg_backup.catalog.records import Head
from rlg_backup.catalog.writing import NO_ERASURES
from rlg_backup.core.errors import ObjectDamaged, ObjectExists, ObjectMissing
from rlg_backup.core.model import Kind
from rlg_backup.format.chained import Witness
from rlg_backup.format.commit import CommitRecord
from rlg_backup.format.keys import SigningKey

START = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)
TTL = timedelta(minutes=10)
KEY = SigningKey.generate()
STRANGER = SigningKey.generate()
TRUSTED = [KEY.signer]
SOURCE = "rlg_data"
ROOT = f"catalog/{SOURCE}/"


def backup_id(number: int) -> str:
    return f"20261123T0200{number % 60:02d}Z-{number:08x}"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class FakeClock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass(frozen=True)
class Info:
    key: str
    size: int
    tag: str
    modified: datetime


class MemoryStorage:
    """A target in memory. Its tags are those of the content, as S3's are: the same bytes, the same tag."""

    def __init__(self, name: str = "nas", clock: Callable[[], datetime] | None = None) -> None:
        self.name = name
        self.clock = clock or FakeClock()
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    def put_bytes(self, key: str, data: bytes, *, replacing: str | None = None) -> Info:
        with self._lock:
            found = self.objects.get(key)
            if (found and digest(found[0])) != replacing:
                raise ObjectExists("write", key, f"target '{self.name}' has another version of it")
            self.objects[key] = (data, self.clock())
        return self._info(key)

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, Info]:
        if key not in self.objects:
            raise ObjectMissing("read", key, f"it is not on target '{self.name}'")
        data, _ = self.objects[key]
        if len(data) > limit:
            raise ObjectDamaged("read", key, f"it is larger than {limit} bytes")
        return data, self._info(key)

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[Info]:
        return iter([self._info(key) for key in sorted(self.objects) if key.startswith(prefix)])

    def _info(self, key: str) -> Info:
        data, modified = self.objects[key]
        return Info(key, len(data), digest(data), modified)

    # What an owner of the target can do, beside the rules.

    def overwrite(self, key: str, data: bytes) -> None:
        self.objects[key] = (data, self.clock())

    def remove(self, key: str) -> bytes:
        return self.objects.pop(key)[0]

    def data(self, key: str) -> bytes:
        return self.objects[key][0]


class Watched:
    """A target that calls ``before(operation, key)`` and ``after(operation, key)`` around each operation."""

    def __init__(
        self,
        inner: MemoryStorage,
        before: Callable[[str, str], None] = lambda operation, key: None,
        after: Callable[[str, str], None] = lambda operation, key: None,
    ) -> None:
        self.inner, self.before, self.after = inner, before, after
        self.name = inner.name

    def put_bytes(self, key: str, data: bytes, *, replacing: str | None = None) -> Info:
        self.before("put", key)
        info = self.inner.put_bytes(key, data, replacing=replacing)
        self.after("put", key)
        return info

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, Info]:
        self.before("get", key)
        found = self.inner.get_bytes(key, limit=limit)
        self.after("get", key)
        return found

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[Info]:
        self.before("list", prefix)
        found = self.inner.list(prefix, edges=edges)
        self.after("list", prefix)
        return found


@dataclass
class Worker:
    """One process that backs up: its own clock, its own view of the target."""

    store: MemoryStorage | Watched
    clock: Callable[[], datetime]
    name: str = "alpha/1/run"
    lease: Lease | None = field(default=None)

    def acquire(self) -> Lease:
        self.lease = Lease.acquire(self.store, SOURCE, self.name, TTL, trusted=TRUSTED, clock=self.clock)
        return self.lease

    def twin(self, store: MemoryStorage | Watched) -> Worker:
        """The same run in another process: it goes on from the lease's state."""
        assert self.lease is not None
        lease = Lease.resume(store, self.lease.state(), trusted=TRUSTED, clock=self.clock)
        return Worker(store, self.clock, self.name, lease)

    def commit(self, number: int, kind: Kind = Kind.FULL) -> RestorePoint:
        assert self.lease is not None
        return commit(self.lease, KEY, build(self.store.name, number, self.clock, kind))


def build(
    target: str, number: int, clock: Callable[[], datetime], kind: Kind = Kind.FULL, source: str = SOURCE
) -> Callable[[Head | None], CommitRecord]:
    """Builds the record of the backup with that number; its time is the clock's, so two builds may differ."""

    def record(head: Head | None) -> CommitRecord:
        return CommitRecord(
            source=source,
            backup_id=backup_id(number),
            kind=kind,
            sequence=head.entry.sequence + 1 if head else 1,
            manifest_sha256=digest(backup_id(number).encode()),
            previous_sha256=head.sha256 if head else None,
            committed_at=clock(),
            target=target,
            erasures=NO_ERASURES,
            witnesses={},
        )

    return record


def fill(store: MemoryStorage, count: int, *, key: SigningKey = KEY, source: str = SOURCE) -> list[str]:
    """Writes a whole chain of ``count`` records; returns their keys, oldest first."""
    keys: list[str] = []
    previous: str | None = None
    for number in range(1, count + 1):
        keys.append(add(store, number, previous, key=key, source=source))
        previous = digest(store.data(keys[-1]))
    return keys


def add(
    store: MemoryStorage,
    sequence: int,
    previous: str | None,
    *,
    number: int | None = None,
    key: SigningKey = KEY,
    source: str = SOURCE,
    target: str | None = None,
    witnesses: dict[str, Witness] | None = None,
) -> str:
    """Writes one signed record beside all rules; returns its key."""
    identifier = backup_id(sequence if number is None else number)
    record = CommitRecord(
        source=source,
        backup_id=identifier,
        kind=Kind.FULL,
        sequence=sequence,
        manifest_sha256=digest(identifier.encode()),
        previous_sha256=previous,
        committed_at=START,
        target=target or store.name,
        erasures=NO_ERASURES,
        witnesses=witnesses or {},
    )
    store.overwrite(record.path, record.sign(key))
    return record.path


def catalog(store: MemoryStorage | Watched, folder: Path, source: str = SOURCE) -> Catalog:
    return Catalog(store, source, trusted=TRUSTED, seen=SeenHeads(folder / "seen.json"))


def assert_whole(store: MemoryStorage) -> list[RestorePoint]:
    """The catalog has no hole and no double, and every record verifies and follows the one before."""
    from rlg_backup.catalog.points import list_entries
    from rlg_backup.catalog.records import read_record

    points = list_entries(store, SOURCE)
    previous = None
    for point in points:
        head = read_record(store, point, TRUSTED)
        assert head.record.previous_sha256 == previous
        previous = head.sha256
    return points
