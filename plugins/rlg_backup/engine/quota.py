"""How full a target is that has a quota, and how much room the next backups need there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from ..config.targets import LocalTarget
from ..core.model import backup_time, is_backup_id
from ..core.size import shown_size
from .warnings import near_quota
from .wiring import Wiring


@dataclass(frozen=True)
class Usage:
    """In bytes; ``backups`` by source and id, whole or not."""

    target: str
    quota: int
    warn_from: int
    used: int
    backups: Counter[tuple[str, str]]

    @property
    def warning(self) -> str | None:
        return near_quota(str(self)) if self.used >= self.warn_from else None

    def __str__(self) -> str:
        used, quota = shown_size(self.used), shown_size(self.quota)
        return f"target '{self.target}' holds {used} of its quota of {quota} ({100 * self.used / self.quota:.0f} %)"

    def needed(self, since: datetime) -> int:
        """What the next backups will take, by what those took that were made ``since`` then; the largest of all at
        least."""
        recent = sum(size for (_, name), size in self.backups.items() if backup_time(name) >= since)
        return max(recent, *self.backups.values(), 0)

    def of_source(self, source: str) -> int:
        return sum(size for (name, _), size in self.backups.items() if name == source)


def usage_of(wiring: Wiring, target: str) -> Usage | None:
    """None of a target without a quota. Raises StorageError."""
    settings = wiring.settings.targets[target]
    if not isinstance(settings, LocalTarget) or settings.quota is None:
        return None
    used, backups = 0, Counter[tuple[str, str]]()
    for info in wiring.storage(target).list(""):
        used += info.size
        source, *rest = info.key.split("/")
        if len(rest) == 2 and is_backup_id(rest[0]):
            backups[source, rest[0]] += info.size
    return Usage(target, settings.quota, settings.quota * settings.quota_warning // 100, used, backups)
