"""What an incremental or a differential backup is made after, and the change states that are kept for that."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..core.errors import BackupError
from ..core.model import Kind
from ..format.manifest import StateEntry
from .archives import STATE
from .chains import chain_of, require_archives
from .residency import may_hold
from .restore_points import Chosen, choose
from .wiring import Wiring

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedParent:
    """A backup that can be gone on from; ``targets`` are those that hold its change state."""

    backup_id: str
    manifest_sha256: str
    state: StateEntry
    targets: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "backup_id": self.backup_id,
            "manifest_sha256": self.manifest_sha256,
            "state": self.state.to_dict(),
            "targets": list(self.targets),
        }


class _Unsuitable(Exception):
    """There is no parent, with the reason."""


def find_parent(wiring: Wiring, source: str, kind: Kind, targets: Sequence[str]) -> PlannedParent | str:
    """The newest backup (for a differential one the newest full one), or why nothing can be made after it.

    It is to be the same on each of ``targets``, with its whole chain there: records, signed manifests, archives of
    the size these name. Its change state is on one of them at least.
    """
    try:
        copies = [_newest(wiring, source, kind, target) for target in targets]
        _require_same(copies)
        _require_layout(wiring, copies[0])
        _require_past(wiring, copies[0])
        _require_same_key(wiring, copies[0])
        for copy in copies:
            require_archives(wiring, chain_of(wiring, copy, targets=[copy.target]))
        return _planned(wiring, copies)
    except _Unsuitable as reason:
        return str(reason)
    except BackupError as error:  # whatever is wrong with a chain, a full backup does without
        return error.text


def full_since(wiring: Wiring, source: str, targets: Sequence[str], since: datetime) -> str | None:
    """The id of the newest full backup where each of ``targets`` got one after ``since``; None where one has none."""
    try:
        records = []
        for target in targets:
            catalog = wiring.catalog(target, source)
            fulls = [point for point in catalog.points() if point.kind is Kind.FULL]
            records += [catalog.record(point) for point in fulls[-1:]]
    except BackupError:  # what cannot be read covers nothing
        return None
    now = wiring.clock()
    recent = [record for record in records if since <= record.committed_at <= now]
    return recent[0].backup_id if recent and len(recent) == len(targets) else None


def remove_old_states(wiring: Wiring, source: str, target: str) -> None:
    """Takes away the change states that no backup will be made after: all but those of the newest backup and of the
    newest full one, back to the full one before. A worker may not be allowed to: that is logged."""
    try:
        points = wiring.catalog(target, source).points()
        fulls = [point.sequence for point in points if point.kind is Kind.FULL]
        kept = {*fulls[-1:], *(point.sequence for point in points[-1:])}
        oldest = fulls[-2] if len(fulls) > 1 else 1
        for point in points:
            if point.sequence >= oldest and point.sequence not in kept:
                wiring.storage(target).delete(f"{source}/{point.backup_id}/{STATE}")
    except BackupError as error:
        log.warning("change states that are needed no more stay on '%s': %s", target, error)


def _newest(wiring: Wiring, source: str, kind: Kind, target: str) -> Chosen:
    catalog = wiring.catalog(target, source)
    catalog.verify_chain()
    wanted = Kind.FULL if kind is Kind.DIFFERENTIAL else None
    points = [point for point in catalog.offered() if wanted in (None, point.kind)]
    if not points:
        raise _Unsuitable(f"target '{target}' has no {'full ' if wanted else ''}backup of this source yet")
    return choose(wiring, source, points[-1].backup_id, target=target)


def _require_same(copies: Sequence[Chosen]) -> None:
    first = copies[0]
    for other in copies[1:]:
        mine, its = first.point.backup_id, other.point.backup_id
        if mine != its:
            raise _Unsuitable(f"the newest on target '{first.target}' is '{mine}', on target '{other.target}' '{its}'")
        if first.manifest_sha256 != other.manifest_sha256:
            raise _Unsuitable(f"targets '{first.target}' and '{other.target}' hold different manifests of '{mine}'")


def _require_layout(wiring: Wiring, parent: Chosen) -> None:
    """Rows that do not change stay in the archive that they were in."""
    if parent.manifest.zones_sha256 != wiring.settings.layout(parent.source):
        raise _Unsuitable(f"backup '{parent.point.backup_id}' was made when the zones were others")


def _require_past(wiring: Wiring, parent: Chosen) -> None:
    """A snapshot's time is rounded up to the next second."""
    taken_at = parent.manifest.snapshot.taken_at
    if taken_at - timedelta(seconds=1) > wiring.clock():
        raise _Unsuitable(
            f"by this machine's clock backup '{parent.point.backup_id}' was taken in the future, "
            f"at {taken_at:%Y-%m-%dT%H:%M:%SZ}"
        )


def _require_same_key(wiring: Wiring, parent: Chosen) -> None:
    """Tokens of two keys would be two values of what is one."""
    theirs, mine = parent.manifest.tokenization_key, wiring.tokenization_key
    if theirs is not None and mine is not None and theirs != mine.key_id:
        raise _Unsuitable(f"backup '{parent.point.backup_id}' was made with another tokenization key")


def _planned(wiring: Wiring, copies: Sequence[Chosen]) -> PlannedParent:
    parent = copies[0]
    state = parent.manifest.state
    if state is None:
        raise _Unsuitable(f"backup '{parent.point.backup_id}' was made without change state")
    kept = [copy for copy in copies if may_hold(wiring.settings, copy.source, copy.target, STATE)]
    holders = tuple(copy.target for copy in kept if _holds(wiring, copy, state))
    if not holders:
        raise _Unsuitable(f"no target holds the change state of backup '{parent.point.backup_id}'")
    return PlannedParent(parent.point.backup_id, parent.manifest_sha256, state, holders)


def _holds(wiring: Wiring, copy: Chosen, state: StateEntry) -> bool:
    try:
        return wiring.storage(copy.target).stat(f"{copy.folder}/{STATE}").size == state.size
    except BackupError as error:
        log.warning("the change state on '%s' is of no use: %s", copy.target, error)
        return False
