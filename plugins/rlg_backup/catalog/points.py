"""What a catalog lists, known from the names of its records alone: nothing is opened to list them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from ..core.errors import CatalogForged, CatalogGap, InvalidSetting
from ..core.model import SOURCE_NAME, Kind, backup_time
from ..format.retention import WORD
from .store import Store

_NAME = re.compile(r"([0-9]{8})-([0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})-(full|incremental|differential|retention)\.json")
FOLDER = "catalog/"
_STRETCH = 999  # records that are listed by one request: a page holds one more, which tells that they are all
_SHOWN = 120  # characters of a foreign key that stand in an error
MOVED_HINT = "compare with the source's other targets before restoring from this one"
RENEWED_HINT = f"{MOVED_HINT}; a target that was emptied or put back on purpose needs a new name in the configuration"


@dataclass(frozen=True, slots=True, order=True)
class RestorePoint:
    """One backup on one target, as the name of its commit record tells. Sorts by sequence within a source."""

    target: str
    source: str
    sequence: int
    backup_id: str
    kind: Kind

    @property
    def key(self) -> str:
        """Key of the commit record on the target (FORMAT.md, first table)."""
        return f"{folder(self.source)}{self.sequence:08d}-{self.backup_id}-{self.kind.value}.json"

    @property
    def time(self) -> datetime:
        """When the backup was begun, UTC, to the second."""
        return backup_time(self.backup_id)


@dataclass(frozen=True, slots=True)
class RetentionEntry:
    """A record of what was decided about restore points, as its name tells."""

    target: str
    source: str
    sequence: int
    record_id: str

    @property
    def key(self) -> str:
        return f"{folder(self.source)}{self.sequence:08d}-{self.record_id}-{WORD}.json"


Entry = RestorePoint | RetentionEntry


def folder(source: str) -> str:
    """``catalog/<source>/``; raises InvalidSetting for what is no source's name."""
    if not SOURCE_NAME.fullmatch(source):
        raise InvalidSetting("list", f"catalog/{source}", "the source's name is not lower-case letters, digits and '_'")
    return f"{FOLDER}{source}/"


def stretches(source: str, expected: int) -> list[str]:
    """Where a listing of about so many records may be parted."""
    return [f"{folder(source)}{sequence:08d}" for sequence in range(_STRETCH, expected, _STRETCH)]


def lease_key(source: str) -> str:
    """Key of the source's lease, the one object below ``folder`` that is no record."""
    return f"{folder(source)}lease.json"


def parse_key(target: str, source: str, key: str) -> Entry:
    """The entry whose record has this key; raises CatalogForged when the key cannot be a record's."""
    prefix = folder(source)
    match = _NAME.fullmatch(key[len(prefix) :]) if key.startswith(prefix) else None
    if match is not None and int(match[1]) > 0:
        try:
            backup_time(match[2])
        except ValueError:  # digits that are no date
            pass
        else:
            if match[3] == WORD:
                return RetentionEntry(target, source, int(match[1]), match[2])
            return RestorePoint(target, source, int(match[1]), match[2], Kind(match[3]))
    cause = f"its name on target '{target}' is not that of a commit record"
    raise CatalogForged("list", _shown(key), cause, "find out who wrote it, then remove it")


def list_entries(store: Store, source: str, *, whole: bool = True, expected: int = 0) -> list[Entry]:
    """Every record of a source on a target, newest last. Of about as many as ``expected`` they come soonest.

    Raises CatalogForged (a name that is none, one sequence or one backup twice) and, unless ``whole``
    is false, CatalogGap when a sequence is missing.
    """
    entries = _scan(store, source, expected)
    if whole and _first_gap(entries) is not None:
        # A listing is no snapshot: two commits during it can show the second without the first.
        entries = _scan(store, source, expected)
        missing = _first_gap(entries)
        if missing is not None:
            cause = f"record {missing:08d} is missing on target '{store.name}': a backup is hidden, or was removed"
            raise CatalogGap("list", folder(source)[:-1], cause, MOVED_HINT)
    return entries


def backups_of(entries: Sequence[Entry]) -> list[RestorePoint]:
    """The entries that committed a backup, in the same order."""
    return [entry for entry in entries if isinstance(entry, RestorePoint)]


def _scan(store: Store, source: str, expected: int) -> list[Entry]:
    lease = lease_key(source)
    listed = store.list(folder(source), edges=stretches(source, expected))
    entries = [parse_key(store.name, source, item.key) for item in listed if item.key != lease]
    entries.sort(key=lambda entry: entry.key)  # by sequence, which has 8 digits in each
    for earlier, entry in pairwise(entries):
        if earlier.sequence == entry.sequence:
            cause = f"'{earlier.key}' has the same sequence on target '{store.name}'"
            raise CatalogForged("list", entry.key, cause, MOVED_HINT)
    by_id: dict[str, RestorePoint] = {}
    for point in backups_of(entries):
        other = by_id.setdefault(point.backup_id, point)
        if other is not point:
            cause = f"'{other.key}' is of the same backup on target '{store.name}'"
            raise CatalogForged("list", point.key, cause, MOVED_HINT)
    return entries


def _first_gap(entries: Sequence[Entry]) -> int | None:
    """The first sequence that is missing from sorted entries; None when they are 1, 2, 3 ..."""
    return next((number for number, entry in enumerate(entries, 1) if entry.sequence != number), None)


def _shown(key: str) -> str:
    escaped = key.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= _SHOWN else escaped[: _SHOWN - 3] + "..."
