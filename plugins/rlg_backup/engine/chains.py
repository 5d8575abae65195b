"""The backups that a restore point is made of: a full one, and each that says what changed since the one before."""

from __future__ import annotations

from ..core.errors import BackupError, ObjectDamaged
from ..format.manifest import Parent
from .restore_points import Chosen, choose
from .wiring import Wiring


def chain_of(wiring: Wiring, chosen: Chosen) -> list[Chosen]:
    """The full backup first, then each one relative to it, up to ``chosen``; of a full one that alone.

    Each ancestor is the one that the signed manifest after it names, by its id and its manifest's SHA-256; from the target
    of ``chosen`` where it can be had there, else from another. Raises what ``choose`` raises, naming the ancestor, and
    ObjectDamaged when it has another manifest.
    """
    chain = [chosen]
    while (parent := chain[0].manifest.parent) is not None:  # ends: a manifest cannot hold the SHA-256 of a later one
        chain.insert(0, _ancestor(wiring, chosen, parent))
    return chain


def _ancestor(wiring: Wiring, chosen: Chosen, parent: Parent) -> Chosen:
    targets = wiring.source_settings(chosen.source).targets
    failures: list[BackupError] = []
    for target in (chosen.target, *(name for name in targets if name != chosen.target)):
        try:
            return _open(wiring, chosen.source, parent, target)
        except BackupError as error:  # whatever is wrong there, another target may hold a sound copy
            failures.append(error)
    raise failures[0]


def _open(wiring: Wiring, source: str, parent: Parent, target: str) -> Chosen:
    found = choose(wiring, source, parent.backup_id, target=target)
    if found.manifest_sha256 != parent.manifest_sha256:
        cause = f"target '{target}' holds another manifest than the one the backup after it was made from"
        raise ObjectDamaged("verify", f"{found.folder}/manifest.json", cause)
    return found
