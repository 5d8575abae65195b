"""Finds restore points over all targets of a source, and opens the archive of one, checked link by link:
commit record > manifest > archive > directory > member."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from ..catalog import Catalog, Entry, RestorePoint, backups_of, compare_heads
from ..core.errors import BackupError, BackupExpired, BackupNotFound, InvalidSetting, ObjectDamaged, StorageError
from ..core.model import Copy, backup_time
from ..format.manifest import Manifest
from ..format.retention import NOTHING, State
from .wiring import Wiring

MANIFEST_LIMIT = 16 << 20


@dataclass(frozen=True)
class Listed:
    """A restore point with its copies; ``unreadable`` targets are not among them and are said elsewhere."""

    source: str
    backup_id: str
    kind: str
    copies: tuple[Copy, ...]

    @property
    def taken(self) -> datetime:
        return backup_time(self.backup_id)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "backup_id": self.backup_id,
            "kind": self.kind,
            "time": f"{self.taken:%Y-%m-%dT%H:%M:%SZ}",
            "targets": {copy.target: copy.sequence for copy in self.copies},
            "expires": {copy.target: f"{copy.due_at:%Y-%m-%dT%H:%M:%SZ}" for copy in self.copies if copy.due_at},
            "tiers": {copy.target: copy.tier.value for copy in self.copies},
        }


@dataclass(frozen=True)
class Listing:
    """The restore points of a source, newest last, and why the list may not be whole, by target: its catalog could
    not be read, or hides records (CatalogGap; what it does list is among the points)."""

    points: tuple[Listed, ...]
    unreadable: dict[str, BackupError]


@dataclass(frozen=True)
class Chosen:
    """A restore point on one target, with its manifest verified. ``unasked``: targets that could not be asked for a
    newer one, and why. ``passed_over``: targets asked for this point before, whose copy cannot be used, and why."""

    point: RestorePoint
    target: str
    source: str
    manifest: Manifest
    manifest_sha256: str
    signer: str
    unasked: Mapping[str, str] = field(default_factory=dict)
    passed_over: Mapping[str, BackupError] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return f"{self.source}/{self.point.backup_id}"


def list_points(wiring: Wiring, source: str) -> Listing:
    """From names, and the newest decision about them: quick over thousands. A target that cannot be listed does not
    hide the others; one whose newest decision cannot be read shows all it has, and is said to be unreadable."""
    copies: dict[str, list[Copy]] = {}
    kinds: dict[str, str] = {}
    unreadable: dict[str, BackupError] = {}
    for target in wiring.source_settings(source).targets:
        try:
            catalog = wiring.catalog(target, source)
            entries = catalog.entries(whole=False)
            state = _state(catalog, entries, unreadable)
            marks = state.marked()
            for point in backups_of(entries):
                if not state.gone(point.sequence):
                    mark = marks.get(point.backup_id)
                    copy = Copy(target, point.sequence, mark.due_at if mark else None, state.tier_of(point.sequence))
                    copies.setdefault(point.backup_id, []).append(copy)
                    kinds[point.backup_id] = point.kind.value
            if _is_short(catalog, entries):
                catalog.head()  # says what is hidden
        except BackupError as error:
            unreadable[target] = error
    listed = [Listed(source, name, kinds[name], tuple(found)) for name, found in copies.items()]
    listed.sort(key=lambda point: (point.taken, point.copies[0].sequence))  # ids of one second are in no order
    return Listing(tuple(listed), unreadable)


def _state(catalog: Catalog, entries: Sequence[Entry], unreadable: dict[str, BackupError]) -> State:
    try:
        return catalog.state(entries)
    except BackupError as error:
        unreadable[catalog.target] = error
        return NOTHING


def _is_short(catalog: Catalog, entries: Sequence[Entry]) -> bool:
    """Whether records are missing: within the list, or after it as far as this machine has seen it."""
    known = catalog.seen.get(catalog.target, catalog.source)
    return len(entries) < max(entries[-1].sequence if entries else 0, known.sequence if known else 0)


def choose(wiring: Wiring, source: str, which: str = "latest", *, target: str | None = None) -> Chosen:
    """The restore point that ``which`` names: an id or its beginning, ``latest``, or a time (the newest not after it).

    Targets are asked in their configured order; one that fails is passed over as long as another holds the
    same point. ``latest`` and a time are refused with CatalogGap when any target says that something is hidden.
    """
    targets = [target] if target else list(wiring.source_settings(source).targets)
    moment = moment_of(wiring, which)
    if which == "latest" or moment:
        return _newest(wiring, source, targets, moment)
    missing: list[BackupNotFound] = []
    failures: dict[str, BackupError] = {}
    for name in targets:
        try:
            chosen = open_point(wiring, source, name, wiring.catalog(name, source).find(which))
            return replace(chosen, passed_over=failures)
        except BackupNotFound as error:
            missing.append(error)
        except BackupError as error:  # whatever is wrong there, another target may hold a sound copy
            failures[name] = error
    missing.sort(key=lambda error: not isinstance(error, BackupExpired))  # that it was there once says more
    raise next(iter([*failures.values(), *missing]))


def _newest(wiring: Wiring, source: str, targets: Sequence[str], moment: datetime | None) -> Chosen:
    """The newest point, not after ``moment`` where one is given, of the targets that answer, when none of them is
    missing what another has seen."""
    catalogs = {name: wiring.catalog(name, source) for name in targets}
    down: dict[str, BackupError] = {}
    for finding in compare_heads(catalogs):
        if not isinstance(finding.error, (StorageError, InvalidSetting)):
            raise finding.error
        down.setdefault(finding.target, finding.error)
    if len(down) == len(catalogs):
        raise next(iter(down.values()))
    points = []
    for name in targets:
        if name not in down:
            catalogs[name].verify_chain()
            points += [point for point in catalogs[name].offered() if moment is None or point.time <= moment]
    while points:
        newest = _last(points).backup_id
        chosen = _open_any(wiring, source, [point for point in points if point.backup_id == newest])
        if moment is None or chosen.manifest.snapshot.taken_at <= moment:
            return replace(chosen, unasked={target: str(error) for target, error in down.items()})
        # Begun before that time and read after it: it may lack what was deleted in between.
        points = [point for point in points if point.backup_id != newest]
    raise _nothing(source, targets, moment)


def _last(points: Sequence[RestorePoint]) -> RestorePoint:
    """The one that no target has another after: the order of commits is sure, a worker's clock may have been ahead."""
    followed = {one.backup_id for one, other in pairwise(points) if one.target == other.target}
    last = [point for point in points if point.backup_id not in followed] or points
    return max(last, key=lambda point: point.time)  # several where targets went apart


def _nothing(source: str, targets: Sequence[str], moment: datetime | None) -> BackupNotFound:
    where = f"source '{source}' has no backup on {', '.join(targets)}"
    if moment is None:
        return BackupNotFound("find", "latest", where, "make one with 'rlg-backup backup'")
    return BackupNotFound("find", moment.isoformat(), f"{where} that old", "'rlg-backup list' shows what there is")


def _open_any(wiring: Wiring, source: str, copies: Sequence[RestorePoint]) -> Chosen:
    """The first copy of a backup that can be believed; raises the first one's error when none can."""
    failures: dict[str, BackupError] = {}
    for point in copies:
        try:
            return replace(open_point(wiring, source, point.target, point), passed_over=failures)
        except BackupError as error:  # whatever is wrong there, another target may hold a sound copy
            failures[point.target] = error
    raise next(iter(failures.values()))


def open_point(wiring: Wiring, source: str, target: str, point: RestorePoint) -> Chosen:
    """A listed restore point with its manifest, both checked; raises as Catalog.record, and ObjectDamaged."""
    record = wiring.catalog(target, source).record(point)
    key = f"{source}/{point.backup_id}/manifest.json"
    data, _ = wiring.storage(target).get_bytes(key, limit=MANIFEST_LIMIT)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != record.manifest_sha256:
        raise ObjectDamaged("verify", key, "its SHA-256 is not the one that was committed")
    manifest = Manifest.load(data, wiring.trusted, source=source, backup_id=point.backup_id)
    return Chosen(point, target, source, manifest, sha256, signers_of(data)[0])


def signers_of(data: bytes) -> list[str]:
    """The key ids a verified document names."""
    return [entry["key"] for entry in json.loads(data)["signatures"]]


def moment_of(wiring: Wiring, which: str) -> datetime | None:
    """A time as RFC 3339 writes it, in the time zone of the settings when it names none; None for what is no time.

    Dashes in the date are required: ``20261123`` is the beginning of an id.
    """
    if which[4:5] != "-":
        return None
    try:
        moment = datetime.fromisoformat(which)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(wiring.settings.timezone))
