"""The backups that a restore point is made of: a full one, and each that says what changed since the one before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..core.errors import BackupError, ObjectDamaged
from ..format.manifest import Parent
from .archives import require_size
from .restore_points import Chosen, choose
from .wiring import Wiring


def chain_of(wiring: Wiring, chosen: Chosen, *, targets: Sequence[str] = ()) -> list[Chosen]:
    """The full backup first, then each one relative to it, up to ``chosen``; of a full one that alone.

    Each ancestor is the one that the signed manifest after it names, by its id and its manifest's SHA-256. ``targets``
    are asked for it in their order; unless given, that of ``chosen``, then the source's others. Raises what ``choose``
    raises, naming the ancestor, and ObjectDamaged when it has another manifest.
    """
    others = wiring.source_settings(chosen.source).targets
    asked = list(targets) or [chosen.target, *(name for name in others if name != chosen.target)]
    chain = [chosen]
    while (parent := chain[0].manifest.parent) is not None:  # ends: a manifest cannot hold the SHA-256 of a later one
        chain.insert(0, _ancestor(wiring, chosen.source, parent, asked))
    return chain


def require_archives(wiring: Wiring, chain: Iterable[Chosen]) -> None:
    """Raises ObjectMissing or ObjectDamaged when an archive is gone, or of another size than its manifest names."""
    for one in chain:
        require_size(wiring, one)


def _ancestor(wiring: Wiring, source: str, parent: Parent, targets: Sequence[str]) -> Chosen:
    failures: dict[str, BackupError] = {}
    for target in targets:
        try:
            return replace(_open(wiring, source, parent, target), passed_over=failures)
        except BackupError as error:  # whatever is wrong there, another target may hold a sound copy
            failures[target] = error
    raise failures[targets[0]]


def _open(wiring: Wiring, source: str, parent: Parent, target: str) -> Chosen:
    found = choose(wiring, source, parent.backup_id, target=target)
    if found.manifest_sha256 != parent.manifest_sha256:
        cause = f"target '{target}' holds another manifest than the one the backup after it was made from"
        raise ObjectDamaged("verify", f"{found.folder}/manifest.json", cause)
    return found
