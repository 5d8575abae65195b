"""A target that goes wrong on order: what checkers are tried on.

A test that plants a fault must also look at ``hits``: a fault that was never met proves nothing.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from rlg_backup.core.errors import ObjectDamaged, ObjectMissing, StorageError, StorageFull, StorageUnavailable
from rlg_backup.core.model import Tier
from rlg_backup.storage.port import ObjectInfo, Progress, Storage, TargetFacts


class Damage(StrEnum):
    """What happens. The first two change bytes, on their way in (put_*) or out (get_bytes, open, read_range)."""

    FLIP = "flip"  # one bit of the byte at ``at``
    TRUNCATE = "truncate"  # the bytes before ``at`` only
    FAIL = "fail"  # the operation is not carried out
    BREAK_OFF = "break off"  # of a stream the bytes before ``at`` come, then it fails
    LOSE_ANSWER = "lose answer"  # it is carried out, and reported as failed
    ARRIVE_LATE = "arrive late"  # it is carried out once ``until`` is set
    ANSWER_LATE = "answer late"  # it is carried out, and says so once ``until`` is set
    FILL_UP = "fill up"  # what is stored under such keys must fit into ``at`` bytes in all: the rest is StorageFull
    HIDE = "hide"  # reads and listings act as if the object were not there


_CHANGES = (Damage.FLIP, Damage.TRUNCATE)
_PATIENCE = 120  # seconds until a test that waits for a fault, or a fault for its test, fails
_READS = ("get_bytes", "open", "read_range", "stat")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Fault:
    """``damage`` to the ``operations`` (methods of Storage; empty: all it applies to) on keys like ``keys``.

    ``times`` is how often (None: for ever), once ``skip`` of the operations it applies to went well. ``at`` is a byte's
    offset in the object; negative counts from its end. ``error`` is what FAIL, BREAK_OFF and LOSE_ANSWER raise.
    """

    damage: Damage
    keys: str = "*"
    operations: tuple[str, ...] = ()
    times: int | None = None
    at: int = 0
    error: type[StorageError] = StorageUnavailable
    skip: int = 0
    until: threading.Event = field(default_factory=threading.Event, compare=False)


class FaultyStorage:
    """``Storage`` that passes everything on to ``inner`` except what its faults say.

    ``calls`` has (operation, key) of everything asked for, in order.
    """

    def __init__(self, inner: Storage, *faults: Fault) -> None:
        self.inner, self.name, self.faults = inner, inner.name, faults
        self.calls: list[tuple[str, str]] = []
        self._hits: Counter[Fault] = Counter()
        self._spared: Counter[Fault] = Counter()
        self._stored: Counter[Fault] = Counter()  # bytes, as far as a fault counts them
        self._changed = threading.Condition()

    def hits(self, fault: Fault) -> int:
        """How often a fault was met."""
        return self._hits[fault]

    def wait_for(self, fault: Fault) -> None:
        """Returns once a fault was met, by another thread."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._hits[fault], _PATIENCE), f"never met: {fault}"

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        sha256: str,
        progress: Progress | None = None,
        locked_until: datetime | None = None,
        replacing: bool = False,
    ) -> ObjectInfo:
        self._make_room("put_file", key, path.stat().st_size if path.exists() else 0)

        def put(path: Path, sha256: str) -> ObjectInfo:
            return self.inner.put_file(
                key, path, sha256=sha256, progress=progress, locked_until=locked_until, replacing=replacing
            )

        fault = self._take("put_file", key, *_CHANGES)
        if fault is None:
            return self._run("put_file", key, lambda: put(path, sha256))
        with tempfile.TemporaryDirectory() as folder:
            bad = Path(folder, "damaged")
            bad.write_bytes(_changed(path.read_bytes(), fault))
            digest = hashlib.sha256(bad.read_bytes()).hexdigest()
            return self._run("put_file", key, lambda: put(bad, digest))

    def put_bytes(
        self, key: str, data: bytes, *, replacing: str | None = None, locked_until: datetime | None = None
    ) -> ObjectInfo:
        self._make_room("put_bytes", key, len(data))
        stored = _changed(data, self._take("put_bytes", key, *_CHANGES))

        def put() -> ObjectInfo:
            return self.inner.put_bytes(key, stored, replacing=replacing, locked_until=locked_until)

        return self._run("put_bytes", key, put)

    def get_bytes(self, key: str, *, limit: int) -> tuple[bytes, ObjectInfo]:
        data, info = self._run("get_bytes", key, lambda: self.inner.get_bytes(key, limit=limit))
        return _changed(data, self._take("get_bytes", key, *_CHANGES)), info

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        stream = self._run("open", key, lambda: self.inner.open(key))
        fault = self._take("open", key, *_CHANGES, Damage.BREAK_OFF)
        if fault is None:
            return stream
        with stream as whole:
            data = whole.read()
        if fault.damage is Damage.BREAK_OFF:
            failure = fault.error(
                "open", key, f"ordered by a test; it broke off after {_place(fault, len(data))} bytes"
            )
            return cast(BinaryIO, io.BufferedReader(_Broken(data[: _place(fault, len(data))], failure), 1 << 16))
        return io.BytesIO(_changed(data, fault))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        data = self._run("read_range", key, lambda: self.inner.read_range(key, offset, length))
        size = self.inner.stat(key).size

        def reaches(fault: Fault) -> bool:
            at = _place(fault, size)
            return offset <= at < offset + length or (fault.damage is Damage.TRUNCATE and at < offset)

        fault = self._take("read_range", key, *_CHANGES, when=reaches)
        if fault is None:
            return data
        if fault.damage is Damage.TRUNCATE:
            raise ObjectDamaged("read", key, f"it ends before byte {offset + length}")
        return _changed(data, Fault(Damage.FLIP, at=_place(fault, size) - offset))

    def stat(self, key: str) -> ObjectInfo:
        return self._run("stat", key, lambda: self.inner.stat(key))

    def list(self, prefix: str, *, edges: Sequence[str] = ()) -> Iterator[ObjectInfo]:
        for info in self._run("list", prefix, lambda: self.inner.list(prefix, edges=edges)):
            if self._take("list", info.key, Damage.HIDE) is None:
                yield info

    def delete(self, key: str) -> None:
        self._run("delete", key, lambda: self.inner.delete(key))

    def lock(self, key: str, until: datetime) -> None:
        self._run("lock", key, lambda: self.inner.lock(key, until))

    def erase(self, key: str) -> int:
        return self._run("erase", key, lambda: self.inner.erase(key))

    def move_to(self, key: str, tier: Tier) -> ObjectInfo:
        return self._run("move_to", key, lambda: self.inner.move_to(key, tier))

    def thaw(self, key: str, days: int) -> bool:
        return self._run("thaw", key, lambda: self.inner.thaw(key, days))

    def facts(self) -> TargetFacts:
        return self._run("facts", "", self.inner.facts)

    def sweep(self, older_than: timedelta) -> int:
        return self._run("sweep", "", lambda: self.inner.sweep(older_than))

    def _run(self, operation: str, key: str, act: Callable[[], Result]) -> Result:
        self.calls.append((operation, key))
        if fault := self._take(operation, key, Damage.FAIL):
            raise fault.error(operation, key, "ordered by a test; it was not carried out")
        if operation in _READS and self._take(operation, key, Damage.HIDE):
            raise ObjectMissing("read", key, f"it is not on target '{self.name}'")
        if fault := self._take(operation, key, Damage.ARRIVE_LATE):
            assert fault.until.wait(_PATIENCE), f"nobody let it go on: {fault}"
        try:
            return act()
        finally:  # a refusal is an answer too
            if fault := self._take(operation, key, Damage.ANSWER_LATE):
                assert fault.until.wait(_PATIENCE), f"nobody let it go on: {fault}"
            if fault := self._take(operation, key, Damage.LOSE_ANSWER):
                raise fault.error(operation, key, "ordered by a test; it was carried out") from None

    def _take(
        self, operation: str, key: str, *kinds: Damage, when: Callable[[Fault], bool] = lambda _: True
    ) -> Fault | None:
        """The first fault that is due, counted as met."""
        with self._changed:
            for fault in self.faults:
                concerns = fault.damage in kinds and fnmatchcase(key, fault.keys)
                left = fault.times is None or self._hits[fault] < fault.times
                if concerns and left and (not fault.operations or operation in fault.operations) and when(fault):
                    if self._spared[fault] < fault.skip:
                        self._spared[fault] += 1
                        continue
                    self._hits[fault] += 1
                    self._changed.notify_all()
                    return fault
        return None

    def _make_room(self, operation: str, key: str, size: int) -> None:
        """Counts bytes against the room there is; StorageFull where they do not fit, and nothing is stored."""

        def does_not_fit(fault: Fault) -> bool:
            return self._stored[fault] + size > fault.at

        if self._take(operation, key, Damage.FILL_UP, when=does_not_fit):
            self.calls.append((operation, key))
            raise StorageFull(operation, key, f"ordered by a test; {size} bytes do not fit")
        for fault in self.faults:
            if fault.damage is Damage.FILL_UP and fnmatchcase(key, fault.keys):
                self._stored[fault] += size


class _Broken(io.RawIOBase):
    """A stream that gives some bytes and then fails, at every read."""

    def __init__(self, data: bytes, failure: StorageError) -> None:
        self._data, self._failure = io.BytesIO(data), failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than io's
        if count := self._data.readinto(buffer):
            return count
        raise self._failure


def _place(fault: Fault, size: int) -> int:
    return fault.at % size if size else 0


def _changed(data: bytes, fault: Fault | None) -> bytes:
    if fault is None or not data:
        return data
    at = _place(fault, len(data))
    if fault.damage is Damage.TRUNCATE:
        return data[:at]
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
