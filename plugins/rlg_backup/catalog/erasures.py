"""The erasure ledger: one chain of entries for a whole installation, the same bytes on every target.

An entry's name is its number alone, so that put-if-absent on one target decides who comes next. Nothing here removes
one, and nothing is put in the place of an entry that somebody may have signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from ..core.errors import (
    BackupError,
    DocumentDamaged,
    LedgerForged,
    LedgerShort,
    ObjectDamaged,
    ObjectExists,
    SignatureInvalid,
)
from ..format.commit import Erasures
from ..format.erasure import FOLDER, Written, path_of
from ..format.signing import Signer
from .seen import SeenHead
from .store import Store

ENTRY_LIMIT = 64 * 1024  # bytes; an entry has some 600
_NAME = re.compile(re.escape(FOLDER) + r"([0-9]{8})\.json")
_THREADS = 8
_TRIES = 3  # times an entry is read back, and sent again when it came back damaged
_HINT = "compare the targets; docs/runbooks.md says what to do about a ledger that was tampered with"


class LedgerCopy:
    """The ledger as it lies on one target. Every method may raise StorageError's subclasses."""

    def __init__(self, store: Store, trusted: Sequence[Signer]) -> None:
        self.store, self._trusted = store, trusted

    def length(self) -> int:
        """How many entries there are, from names alone. Raises LedgerShort for a hole, LedgerForged for a name that is
        none of an entry."""
        numbers = []
        for item in self.store.list(FOLDER):
            match = _NAME.fullmatch(item.key)
            if match is None:
                cause = f"its name on target '{self.store.name}' is not that of an entry"
                raise LedgerForged("list", item.key, cause, "find out who wrote it, then remove it")
            numbers.append(int(match[1]))
        for number, found in enumerate(sorted(numbers), 1):
            if number != found:
                raise LedgerShort("list", path_of(number), f"it is missing on target '{self.store.name}'", _HINT)
        return len(numbers)

    def reach(self) -> int:
        """The highest number that a name has, whatever else is wrong with the copy; 0 without any."""
        found = (_NAME.fullmatch(item.key) for item in self.store.list(FOLDER))
        return max((int(match[1]) for match in found if match), default=0)

    def read(self, first: int = 1, last: int | None = None) -> list[Written]:
        """The entries of these numbers, each checked, and that it comes after the one before it.

        Raises as ``length``, DocumentDamaged, SignatureInvalid, SignerUnknown, FormatUnsupported, LedgerForged, and
        ObjectMissing for one that is not there.
        """
        numbers = range(first, (self.length() if last is None else last) + 1)
        with ThreadPoolExecutor(_THREADS) as pool:  # a request to a cloud takes 30 ms
            found = list(pool.map(self._read, numbers))
        for before, after in pairwise(found):
            _require_next(before, after)
        return found

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

    def _read(self, number: int) -> Written:
        data, _ = self.store.get_bytes(path_of(number), limit=ENTRY_LIMIT)
        return Written.load(data, self._trusted, path=path_of(number))


@dataclass(frozen=True)
class Ledger:
    """What all targets together have. ``lengths``: of each sound copy; ``passed_over``: targets whose copy could not be
    read or believed, and why."""

    entries: tuple[Written, ...]
    lengths: Mapping[str, int] = field(default_factory=dict)
    passed_over: Mapping[str, BackupError] = field(default_factory=dict)

    @property
    def head(self) -> Erasures:
        """What a commit record says of it."""
        return Erasures(length=len(self.entries), head=self.entries[-1].sha256 if self.entries else None)

    def require(self, known: Erasures | SeenHead, who: str) -> None:
        """Raises LedgerShort when the ledger does not reach what ``who`` knows of it, LedgerForged when it holds
        another entry there."""
        length, sha256 = (known.length, known.head) if isinstance(known, Erasures) else (known.sequence, known.sha256)
        if len(self.entries) < length:
            cause = f"it has {len(self.entries)} entries on every target that can be read, but {who} knows {length}"
            raise LedgerShort("verify", FOLDER[:-1], f"{cause}: a request to erase is hidden", _HINT)
        if length and self.entries[length - 1].sha256 != sha256:
            raise LedgerForged("verify", path_of(length), f"it is not the entry that {who} knows", _HINT)


def merged(targets: Iterable[str], open: Callable[[str], LedgerCopy]) -> Ledger:
    """The longest sound copy, of which every other sound one must be the beginning.

    A copy that is damaged, has a hole or cannot be reached is passed over. Raises LedgerForged where two sound copies
    differ, LedgerShort where the names of one that was passed over reach further than every sound one, and the first
    copy's error when there is no sound one.
    """
    sound: dict[str, list[Written]] = {}
    passed_over: dict[str, BackupError] = {}
    for target in targets:
        try:
            sound[target] = open(target).read()
        except BackupError as error:  # whatever is wrong with one copy, another tells what it said
            passed_over[target] = error
    if not sound:
        raise next(iter(passed_over.values()))
    longest = max(sound, key=lambda target: len(sound[target]))
    for target, entries in sound.items():
        if any(mine.data != other.data for mine, other in zip(entries, sound[longest], strict=False)):
            cause = f"targets '{target}' and '{longest}' hold different entries of one number"
            raise LedgerForged("verify", FOLDER[:-1], cause, _HINT)
    for target, fault in passed_over.items():
        _require_reached(open(target), len(sound[longest]), fault)
    lengths = {target: len(entries) for target, entries in sound.items()}
    return Ledger(tuple(sound[longest]), lengths, passed_over)


def _require_reached(copy: LedgerCopy, length: int, error: BackupError) -> None:
    """Raises LedgerShort where a copy that was not believed names more entries than the others have: a sound copy that
    is short or empty outvotes none that is only damaged; that one's own error where it may pass. Of a target that does
    not answer nothing is known."""
    try:
        reach = copy.reach()
    except BackupError:
        return
    if reach > length:
        cause = (
            f"it has {length} entries on every target that can be read, but target '{copy.store.name}' names {reach}"
        )
        if error.transient:  # it may well be read in a moment
            raise error
        raise LedgerShort("verify", FOLDER[:-1], f"{cause} ({error.cause}): a request to erase is hidden", _HINT)


def _require_next(before: Written, after: Written) -> None:
    """Raises LedgerForged unless the one entry was written after the other."""
    if after.entry.previous_sha256 != before.sha256:
        cause = f"'{after.entry.path}' was written after another entry than this one"
        raise LedgerForged("verify", before.entry.path, cause, _HINT)
