"""How the restore points of a source stand on its targets, in a line."""

from __future__ import annotations

from ...core.errors import StorageError
from ..wiring import Wiring
from .shelf import ABANDONED


def standing(wiring: Wiring, source: str) -> tuple[str, list[str]]:
    """What is to be told of each target, and ids of what should be gone and is not for two days. A target that does not
    answer is told as such; raises whatever is wrong with a catalog."""
    told, stuck = [], []
    for target in wiring.source_settings(source).targets:
        catalog = wiring.catalog(target, source)
        try:
            catalog.head()
            points, state = catalog.points(), catalog.state()
        except StorageError:
            told.append(f"{target}: not to be reached")
            continue
        told.append(f"{target}: {len(points)} restore points, {len(state.marks)} marked, {len(state.holds)} holds")
        stuck += [one.backup_id for one in state.removals if one.since < wiring.clock() - ABANDONED]
    return "; ".join(told), stuck
