"""One source on several targets: does each hold what the others have seen of it?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..core.errors import BackupError
from ..format.chained import Chained, Witness
from .reading import Catalog


@dataclass(frozen=True)
class Finding:
    """Why the catalog on ``target`` cannot be relied on, or could not be compared."""

    target: str
    error: BackupError


def compare_heads(catalogs: Mapping[str, Catalog]) -> list[Finding]:
    """What does not agree between the targets of one source; nothing when all does.

    Each readable catalog's newest record witnesses the heads of the others. A target that cannot be read is a
    finding as well: about it nothing is known. Raises nothing of its own.
    """
    findings: list[Finding] = []
    readable: dict[str, Catalog] = {}
    for target, catalog in catalogs.items():
        try:
            catalog.head()
        except BackupError as error:  # every class: each one is a finding, and the next target is still looked at
            findings.append(Finding(target, error))
        else:
            readable[target] = catalog
    for target, catalog in readable.items():
        for other in readable.values():
            if other is not catalog:
                try:
                    catalog.check_witness(other)
                except BackupError as error:
                    findings.append(Finding(target, error))
    return findings


def witnesses_for(previous: Chained | None, others: Iterable[Catalog]) -> dict[str, Witness]:
    """What a new record is to witness of the source's other targets.

    ``previous`` is the record before it. A target that cannot be read now, or that shows less than was seen of it
    before, is witnessed as it was: going back would destroy the evidence that something is hidden there.
    """
    found: dict[str, Witness] = {}
    for other in others:
        candidates = [previous.witnesses.get(other.target) if previous else None]
        seen = other.seen.get(other.target, other.source)
        candidates.append(Witness(sequence=seen.sequence, sha256=seen.sha256) if seen else None)
        try:
            head = other.head()
        except BackupError:  # it is down or contradicts itself: compare_heads tells, and this commit must not wait
            head = None
        candidates.append(Witness(sequence=head.entry.sequence, sha256=head.sha256) if head else None)
        known = [candidate for candidate in candidates if candidate is not None]
        if known:
            found[other.target] = max(known, key=lambda witness: witness.sequence)  # of equals the earlier knowledge
    return found
