"""Residency at work: which archives a target may hold, and where a restore may go. Every route goes through here.

What a target is asked to store goes through ``Resident``, which refuses the archive of a zone that may not lie there,
whoever asks; where a bucket lies is asked from its provider, never believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..config.residency import BASE, STATE
from ..config.settings import Settings
from ..config.targets import LocalTarget
from ..core.errors import ResidencyRefused
from ..format.manifest import ArchiveEntry, Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from ..storage.port import Storage

SUFFIX: Final = ".zip.age"
T = TypeVar("T")


def archive_name(zone: str) -> str:
    """The name of a zone's archive in a backup's folder."""
    return zone + SUFFIX


def held(settings: Settings, target: str, manifest: Manifest) -> tuple[ArchiveEntry, ...]:
    """The archives of a backup that a target may hold, and its copy has; all, where there are no zones."""
    return tuple(one for one in manifest.archives if settings.may_hold(target, manifest.source, one.zone))


def elsewhere(settings: Settings, target: str, manifest: Manifest) -> tuple[ArchiveEntry, ...]:
    """The archives of a backup that a target may not hold, of zones that the configuration has."""
    mine = (*held(settings, target, manifest), *unknown(settings, manifest))
    return tuple(one for one in manifest.archives if one not in mine)


def unknown(settings: Settings, manifest: Manifest) -> tuple[ArchiveEntry, ...]:
    """The archives of zones that the configuration does not have (any more): nobody knows where they may lie."""
    return tuple(one for one in manifest.archives if one.zone not in (BASE, *settings.residency.zones))


def objects_for(settings: Settings, source: str, target: str, objects: Mapping[str, T]) -> dict[str, T]:
    """Of a backup's archives and its change state those that a target may hold."""
    return {name: one for name, one in objects.items() if may_hold(settings, source, target, name)}


def may_hold(settings: Settings, source: str, target: str, name: str) -> bool:
    """Whether a target may hold an archive, or the change state, of a source by its file's name."""
    return settings.may_hold(target, source, zone_of(name))


def zone_of(name: str) -> str:
    """The zone whose rules hold for a file. The change state is of all zones, and holds keyed hashes: it goes where the
    archive that is always there may lie."""
    zone = name.removesuffix(SUFFIX)
    return BASE if zone == STATE else zone


def require_destination(settings: Settings, manifest: Manifest, jurisdiction: str | None, to: str, what: str) -> None:
    """Raises ResidencyRefused unless the rows of every archive of a backup may lie in the jurisdiction of ``to``.
    ``what``: the setting that says which one it is."""
    others = manifest.zones_sha256 != settings.layout(manifest.source)  # then what no zone names may be of any
    for entry in manifest.archives:
        zone = entry.zone if others else settings.zone_of_archive(manifest.source, entry.zone)
        if not settings.residency.may_lie(jurisdiction, zone):
            said = f"'{jurisdiction}'" if jurisdiction else "a jurisdiction that nobody named"
            cause = f"{_rows(entry.zone)} may not lie in {said}"
            raise ResidencyRefused("restore to", to, cause, f"restore where they may, or correct '{what}'")


def _rows(zone: str) -> str:
    return f"rows of the zone '{zone}'" if zone != BASE else "rows that no zone names"


class Resident:
    """A target that stores only what may lie where it is. What does not store goes through as it is."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self.name = storage.name
        self._storage, self._settings = storage, settings
        self._region_is_right = False

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._storage, operation)

    def put_file(self, key: str, path: Path, **options: Any) -> Any:
        self._require(key)
        return self._storage.put_file(key, path, **options)

    def put_bytes(self, key: str, data: bytes, **options: Any) -> Any:
        self._require(key)
        return self._storage.put_bytes(key, data, **options)

    def _require(self, key: str) -> None:
        if not key.endswith(SUFFIX):
            return
        source, zone = key.partition("/")[0], zone_of(key.rpartition("/")[2])
        if not self._settings.may_hold(self.name, source, zone):
            jurisdiction = self._settings.targets[self.name].jurisdiction
            cause = f"{_rows(zone)} may not lie on target '{self.name}', in '{jurisdiction}'"
            raise ResidencyRefused("store", key, cause, "see 'residency' in docs/configuration.md")
        if not self._region_is_right:
            require_region(self._settings, self._storage)
            self._region_is_right = True


def require_region(settings: Settings, storage: Storage) -> None:
    """Where there are zones, raises ResidencyRefused unless the provider says that the target lies in the jurisdiction
    it is declared to; of a folder there is nobody to ask. Raises StorageError where the provider cannot be asked."""
    if not settings.residency.zones or isinstance(settings.targets[storage.name], LocalTarget):
        return
    if fault := misplaced(settings, storage.name, storage.facts().region):
        hint = "correct targets.NAME.jurisdiction, or add the region to residency.jurisdictions if it lies there"
        raise ResidencyRefused("store on", storage.name, fault, hint)


def misplaced(settings: Settings, name: str, region: str | None) -> str | None:
    """Why a target is not where it is declared to be, by the region its provider tells."""
    target = settings.targets[name]
    if not settings.residency.zones or isinstance(target, LocalTarget):
        return None
    regions = settings.residency.jurisdictions.get(target.jurisdiction or "", ())
    if region is None:
        return f"its provider does not say where it lies, and it is declared to be in '{target.jurisdiction}'"
    if region not in regions:
        return f"its provider says that it lies in '{region}', which is not in '{target.jurisdiction}'"
    return None


def uncovered(settings: Settings, source: str, zones: Iterable[str], targets: Iterable[str]) -> list[str]:
    """The zones whose archives none of some targets may hold."""
    return [zone for zone in zones if not any(settings.may_hold(target, source, zone) for target in targets)]
