"""The erasure ledger as it lies on one target: a chain of entries for a whole installation, the same bytes on every
target.

An entry's name is its number alone, so that put-if-absent on one target decides who comes next. Nothing here removes
one, and nothing is put in the place of an entry that somebody may have signed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

from ..core.errors import (
    BackupError,
    DocumentDamaged,
    LedgerForged,
    LedgerShort,
    ObjectDamaged,
    ObjectExists,
    SignatureInvalid,
)
from ..format.erasure import FOLDER, Written, path_of
from ..format.signing import Signer
from .store import Store

ENTRY_LIMIT = 64 * 1024  # bytes; an entry has some 600
TAMPERED_HINT = "compare the targets; docs/runbooks.md says what to do about a ledger that was tampered with"
_NAME = re.compile(re.escape(FOLDER) + r"([0-9]{8})\.json")
_THREADS = 8
_TRIES = 3  # times an entry is read back, and sent again when it came back damaged


class LedgerCopy:
    """The ledger on one target. ``trusted`` are believed; ``without``: numbers of entries that are set aside, as if
    they were not there. Every method may raise StorageError's subclasses."""

    def __init__(self, store: Store, trusted: Sequence[Signer], without: Collection[int] = ()) -> None:
        self.store, self._trusted, self._without = store, trusted, without

    def length(self) -> int:
        """The highest number, from names alone. Raises LedgerShort for a hole, LedgerForged for a name that is none of
        an entry."""
        return max((number for number in self._numbers() if number not in self._without), default=0)

    def reach(self) -> int:
        """The highest number that a name has, whatever else is wrong with the copy; 0 without any."""
        found = (_NAME.fullmatch(item.key) for item in self.store.list(FOLDER))
        numbers = (int(match[1]) for match in found if match)
        return max((number for number in numbers if number not in self._without), default=0)

    def read(self, first: int = 1, last: int | None = None) -> list[Written]:
        """The entries of these numbers, each checked, and that it comes after the one before it.

        One is believed that a trusted signer signed, or that one behind it, which is believed, names as the one before.
        Raises as ``length``, DocumentDamaged, SignatureInvalid, SignerUnknown, FormatUnsupported, LedgerForged, and
        ObjectMissing for one that is not there.
        """
        numbers = range(first, (max(self._numbers(), default=0) if last is None else last) + 1)
        with ThreadPoolExecutor(_THREADS) as pool:  # a request to a cloud takes 30 ms
            found = [one for one in pool.map(self._read, numbers) if one is not None]
        self._require_believed(found)
        return [one for one in found if one.entry.sequence not in self._without]

    def end(self) -> list[Written]:
        """The last entry alone; none of an empty copy. Raises as ``read``."""
        numbers = self._numbers()
        last = max((number for number in numbers if number not in self._without), default=0)
        return self.read(last, max(numbers)) if last else []

    def put(self, one: Written, locked_until: datetime | None = None) -> Written:
        """Stores an entry where there is none, or in the place of bytes that nobody signed.

        Returns what stands there then: this entry, or the one that came first. Raises SignerUnknown and
        FormatUnsupported for one that another host may believe, LedgerForged for one that belongs elsewhere, and
        ObjectDamaged when the target does not give back what it was sent.
        """
        key = one.entry.path
        with suppress(ObjectExists):
            self.store.put_bytes(key, one.data, locked_until=locked_until)
        for _ in range(_TRIES):
            data, info = self.store.get_bytes(key, limit=ENTRY_LIMIT)
            if data == one.data:
                return one
            with suppress(DocumentDamaged, SignatureInvalid):
                return Written.load(data, self._trusted, path=key)
            with suppress(ObjectExists):  # somebody else mends it
                self.store.put_bytes(key, one.data, replacing=info.tag, locked_until=locked_until)
        raise ObjectDamaged("write", key, f"target '{self.store.name}' gives back other bytes than were sent")

    def _numbers(self) -> list[int]:
        numbers = []
        for item in self.store.list(FOLDER):
            match = _NAME.fullmatch(item.key)
            if match is None:
                cause = f"its name on target '{self.store.name}' is not that of an entry"
                raise LedgerForged("list", item.key, cause, "find out who wrote it, then remove it")
            numbers.append(int(match[1]))
        there = {*numbers, *self._without}
        for number in range(1, max(numbers, default=0) + 1):
            if number not in there:
                cause = f"it is missing on target '{self.store.name}'"
                raise LedgerShort("list", path_of(number), cause, TAMPERED_HINT)
        return numbers

    def _read(self, number: int) -> Written | None:
        """None for one that is set aside and cannot be read."""
        try:
            data, _ = self.store.get_bytes(path_of(number), limit=ENTRY_LIMIT)
            return Written.parse(data, path=path_of(number))
        except BackupError:
            if number in self._without:
                return None
            raise

    def _require_believed(self, found: Sequence[Written]) -> None:
        behind: Written | None = None  # the believed one
        for one in reversed(found):
            try:
                self._require_vouched(one, behind)
            except BackupError:
                if one.entry.sequence not in self._without:
                    raise
                behind = None
            else:
                behind = one

    def _require_vouched(self, one: Written, behind: Written | None) -> None:
        """By the believed entry ``behind`` it, or by its own signature."""
        follower = behind if behind is not None and behind.entry.sequence == one.entry.sequence + 1 else None
        if follower is not None and follower.entry.previous_sha256 == one.sha256:
            return
        Written.load(one.data, self._trusted, path=one.entry.path)
        if follower is not None:
            cause = f"'{follower.entry.path}' was written after another entry than this one"
            raise LedgerForged("verify", one.entry.path, cause, TAMPERED_HINT)
