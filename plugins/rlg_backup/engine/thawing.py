"""thaw: asks that what lies frozen in an archive tier can be read, for a restore point and all that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..core.errors import BackupError, ResidencyRefused
from .chains import chain_of
from .residency import archive_name, may_hold, unknown
from .restore_points import Chosen, choose
from .wiring import Wiring

DAYS: Final = 7
"""How long what was thawed stays readable: a restore may have to be made twice."""


@dataclass(frozen=True)
class Thawed:
    """Of each backup of a chain the target whose copy can be read; None where it was asked for and is not there yet."""

    source: str
    backup_id: str
    readable: dict[str, str | None]

    @property
    def done(self) -> bool:
        return None not in self.readable.values()

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source, "backup_id": self.backup_id, "readable": self.readable, "done": self.done}


def thaw(wiring: Wiring, source: str, which: str, *, target: str | None = None) -> Thawed:
    """Look for a readable copy of each archive, on any target unless one is named; where there is none, ask the
    provider for that of the chosen target. Idempotent: asked again it tells how far it is. Raises as ``choose``."""
    chosen = choose(wiring, source, which, target=target)
    chain = chain_of(wiring, chosen, targets=[target] if target else [])
    others = [] if target else list(wiring.source_settings(source).targets)
    readable = {one.point.backup_id: _readable(wiring, one, others) for one in chain}
    return Thawed(source, chosen.point.backup_id, readable)


def _readable(wiring: Wiring, one: Chosen, others: list[str]) -> str | None:
    """The targets that the archives of a backup can be read on, by name; None where one is asked for."""
    asked = (one.target, *(name for name in others if name != one.target))
    strange = unknown(wiring.settings, one.manifest)
    found = [
        _copy_of(wiring, one, archive_name(entry.zone), asked, known=entry not in strange)
        for entry in one.manifest.archives
    ]
    return ", ".join(dict.fromkeys(name for name in found if name)) if all(found) else None


def _copy_of(wiring: Wiring, one: Chosen, archive: str, targets: Sequence[str], *, known: bool) -> str | None:
    key, holders = f"{one.folder}/{archive}", []
    for name in targets:
        if known and not may_hold(wiring.settings, one.source, name, archive):
            continue
        holders.append(name)
        try:
            if wiring.storage(name).stat(key).readable:
                return name
        except BackupError:  # no copy there that could be read; the first one is asked for below
            continue
    if not holders:
        cause = f"target '{one.target}' may not hold it"
        raise ResidencyRefused("thaw", key, cause, "name no target: each archive is taken from where it may lie")
    return holders[0] if wiring.storage(holders[0]).thaw(key, DAYS) else None
