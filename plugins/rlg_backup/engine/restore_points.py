"""Finds restore points over all targets of a source, and opens the archive of one, checked link by link:
commit record > manifest > archive > directory > member."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..catalog import RestorePoint, compare_heads
from ..core.errors import BackupError, BackupNotFound, DamageError, ObjectDamaged, StorageError
from ..core.model import Copy, backup_time
from ..format.manifest import Manifest
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
        }


@dataclass(frozen=True)
class Listing:
    """The restore points of a source, newest last, and the targets whose catalog could not be read, with why."""

    points: tuple[Listed, ...]
    unreadable: dict[str, BackupError]


@dataclass(frozen=True)
class Chosen:
    """A restore point on one target, with its manifest verified."""

    point: RestorePoint
    target: str
    source: str
    manifest: Manifest
    manifest_sha256: str
    signer: str

    @property
    def folder(self) -> str:
        return f"{self.source}/{self.point.backup_id}"


def list_points(wiring: Wiring, source: str) -> Listing:
    """From names alone: quick over thousands. A target that cannot be listed does not hide the others."""
    copies: dict[str, list[Copy]] = {}
    kinds: dict[str, str] = {}
    unreadable: dict[str, BackupError] = {}
    for target in wiring.source_settings(source).targets:
        try:
            for point in wiring.catalog(target, source).points():
                copies.setdefault(point.backup_id, []).append(Copy(target, point.sequence))
                kinds[point.backup_id] = point.kind.value
        except BackupError as error:
            unreadable[target] = error
    points = tuple(Listed(source, name, kinds[name], tuple(copies[name])) for name in sorted(copies))
    return Listing(points, unreadable)


def choose(wiring: Wiring, source: str, which: str = "latest", *, target: str | None = None) -> Chosen:
    """The restore point that ``which`` names: an id or its beginning, ``latest``, or a time (the newest not after it).

    Targets are asked in their configured order; one that fails is passed over as long as another holds the
    same point. ``latest`` is refused with CatalogGap when any target says that something newer is hidden.
    """
    targets = [target] if target else list(wiring.source_settings(source).targets)
    if which == "latest":
        return _latest(wiring, source, targets)
    moment = _moment(which)
    failures: list[BackupError] = []
    for name in targets:
        try:
            point = _as_of(wiring, source, name, moment) if moment else wiring.catalog(name, source).find(which)
            return _open(wiring, source, name, point)
        except (StorageError, DamageError, BackupNotFound) as error:
            failures.append(error)
    raise next((error for error in failures if not isinstance(error, BackupNotFound)), failures[0])


def _as_of(wiring: Wiring, source: str, target: str, moment: datetime) -> RestorePoint:
    catalog = wiring.catalog(target, source)
    catalog.verify_chain()
    before = [point for point in catalog.points() if point.time <= moment]
    if not before:
        hint = "'rlg-backup list' shows what there is"
        raise BackupNotFound(
            "find", moment.isoformat(), f"target '{target}' has no backup of '{source}' that old", hint
        )
    return max(before, key=lambda point: point.backup_id)


def _latest(wiring: Wiring, source: str, targets: Sequence[str]) -> Chosen:
    """The newest point of the targets that answer, when none of them is missing what another has seen."""
    catalogs = {name: wiring.catalog(name, source) for name in targets}
    findings = compare_heads(catalogs)
    for finding in findings:
        if not isinstance(finding.error, StorageError) or len(findings) == len(catalogs):
            raise finding.error
    down = {finding.target for finding in findings}
    points = []
    for name, catalog in catalogs.items():
        if name not in down and catalog.points():
            points.append((catalog.latest(), name))
    if not points:
        hint = "make one with 'rlg-backup backup'"
        raise BackupNotFound("find", "latest", f"source '{source}' has no backup on {', '.join(targets)}", hint)
    newest = max(point.backup_id for point, _ in points)
    point, name = next((point, name) for point, name in points if point.backup_id == newest)
    return _open(wiring, source, name, point)


def _open(wiring: Wiring, source: str, target: str, point: RestorePoint) -> Chosen:
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


def _moment(which: str) -> datetime | None:
    """A time as RFC 3339 writes it, in local time when it names no zone; None for what is no time.

    Dashes in the date are required: ``20261123`` is the beginning of an id.
    """
    if which[4:5] != "-":
        return None
    try:
        moment = datetime.fromisoformat(which)
    except ValueError:
        return None
    return moment.astimezone() if moment.tzinfo is None else moment
