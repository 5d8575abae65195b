"""What the doctor asks of targets: whether they answer, and whether they are what the configuration takes them for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from ..config.settings import PostgresSettings
from ..config.targets import LocalTarget, Target
from ..core.errors import InvalidSetting
from ..storage.port import TargetFacts
from .wiring import Wiring

MOST_SKEW = timedelta(minutes=5)
"""Leases go by the target's clock and by ours; Amazon S3 refuses requests that are 15 minutes off."""


def reachable(wiring: Wiring, name: str) -> str:
    """How much of a catalog there is."""
    found = sum(1 for _ in wiring.storage(name).list("catalog/"))
    return f"reachable, {found} objects in the catalog"


def faults(settings: Target, facts: TargetFacts) -> Iterator[str]:
    """What must not be."""
    if facts.public:
        yield "strangers may read or list it: close public access"
    if settings.lock != "none" and facts.locks is False:
        yield "it keeps no locks, which targets.NAME.lock asks for: no backup will be stored there"
    if facts.clock_skew is not None and abs(facts.clock_skew) > MOST_SKEW:
        ahead = "ahead of" if facts.clock_skew > timedelta(0) else "behind"
        yield f"its clock is {abs(facts.clock_skew)} {ahead} ours: set this machine's"


def told(settings: Target, facts: TargetFacts) -> str:
    """What it says of itself, what it does not say, and what is a risk."""
    folder = isinstance(settings, LocalTarget)
    known = ["a folder" if folder else f"region {facts.region}" if facts.region else ""]
    known.append(_yes_no(facts.versioned, "keeps versions", "keeps no versions"))
    known.append(_yes_no(facts.locks, "keeps locks", "keeps no locks"))
    known.append(_yes_no(facts.public, "", "not public"))
    asked = {"region": facts.region, "versions": facts.versioned, "locks": facts.locks, "public access": facts.public}
    asked |= {"the right to delete": facts.may_delete}
    unknown = [] if folder else [what for what, value in asked.items() if value is None]
    notes = [f"not told: {', '.join(unknown)}"] if unknown else []
    if not isinstance(settings, LocalTarget) and settings.customer_key:
        notes.append("encrypted there with customer_key, without which no copy can be read")
    if facts.may_delete and settings.lock == "none":
        notes.append("warning: these credentials may delete backups for good; set lock, or take that right away")
    return "; ".join(filter(None, [", ".join(filter(None, known)), *notes]))


def residence(wiring: Wiring, name: str) -> str:
    """Which zones' rows a target is for; nothing where there are no zones."""
    residency, jurisdiction = wiring.settings.residency, wiring.settings.targets[name].jurisdiction
    if not residency.zones:
        return ""
    zones = [zone for zone in residency.zones if residency.may_lie(jurisdiction, zone)]
    return f"; in '{jurisdiction}', for the zones: {', '.join(zones) or 'none'}"


def together(wiring: Wiring, name: str) -> list[str]:
    """The sources that lie on the same device as the folder of a target: who loses it loses both."""
    settings = wiring.settings.targets[name]
    if not isinstance(settings, LocalTarget):
        return []
    device = _device(settings.path)
    found = []
    for source, one in wiring.settings.sources.items():
        if name in one.targets and not isinstance(one, PostgresSettings) and device is not None:
            with suppress(InvalidSetting):  # without a path, which the check of the source tells
                found += [source] if _device(wiring.path_of(source)) == device else []
    return found


def _device(path: Path) -> int | None:
    for one in (path, *path.parents):
        try:
            return one.stat().st_dev
        except OSError:
            continue
    return None


def _yes_no(value: bool | None, yes: str, no: str) -> str:
    return "" if value is None else yes if value else no
