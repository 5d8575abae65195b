"""verify: proves a backup without restoring it. Quick needs no identity, full needs one."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..config.residency import BASE
from ..core.errors import (
    BackupError,
    CatalogError,
    CatalogGap,
    ClockImplausible,
    DamageError,
    DestinationUnsuitable,
    InvalidSetting,
    KeyUnavailable,
    ObjectMissing,
    ResidencyRefused,
    ResourceExhausted,
    StorageError,
    SystemRefused,
    WrongIdentity,
)
from ..core.model import Check, Verdict
from ..format.digest import EntryDigest
from ..format.manifest import ArchiveEntry
from ..format.profile import TreeProfile
from .archives import Archive, digest_of, index_of, open_remote
from .chains import chain_of, require_archives
from .layers import layered
from .limits import in_our_words
from .parity import stored_tables
from .residency import archive_name, elsewhere, held, unknown
from .restore_points import Chosen, choose
from .tree_contents import TreeContents
from .wiring import Wiring

PIECE = 1 << 20
NOT_CHECKABLE = (
    *(KeyUnavailable, WrongIdentity, CatalogGap, ClockImplausible),
    ResidencyRefused,  # the rest of it lies on other targets
    *(ResourceExhausted, SystemRefused, InvalidSetting, DestinationUnsuitable),  # of this machine, not of the backup
)


@dataclass(frozen=True)
class Verification:
    """What was found of one copy."""

    source: str
    backup_id: str
    target: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        return Verdict.of(check.verdict for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "backup_id": self.backup_id,
            "target": self.target,
            "verdict": self.verdict.value,
            "checks": [check.__dict__ | {"verdict": check.verdict.value} for check in self.checks],
        }


def verify(
    wiring: Wiring, source: str, which: str = "latest", *, target: str | None = None, full: bool = False
) -> Verification:
    """Check one copy. Damage is a FAIL, what cannot be looked at is COULD-NOT-VERIFY; neither is raised.

    A restore point that does not exist is BackupNotFound, raised: there is nothing to give a verdict on.
    """
    start = time.perf_counter()
    try:
        chosen = choose(wiring, source, which, target=target)
    except (DamageError, CatalogError, StorageError) as error:
        return Verification(source, which, target or "any", (_failed("catalog", "signatures and chain", error),))
    record = f"sequence {chosen.point.sequence}, signed by {chosen.signer}"
    checks = [
        Check(
            "catalog",
            "signatures and chain",
            Verdict.PASS,
            record,
            "trusted, without a gap",
            time.perf_counter() - start,
        )
    ]
    for name, reason in chosen.unasked.items():
        checks.append(Check("catalog", f"target {name}", Verdict.COULD_NOT_VERIFY, reason, "nothing newer there"))
    for name, fault in chosen.passed_over.items():  # that one is down is no news of the copies; a bad copy is
        if isinstance(fault, (DamageError, CatalogError, ObjectMissing)):
            checks.append(_failed("catalog", f"target {name}", fault))
    for entry in held(wiring.settings, chosen.target, chosen.manifest):
        checks += _guarded("object", _object_name(entry), partial(_object, wiring, chosen, entry))
    for entry in elsewhere(wiring.settings, chosen.target, chosen.manifest):
        checks += _guarded("object", f"zone {entry.zone}", partial(_elsewhere_only, wiring, chosen, entry))
    for entry in unknown(wiring.settings, chosen.manifest):
        cause = "the configuration does not have it: nobody knows where it may lie"
        checks.append(
            Check("object", f"zone {entry.zone}", Verdict.COULD_NOT_VERIFY, cause, "a zone of residency.zones")
        )
    if chosen.manifest.parent is not None:
        checks += _guarded("chain", "ancestors", lambda: [_chain(wiring, chosen)])
    if full:
        checks += _guarded("archive", "decrypt", lambda: _contents(wiring, chosen))
    return Verification(source, chosen.point.backup_id, chosen.target, tuple(checks))


def first_sound(wiring: Wiring, source: str, backup_id: str, target: str) -> tuple[Verification, tuple[str, ...]]:
    """The quick verification of the first copy of a backup that passes, that on ``target`` before the others; of
    ``target``'s when none does. And what is to be told of the copies that were passed over."""
    first = verify(wiring, source, backup_id, target=target)
    if first.verdict is Verdict.PASS:
        return first, ()
    wrong = "; ".join(f"{check.name}: {check.measured}" for check in first.checks if check.verdict != Verdict.PASS)
    told = f"the copy on target '{target}' was not used: {first.verdict}: {wrong}"
    for other in wiring.source_settings(source).targets:
        if other != target:
            with suppress(BackupError):  # not there, or not to be reached: the first copy's fault is what is told
                found = verify(wiring, source, backup_id, target=other)
                if found.verdict is Verdict.PASS:
                    return found, (told,)
    return first, ()


def _object_name(entry: ArchiveEntry) -> str:
    return "size and digest" + (f" of zone {entry.zone}" if entry.zone != BASE else "")


def _object(wiring: Wiring, chosen: Chosen, entry: ArchiveEntry) -> list[Check]:
    start = time.perf_counter()
    with wiring.storage(chosen.target).open(f"{chosen.folder}/{archive_name(entry.zone)}") as stream:
        found = digest_of(stream)
    right = found == (entry.size, entry.sha256)
    return [
        Check(
            "object",
            _object_name(entry),
            Verdict.PASS if right else Verdict.FAIL,
            f"{found[0]:,} bytes, SHA-256 {'equal' if right else 'different'}",
            f"{entry.size:,} bytes, as the manifest says",
            time.perf_counter() - start,
        )
    ]


def _elsewhere_only(wiring: Wiring, chosen: Chosen, entry: ArchiveEntry) -> list[Check]:
    """An archive that may not lie on this target does not, and lies in its size on one that may hold it."""
    key, targets = f"{chosen.folder}/{archive_name(entry.zone)}", wiring.source_settings(chosen.source).targets
    found: dict[str, int | None] = {}
    failures: list[BackupError] = []
    for target in targets:
        try:
            found[target] = wiring.storage(target).stat(key).size
        except ObjectMissing:
            found[target] = None
        except BackupError as error:
            failures.append(error)
    name, wanted = f"zone {entry.zone}", "only where it may lie"
    if found.get(chosen.target) is not None:
        return [Check("object", name, Verdict.FAIL, "it lies where it may not", wanted)]
    there = [one for one in targets if wiring.settings.may_hold(one, chosen.source, entry.zone)]
    if sound := [one for one in there if found.get(one) == entry.size]:
        return [Check("object", name, Verdict.PASS, f"not here; on {', '.join(sound)}", wanted)]
    if failures:
        raise failures[0]
    return [Check("object", name, Verdict.FAIL, f"it is not on {' or '.join(there) or 'any target'}", wanted)]


def _chain(wiring: Wiring, chosen: Chosen) -> Check:
    """Whether the copies on this target are enough to restore from."""
    start = time.perf_counter()
    ancestors = _ancestors(wiring, chosen)
    require_archives(wiring, ancestors)
    told = f"{len(ancestors)} on target '{chosen.target}', down to the full backup '{ancestors[0].point.backup_id}'"
    expected = "each with its manifest, and an archive of its size"
    return Check("chain", "ancestors", Verdict.PASS, told, expected, time.perf_counter() - start)


def _contents(wiring: Wiring, chosen: Chosen) -> list[Check]:
    """Decrypts and reads every member, and every row of every table."""
    start = time.perf_counter()
    bases = [one for one in held(wiring.settings, chosen.target, chosen.manifest) if one.zone == BASE]
    archive = open_remote(wiring, chosen, wiring.identities(), everywhere=not bases)  # the profile is in that one
    checks, members = [], 0
    for stream in archive.every():
        with stream:
            while stream.read(PIECE):
                continue
        members += 1
    done = f"{members} members, each with its SHA-256"
    checks.append(Check("archive", "decrypt and read", Verdict.PASS, done, "every member", time.perf_counter() - start))
    profile = archive.profile()
    checks += stored_tables(wiring, archive, profile)
    if profile.tree is not None:
        checks.append(_tree(archive, profile.tree, profile.digest_key))
    if chosen.manifest.parent is not None:
        look = _elsewhere if profile.tree is not None else _tables_before
        checks += _guarded("chain", "contents", lambda: [look(wiring, chosen, archive)])
    return checks


def _tree(archive: Archive, expected: TreeProfile, key: str) -> Check:
    """Every entry of the index is one of the snapshot's, by their digest, and each file that is to have its content in
    this archive has it."""
    start = time.perf_counter()
    digest, wrong, unstable, here = EntryDigest(bytes.fromhex(key)), 0, 0, 0
    for row in index_of(archive):
        digest.update(row, row.sha256)
        unstable += row.unstable
        if row.member is not None and row.backup is None:
            here += 1
            with archive.open(row.member) as stream:
                wrong += digest_of(stream) != (row.size, (row.sha256 or b"").hex())
    right = digest.hexdigest() == expected.digest
    counted = (digest.entries, unstable) == (expected.entries, expected.unstable)
    if expected.change is not None:
        counted = counted and here == expected.change.files
    verdict = Verdict.PASS if right and counted and not wrong else Verdict.FAIL
    if verdict == Verdict.PASS and unstable:
        verdict = Verdict.COULD_NOT_VERIFY
    measured = (
        f"{digest.entries} entries, digest {'equal' if right else 'different'}, {wrong} with other content, "
        f"{unstable} that changed while they were read"
    )
    return Check("members", "tree", verdict, measured, f"{expected.entries} entries", time.perf_counter() - start)


def _elsewhere(wiring: Wiring, chosen: Chosen, archive: Archive) -> Check:
    """Whether the contents that are not in this archive are in those before it on this target, by their directories."""
    start = time.perf_counter()
    ancestors = _ancestors(wiring, chosen)
    held = {one.point.backup_id: open_remote(wiring, one, wiring.identities()) for one in ancestors}
    contents = TreeContents(chosen.point.backup_id, {**held, chosen.point.backup_id: archive})
    found = 0
    for row in contents.index():
        if row.backup is not None:
            contents.require(row)
            found += 1
    done = f"{found:,} files in {len(ancestors)} backups before, each of its size and SHA-256"
    return Check("chain", "contents", Verdict.PASS, done, "every file", time.perf_counter() - start)


def _tables_before(wiring: Wiring, chosen: Chosen, archive: Archive) -> Check:
    """Whether each table of which this archive says what changed is, as it was, in those before it on this target, by
    their profiles."""
    start = time.perf_counter()
    opened = [open_remote(wiring, one, wiring.identities()) for one in _ancestors(wiring, chosen)]
    tables = layered([(one, one.profile()) for one in (*opened, archive)])
    changed = sum(len(table.layers) > 1 for table in tables)
    done = f"{changed:,} tables in {len(opened)} backups before, each as it was"
    return Check("chain", "contents", Verdict.PASS, done, "every table", time.perf_counter() - start)


def _ancestors(wiring: Wiring, chosen: Chosen) -> list[Chosen]:
    return chain_of(wiring, chosen, targets=[chosen.target])[:-1]


def _guarded(group: str, name: str, look: Any) -> list[Check]:
    try:
        with in_our_words("verify", name):
            found: list[Check] = look()
    except BackupError as error:
        return [_failed(group, name, error)]
    return found


def _failed(group: str, name: str, error: BackupError) -> Check:
    return Check(group, name, verdict_of(error), str(error))


def verdict_of(error: BackupError) -> Verdict:
    """FAIL when something is wrong, COULD-NOT-VERIFY when it could not be looked at."""
    unreachable = isinstance(error, StorageError) and not isinstance(error, ObjectMissing)
    return Verdict.COULD_NOT_VERIFY if unreachable or isinstance(error, NOT_CHECKABLE) else Verdict.FAIL
