"""Changes a platform as a day of use would: the work of an incremental backup."""

from __future__ import annotations

from calendar import timegm
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from time import monotonic
from typing import Protocol, TypeVar

from ..core.errors import ConfigurationError, InvalidSetting
from .chance import stream
from .changes_data import DATA_CHANGES
from .changes_fans import FANS_CHANGES
from .changes_files import FILE_CHANGES, TreeEditor
from .databases import Databases, databases_of
from .editor import Changes, Editor
from .generation import disk_faults, survey
from .outcome import TREE, Summary

_SHARES = {"rlg_data": 45, "rlg_fans": 45, TREE: 10}  # of the changes, in percent
_CHANGES: dict[str, tuple[str, Changes]] = {
    "rlg_data": ("accounts", DATA_CHANGES),
    "rlg_fans": ("fan_accounts", FANS_CHANGES),
}

E = TypeVar("E", contravariant=True)


class _Kind(Protocol[E]):
    @property
    def kind(self) -> str: ...
    @property
    def weight(self) -> int: ...
    @property
    def make(self) -> Callable[[E], bool]: ...


def mutate(folder: Path, *, seed: int, changes: int, server: str | None = None) -> Summary:
    """Makes ``changes`` changes to both databases and the tree, one transaction for each database.

    ``server`` is as for ``generate``. Each call is counted in the databases, so that one seed given twice is two days.
    From 50 changes on every kind of change occurs. Equal platforms, seeds and counts give equal
    results, in whatever the databases are kept. One change may touch several rows (a deleted account takes its
    subscriptions along). Not idempotent: each call changes more. Prices are never touched. Raises InvalidSetting
    (changes), ConfigurationError (no platform there, or not writable), StorageFull.
    """
    if changes < 0:
        raise InvalidSetting("change", str(folder), f"the number of changes is {changes}, the least is 0")
    databases = databases_of(folder, server)
    started, done = monotonic(), Counter[str]()
    counts = _divide(changes)
    with disk_faults("change", folder), databases.faults("change"):
        _demand_platform(folder, databases)
        moment = calls = 0
        for name, (dated, kinds) in _CHANGES.items():
            with databases.changing(name) as session:
                calls = session.round
                rng = stream(seed, f"changes/{name}/{calls}")
                editor = Editor(session, rng)
                editor.start_after(dated)
                for kind in _changed(editor, kinds, rng, counts[name], editor.tick):
                    done[f"{name}.{kind}"] += 1
                moment = max(moment, timegm(editor.clock.timetuple()))
        tree, rng = folder / TREE, stream(seed, f"changes/{TREE}/{calls}")
        for kind in _changed(TreeEditor(tree, rng, moment), FILE_CHANGES, rng, counts[TREE]):
            done[f"{TREE}.{kind}"] += 1
        return survey(folder, databases, dict(sorted(done.items())), started)


def _demand_platform(folder: Path, databases: Databases) -> None:
    missing = [(str(databases), databases.title(name)) for name in _CHANGES if not databases.has(name)]
    missing += [] if (folder / TREE).exists() else [(str(folder), TREE)]
    for place, part in missing:
        raise ConfigurationError("change", place, f"it has no {part}", "generate a platform there first")


def _divide(changes: int) -> dict[str, int]:
    """How many changes each part gets; at 50 each part gets at least one of every kind."""
    least = {"rlg_data": len(DATA_CHANGES), "rlg_fans": len(FANS_CHANGES), TREE: len(FILE_CHANGES)}
    if changes < sum(least.values()):
        least = dict.fromkeys(least, 0)
    left = changes - sum(least.values())
    counts = {part: least[part] + left * share // 100 for part, share in _SHARES.items()}
    counts["rlg_data"] += changes - sum(counts.values())
    return counts


def _changed(
    editor: E, kinds: Sequence[_Kind[E]], rng: Random, count: int, tick: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Makes ``count`` changes and says of which kind each was: every one once, then by weight.

    Where there is nothing left to change, the first kind, an insert, takes its place.
    """
    plan = list(kinds) if count >= len(kinds) else []
    plan += rng.choices(kinds, [kind.weight for kind in kinds], k=count - len(plan))
    for kind in plan:
        tick()
        if kind.make(editor):
            yield kind.kind
        else:
            kinds[0].make(editor)
            yield kinds[0].kind
