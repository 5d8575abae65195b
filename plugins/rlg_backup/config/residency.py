"""Residency: which rows may lie where. Zones are places whose rows must stay in the same jurisdictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from ..core.model import LEVELS
from .fields import Name, Strict

if TYPE_CHECKING:
    from .settings import GeographySettings, Settings, SourceSettings

BASE = "default"
"""The zone of the archive that is always there: definitions, and rows whose place no zone names."""
STATE = "state"  # the name of the change state's file, so that no zone's archive may have it


class Zone(Strict):
    """The places of a zone by the codes of their levels, and the jurisdictions where their rows may lie. A row belongs
    to the zone that names its finest place."""

    jurisdictions: Annotated[tuple[str, ...], Field(min_length=1)]
    region: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    city: tuple[str, ...] = ()
    town: tuple[str, ...] = ()

    def codes(self, level: str) -> tuple[str, ...]:
        found: tuple[str, ...] = getattr(self, level)
        return found


class Residency(Strict):
    """``jurisdictions``: by name the providers' regions that lie in it, exactly as the providers call them.
    ``here``: the jurisdiction of this machine; ``connections``: of the servers that restores go to."""

    jurisdictions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    zones: dict[Name, Zone] = Field(default_factory=dict)
    here: str | None = None
    connections: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Residency:
        if taken := sorted({BASE, STATE} & set(self.zones)):
            raise ValueError(f"no zone may be called '{taken[0]}'")
        named = {f"zones.{zone}.jurisdictions": one.jurisdictions for zone, one in self.zones.items()}
        named["here"] = (self.here,) if self.here else ()
        named |= {f"connections.{name}": (jurisdiction,) for name, jurisdiction in self.connections.items()}
        for setting, jurisdictions in named.items():
            for one in jurisdictions:
                if one not in self.jurisdictions:
                    raise ValueError(f"'{setting}' names '{one}', which 'jurisdictions' does not have")
        for level in LEVELS:
            self._require_apart(level)
        return self

    def _require_apart(self, level: str) -> None:
        owners: dict[str, str] = {}
        for name, zone in self.zones.items():
            for code in zone.codes(level):
                if (owner := owners.setdefault(code, name)) != name:
                    raise ValueError(f"the {level} '{code}' is in the zones '{owner}' and '{name}'")

    @property
    def levels(self) -> list[str]:
        """The levels of geography whose places zones name, coarsest first."""
        return [level for level in LEVELS if any(zone.codes(level) for zone in self.zones.values())]

    def zone_of(self, level: str) -> Mapping[str, str]:
        """Code > zone, of one level."""
        return {code: name for name, zone in self.zones.items() for code in zone.codes(level)}

    def may_lie(self, jurisdiction: str | None, zone: str) -> bool:
        """Whether rows of a zone may lie in a jurisdiction; of what is no zone here, where those of every zone may.

        Without any zones what no zone names may lie anywhere, and rows of a zone that others have nowhere.
        """
        if not self.zones:
            return zone == BASE
        asked = [self.zones[zone]] if zone in self.zones else list(self.zones.values())
        return jurisdiction is not None and all(jurisdiction in one.jurisdictions for one in asked)


def require_residence(settings: Settings, name: str, source: SourceSettings) -> None:
    """Where there are zones every archive of a source has a target, and every row says where it belongs. Raises
    ValueError."""
    residency = settings.residency
    if source.zone and source.zone not in residency.zones:
        named = f"the source '{name}' names the zone '{source.zone}'"
        raise ValueError(f"{named}, which 'residency.zones' does not have")
    if not residency.zones:
        return
    for target in source.targets:
        if settings.targets[target].jurisdiction not in residency.jurisdictions:
            raise ValueError(f"the target '{target}' names no jurisdiction of 'residency.jurisdictions'")
    geography = getattr(source, "geography", None)  # a tree has none
    zones = [BASE, *(residency.zones if geography else ())]
    for zone in zones:
        if not any(settings.may_hold(target, name, zone) for target in source.targets):
            what = f"rows of the zone '{zone}'" if zone != BASE else f"what no zone names (sources.{name}.zone)"
            raise ValueError(f"no target of the source '{name}' may hold {what}")
    if not all(settings.may_hold(target, name, zone) for target in source.targets for zone in zones):
        rules = [settings.retention.rules(name, target) for target in source.targets]
        if any(one != rules[0] for one in rules):
            cause = "keep its backups for different times, and none of them has every zone"
            raise ValueError(f"the targets of the source '{name}' {cause}")
    if geography:
        _require_levels(residency, name, geography)


def _require_levels(residency: Residency, name: str, geography: GeographySettings) -> None:
    """Each table with geography tells the finest level that zones name: a row of a region may be of any country."""
    for level in residency.levels:
        if level not in geography.levels:
            raise ValueError(f"zones name places of the level '{level}', which the source '{name}' does not tell")
    finest = LEVELS.index(residency.levels[-1]) if residency.levels else 0
    listed = {level.table for level in geography.levels.values()}
    for table in geography.tables:
        told = geography.finest_of(table)
        if table not in listed and told is not None and LEVELS.index(told) < finest:
            cause = f"tells no more than a {told}, and zones name places of the level '{LEVELS[finest]}'"
            raise ValueError(f"the table '{table}' of the source '{name}' {cause}")
