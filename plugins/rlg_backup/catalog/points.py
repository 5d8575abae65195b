"""Restore points, known from the names of commit records alone: nothing is opened to list them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from ..core.errors import CatalogForged, CatalogGap, InvalidSetting
from ..core.model import SOURCE_NAME, Kind, backup_time
from .store import Store

_NAME = re.compile(r"([0-9]{8})-([0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})-(full|incremental|differential)\.json")
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


def folder(source: str) -> str:
    """``catalog/<source>/``; raises InvalidSetting for what is no source's name."""
    if not SOURCE_NAME.fullmatch(source):
        raise InvalidSetting("list", f"catalog/{source}", "the source's name is not lower-case letters, digits and '_'")
    return f"catalog/{source}/"


def lease_key(source: str) -> str:
    """Key of the source's lease, the one object below ``folder`` that is no record."""
    return f"{folder(source)}lease.json"


def parse_key(target: str, source: str, key: str) -> RestorePoint:
    """The point whose record has this key; raises CatalogForged when the key cannot be a record's."""
    prefix = folder(source)
    match = _NAME.fullmatch(key[len(prefix) :]) if key.startswith(prefix) else None
    if match is not None and int(match[1]) > 0:
        point = RestorePoint(target, source, int(match[1]), match[2], Kind(match[3]))
        try:
            backup_time(point.backup_id)
        except ValueError:  # digits that are no date
            pass
        else:
            return point
    cause = f"its name on target '{target}' is not that of a commit record"
    raise CatalogForged("list", _shown(key), cause, "find out who wrote it, then remove it")


def list_points(store: Store, source: str, *, whole: bool = True) -> list[RestorePoint]:
    """Every restore point of a source on a target, newest last.

    Raises CatalogForged (a name that is none, one sequence or one backup twice) and, unless ``whole``
    is false, CatalogGap when a sequence is missing.
    """
    points = _scan(store, source)
    if whole and _first_gap(points) is not None:
        # A listing is no snapshot: two commits during it can show the second without the first.
        points = _scan(store, source)
        missing = _first_gap(points)
        if missing is not None:
            cause = f"record {missing:08d} is missing on target '{store.name}': a backup is hidden, or was removed"
            raise CatalogGap("list", folder(source)[:-1], cause, MOVED_HINT)
    return points


def _scan(store: Store, source: str) -> list[RestorePoint]:
    lease = lease_key(source)
    points = [parse_key(store.name, source, item.key) for item in store.list(folder(source)) if item.key != lease]
    points.sort()
    by_id: dict[str, RestorePoint] = {}
    for earlier, point in zip([None, *points], points, strict=False):
        if earlier is not None and earlier.sequence == point.sequence:
            cause = f"'{earlier.key}' has the same sequence on target '{store.name}'"
            raise CatalogForged("list", point.key, cause, MOVED_HINT)
        other = by_id.setdefault(point.backup_id, point)
        if other is not point:
            cause = f"'{other.key}' is of the same backup on target '{store.name}'"
            raise CatalogForged("list", point.key, cause, MOVED_HINT)
    return points


def _first_gap(points: list[RestorePoint]) -> int | None:
    """The first sequence that is missing from sorted points; None when they are 1, 2, 3 ..."""
    return next((number for number, point in enumerate(points, 1) if point.sequence != number), None)


def _shown(key: str) -> str:
    escaped = key.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= _SHOWN else escaped[: _SHOWN - 3] + "..."
