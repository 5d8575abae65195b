"""What a target lacks of what others have, in the order in which it is to be copied."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..catalog import Catalog, RestorePoint, backups_of
from ..core.errors import BackupError
from ..core.model import Kind
from ..format.retention import Hold
from .restore_points import open_point
from .wiring import Wiring


@dataclass(frozen=True)
class Shelf:
    """The restore points of a source on a target, the ids of those that are ``marked``, what is held, and all that was
    ``ever`` there: what expired is not brought back."""

    source: str
    points: Sequence[RestorePoint]
    marked: frozenset[str]
    holds: Sequence[Hold]
    ever: Sequence[RestorePoint]

    @classmethod
    def read(cls, catalog: Catalog) -> Shelf:
        """Raises as Catalog.verify_chain and ``points``."""
        catalog.verify_chain()
        state, ever = catalog.state(), backups_of(catalog.entries())
        return cls(catalog.source, catalog.points(), frozenset(state.marked()), state.holds, ever)


@dataclass(frozen=True)
class Lacking:
    """A backup that is offered elsewhere and never was here; whether it comes after all that is here."""

    copies: list[RestorePoint]
    later: bool


def lacking(wiring: Wiring, mine: Shelf, others: Iterable[Shelf], *, whole: bool) -> dict[str, Lacking]:
    """By id, oldest first: in the order in which a target has them, which is sure; where none has two of them, by the
    workers' clocks. Of what is offered elsewhere the newest full one and what came after it, or the ``whole``; and
    what is marked there, where one that is offered is restored from it."""
    ever = mine.ever
    known = {point.backup_id for point in ever}
    found: dict[str, Lacking] = {}
    order: list[RestorePoint] = []
    for shelf in others:
        ids = [point.backup_id for point in shelf.points]
        newest = ids.index(ever[-1].backup_id) if ever and ever[-1].backup_id in ids else None
        wanted = _wanted(wiring, shelf, known, whole=whole)
        chosen = [(number, point) for number, point in enumerate(shelf.points) if point.backup_id in wanted]
        for number, point in chosen:
            later = number > newest if newest is not None else not ever or point.time > ever[-1].time
            found.setdefault(point.backup_id, Lacking([], later)).copies.append(point)
        order = _merged(order, [point for _, point in chosen])
    return {point.backup_id: found[point.backup_id] for point in order}


def _wanted(wiring: Wiring, shelf: Shelf, known: Collection[str], *, whole: bool) -> set[str]:
    offered = [point for point in shelf.points if point.backup_id not in shelf.marked]
    fulls = [number for number, point in enumerate(offered) if point.kind is Kind.FULL]
    start = 0 if whole else fulls[-1] if fulls else len(offered)
    missing = {point.backup_id: point for point in offered[start:] if point.backup_id not in known}
    marked = {point.backup_id: point for point in shelf.points if point.backup_id in shelf.marked - set(known)}
    found = set(missing)
    while missing and marked:
        _, point = missing.popitem()
        with suppress(BackupError):  # told when it is to be copied
            parent = open_point(wiring, shelf.source, point.target, point).manifest.parent
            if parent is not None and (above := marked.pop(parent.backup_id, None)) is not None:
                found.add(above.backup_id)
                missing[above.backup_id] = above
    return found


def _merged(one: Sequence[RestorePoint], other: Sequence[RestorePoint]) -> list[RestorePoint]:
    """Both lists as one, each in its own order (where they agree on one), and what stands in both once."""
    ids = [point.backup_id for point in one]
    merged, at = list[RestorePoint](), 0
    for point in other:
        if point.backup_id in ids:
            place = ids.index(point.backup_id)
            merged += one[at:place]
            at = max(at, place)
            continue
        while at < len(one) and one[at].time <= point.time:
            merged.append(one[at])
            at += 1
        merged.append(point)
    return [*merged, *one[at:]]
