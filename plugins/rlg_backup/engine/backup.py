"""backup: every verb of the graph in one process, for the command line, cron, and ``staging.mode: local``."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from ..core.errors import BackupError, BackupIncomplete, StorageError
from ..core.model import Kind
from . import steps
from .limits import in_our_words
from .proven import proven
from .quota import usage_of
from .warnings import capped
from .wiring import Wiring
from .workspace import Reference, Workspace

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class BackupResult:
    """What became of one run. ``committed`` maps a target to the sequence number there, ``missing`` to a reason.

    Where another kind than that of the backup was ``asked`` for, a warning says why it was not made."""

    source: str
    backup_id: str
    kind: str
    asked: str
    committed: dict[str, int]
    missing: dict[str, str]
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every planned copy exists."""
        return bool(self.committed) and not self.missing

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "backup_id": self.backup_id,
            "kind": self.kind,
            "asked": self.asked,
            "committed": self.committed,
            "missing": self.missing,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }


def backup(
    wiring: Wiring,
    source: str,
    kind: Kind,
    *,
    run: str | None = None,
    attempt: int = 1,
    unless_full_within: timedelta | None = None,
) -> BackupResult:
    """Back up one source. Raises what the failing step raises; staging is wiped and leases are given back always."""
    name = run or f"cli-{secrets.token_hex(6)}"
    begin = partial(steps.stage, wiring, source, kind, run=name, attempt=attempt, unless_full_within=unless_full_within)
    with in_our_words("back up", source):
        return _all_steps(wiring, begin)


def _all_steps(wiring: Wiring, begin: Callable[[], Reference]) -> BackupResult:
    timer = _Timer()
    reference = timer.run("stage", begin)
    try:
        reference = timer.run("snapshot", lambda: steps.snapshot(wiring, reference))
        reference = timer.run("anonymize", lambda: steps.anonymize(wiring, reference))
        reference = timer.run("encrypt", lambda: steps.encrypt(wiring, reference))
        reference = timer.run("checksum", lambda: steps.checksum(wiring, reference))
        reference, failed = _copy(wiring, reference, timer)
        reference = timer.run("commit", lambda: steps.commit(wiring, reference))
        done = result(wiring, reference, seconds=timer.seconds, failed=failed)
    except BaseException:
        try:
            timer.run("wipe", lambda: steps.wipe(wiring, reference))
        except (BackupError, OSError) as error:  # what went wrong before is what is to be told
            log.warning("%s", error)
        raise
    timer.run("wipe", lambda: steps.wipe(wiring, reference))
    return done


def _copy(wiring: Wiring, reference: Reference, timer: _Timer) -> tuple[Reference, dict[str, str]]:
    """Upload to and validate on each target; one that fails does not stop the others. Raises when all fail."""
    failed: dict[str, BackupError] = {}
    planned = wiring.source_settings(reference.source).targets
    for target in planned:
        if target in reference.down:
            continue
        try:
            uploaded = timer.run(f"upload {target}", lambda: steps.upload(wiring, reference, target))  # noqa: B023  # called at once
            reference = timer.run(f"validate {target}", lambda: steps.validate(wiring, uploaded, target))  # noqa: B023  # called at once
        except BackupError as error:
            if len(planned) > 1:  # the only one's is the run's error
                log.error("%s", error)
            failed[target] = error
    if failed and len(failed) + len(reference.down) == len(planned):
        raise _no_copy(reference, failed)
    return reference, {target: str(error) for target, error in failed.items()}


def _no_copy(reference: Reference, failed: Mapping[str, BackupError]) -> BackupError:
    """Why no target has a copy: the one error where there is one target, all of them otherwise."""
    reasons = {**reference.down, **{target: str(error) for target, error in failed.items()}}
    if len(reasons) == 1:
        return next(iter(failed.values()))
    told = "; ".join(f"{target}: {reason}" for target, reason in reasons.items())
    return BackupIncomplete("copy", reference.backup_id, f"no target has it ({told})")


def result(
    wiring: Wiring,
    reference: Reference,
    *,
    seconds: dict[str, float] | None = None,
    failed: dict[str, str] | None = None,
) -> BackupResult:
    """What the records of a run that got as far as its commit say of it."""
    workspace = Workspace.resume(wiring.settings.staging.folder, wiring.staging_key, reference)
    done = workspace.record("commit")
    finding = workspace.record("anonymize")
    profile = proven(workspace)["profile"]
    return BackupResult(
        source=reference.source,
        backup_id=reference.backup_id,
        kind=reference.kind,
        asked=workspace.record("stage")["asked"],
        committed=done["committed"],
        missing={**done["missing"], **(failed or {})},
        warnings=(
            *capped(profile["warnings"]),
            *finding["warnings"],
            *done["warnings"],
            *_near_quota(wiring, done["committed"]),
        ),
        seconds=seconds or {},
    )


def _near_quota(wiring: Wiring, targets: Iterable[str]) -> Iterator[str]:
    for target in targets:
        with suppress(StorageError):  # the copy is there; how full the target is will be told another time
            if (usage := usage_of(wiring, target)) and usage.warning:
                yield usage.warning


class _Timer:
    """Wall seconds of each step, and a log line for it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, name: str, step: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return step()
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)
            log.info("%s took %.3f s", name, self.seconds[name])
