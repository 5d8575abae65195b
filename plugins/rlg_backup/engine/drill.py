"""drill: restores the newest backups into scratch, runs the expectation suites, and writes the report.

Each part is a function over JSON values, so that every part can be a task of its own. What goes wrong with one
source is a check of its block, never an exception that hides the others.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config.settings import Drill
from ..core.errors import BackupError, InvalidSetting
from ..core.model import Check, Verdict
from ..format.profile import Profile
from ..report import DrillReport, ReportFiles
from .archives import open_remote
from .restore import restore
from .restore_points import Chosen, choose
from .verify import verdict_of
from .wiring import Wiring

Json = dict[str, Any]


def drill(wiring: Wiring, sources: Sequence[str]) -> tuple[DrillReport, ReportFiles]:
    """The whole drill in one process; scratch is removed at the end."""
    scratch = make_scratch(wiring, f"cli-{os.getpid()}")
    try:
        blocks = [add_suites(wiring, restore_block(wiring, source, str(scratch)), str(scratch)) for source in sources]
        return write_report(wiring, blocks)
    finally:
        remove_scratch(wiring, str(scratch))


def make_scratch(wiring: Wiring, name: str) -> Path:
    """A private folder below ``drill.scratch``; one of the same name is emptied."""
    folder = _settings(wiring).scratch / f"drill-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def remove_scratch(wiring: Wiring, scratch: str) -> None:
    """Remove a scratch folder; refuses any other folder (InvalidSetting). Gone already is fine."""
    folder = Path(scratch)
    if folder.parent != _settings(wiring).scratch or not folder.name.startswith("drill-"):
        raise InvalidSetting("remove", scratch, "it is not a scratch folder of a drill")
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise InvalidSetting("remove", scratch, "files are left in it", "remove the folder by hand")


def restore_block(wiring: Wiring, source: str, scratch: str) -> Json:
    """Restore a source's newest backup into scratch and prove parity; a failure is a check of the block."""
    start = time.perf_counter()
    block = missing_block(source, checks=[])
    try:
        done = restore(
            wiring, source, "latest", str(Path(scratch) / source), identities=tuple(_settings(wiring).identities)
        )
    except BackupError as error:
        verdict = verdict_of(error)
        check = Check(
            "restore", "latest backup", verdict, str(error), "restored and equal", time.perf_counter() - start
        )
        return {**block, "checks": [asdict(check)]}
    return {**block, **_facts(done.chosen), **_restored(done)}


def missing_block(source: str, checks: list[Json] | None = None) -> Json:
    """A block of which nothing is known: its restore never ended."""
    unknown = Check("restore", "latest backup", Verdict.COULD_NOT_VERIFY, "the restore did not end", "restored")
    return {
        "source": source,
        "backup_id": "",
        "place": "",
        "checks": [asdict(unknown)] if checks is None else checks,
        "seconds": {},
        "warnings": [],
        "rows_by_region": {},
    }


def _facts(chosen: Chosen) -> Json:
    manifest = chosen.manifest
    return {
        "backup_id": manifest.backup_id,
        "kind": manifest.kind.value,
        "taken_at": f"{manifest.snapshot.taken_at:%Y-%m-%dT%H:%M:%SZ}",
        "target": chosen.target,
        "manifest_sha256": chosen.manifest_sha256,
        "signer": chosen.signer,
        "fidelity": manifest.fidelity.value,
    }


def _restored(done: Any) -> Json:
    return {
        "place": done.to,
        "checks": [asdict(check) for check in done.checks],
        "seconds": done.seconds,
        "warnings": list(done.warnings),
    }


def add_suites(wiring: Wiring, block: Json, scratch: str) -> Json:
    """The block with the checks of the source's suites and its rows by region."""
    if not block["place"]:
        return block
    start = time.perf_counter()
    identities = tuple(_settings(wiring).identities)
    try:
        chosen = choose(wiring, block["source"], block["backup_id"], target=block["target"])
        profile = open_remote(wiring, chosen, wiring.identities(identities)).profile()
        checks = _suites(wiring, block["source"], block["place"], profile)
    except BackupError as error:
        unread = Check("suites", "run", Verdict.COULD_NOT_VERIFY, str(error))
        return {**block, "checks": [*block["checks"], asdict(unread)]}
    seconds = {**block["seconds"], "suites": round(time.perf_counter() - start, 3)}
    found = [*block["checks"], *(asdict(check) for check in checks)]
    return {**block, "checks": found, "seconds": seconds, "rows_by_region": _by_region(profile)}


def check_restored(wiring: Wiring, source: str, which: str, place: str, *, target: str | None = None) -> list[Check]:
    """The suites of a source over a place it was restored to; none when it has no suites."""
    if wiring.settings.drill is None or source not in wiring.settings.drill.suites:
        return []
    chosen = choose(wiring, source, which, target=target)
    profile = open_remote(wiring, chosen, wiring.identities()).profile()
    return _suites(wiring, source, place, profile)


def _suites(wiring: Wiring, source: str, place: str, profile: Profile) -> list[Check]:
    settings = _settings(wiring)
    folder = settings.suites.get(source)
    if folder is None:
        return []
    if settings.expectations is None or settings.references is None:
        raise InvalidSetting("run the suites of", source, "'drill.expectations' or 'drill.references' is not set")
    from ..validation import run_suites

    return run_suites(
        f"sqlite:///{place}",
        settings.expectations / folder,
        profile=profile.to_dict(),
        references=settings.references,
    )


def _by_region(profile: Profile) -> dict[str, dict[str, int]]:
    return {
        table.name: dict(table.geography["region"])
        for table in profile.tables
        if table.geography and "region" in table.geography
    }


def write_report(wiring: Wiring, blocks: Sequence[Mapping[str, Any]]) -> tuple[DrillReport, ReportFiles]:
    """The report as HTML and JSON in ``drill.reports``, named by the time."""
    raise InvalidSetting("write", "report", "not assembled")


def _settings(wiring: Wiring) -> Drill:
    if wiring.settings.drill is None:
        raise InvalidSetting("run", "drill", "the configuration has no 'drill'", "docs/configuration.md shows one")
    return wiring.settings.drill
