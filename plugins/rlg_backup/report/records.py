"""What a drill found, as records: names, counts, digests and times; never a row value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..core.model import Check, Excluded, Fidelity, Kind, Verdict


@dataclass(frozen=True)
class DrilledSource:
    """One source that was restored into a scratch place and checked.

    ``target`` is where the backup was read from, ``chain`` the ids it needed, oldest first and itself
    last. ``restored`` is what > how many (tables, rows, files, bytes); ``timings`` phase > seconds, in
    order. ``regions`` is region > rows at the snapshot, of the tables with geography, "" for rows
    without one; ``regions_restored`` the same counted in the restored copy, or None when it was not.
    An empty ``backup_id`` says that none was restored: the facts about a backup then mean nothing and are not shown.
    """

    source: str
    target: str
    backup_id: str
    kind: Kind
    taken_at: datetime
    manifest_sha256: str
    signer: str
    fidelity: Fidelity
    checks: tuple[Check, ...]
    chain: tuple[str, ...] = ()
    masked_columns: tuple[str, ...] = ()
    restored: Mapping[str, int] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    regions: Mapping[str, int] = field(default_factory=dict)
    regions_restored: Mapping[str, int] | None = None
    warnings: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Of its checks; without one, COULD-NOT-VERIFY."""
        return Verdict.of(check.verdict for check in self.checks)


@dataclass(frozen=True)
class DrillReport:
    """A drill from its first to its last second (UTC). ``identities`` says which keys opened the archives
    ("configured", "escrow"); ``next_steps`` replace the usual advice when something is not a PASS."""

    title: str
    verdict: Verdict
    started: datetime
    finished: datetime
    sources: tuple[DrilledSource, ...]
    engine: str = ""
    identities: str = ""
    warnings: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()

    @property
    def judged(self) -> Verdict:
        """The verdict shown: never greener than ``verdict`` or any source; of no source, COULD-NOT-VERIFY."""
        if not self.sources and self.verdict is not Verdict.FAIL:
            return Verdict.COULD_NOT_VERIFY
        return Verdict.of([self.verdict, *(source.verdict for source in self.sources)])

    @property
    def seconds(self) -> float:
        return (self.finished - self.started).total_seconds()

    def found(self, verdict: Verdict) -> Iterator[tuple[DrilledSource, Check]]:
        """Every check that ended in ``verdict``, with its source."""
        for source in self.sources:
            for check in source.checks:
                if check.verdict is verdict:
                    yield source, check
