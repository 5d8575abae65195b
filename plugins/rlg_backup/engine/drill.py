"""drill: restores the newest backups into scratch, runs the expectation suites, and writes the report.

Each part is a function over JSON values, so that every part can be a task of its own. What goes wrong with one
source is a check of its block, never an exception that hides the others.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config.settings import Drill, PostgresSettings
from ..core.errors import BackupError, InvalidSetting, StorageFull
from ..core.model import Check, Verdict
from ..core.private import create_private
from ..format.profile import Profile
from ..sources.placing import open_up
from .archives import open_remote
from .drill_report import Files, write_report
from .erasure import NOTHING_ASIDE, ErasedRows, SetAside, to_compare
from .limits import in_our_words
from .places import database_at, database_url
from .restore import Restored, restore
from .restore_points import choose
from .verify import verdict_of
from .wiring import Wiring

Json = dict[str, Any]
MARK = ".rlg-drill"  # a file in every scratch folder; its time is when the drill began, its content chance
ABANDONED = 3 * 86400  # seconds: three times what all tries of a drill's longest step may take


def drill(wiring: Wiring, sources: Sequence[str], aside: SetAside = NOTHING_ASIDE) -> tuple[Verdict, list[Json], Files]:
    """The whole drill in one process, without the requests to erase that are set ``aside``; scratch is removed at the
    end."""
    started = wiring.clock()
    scratch = make_scratch(wiring, f"cli-{os.getpid()}")
    try:
        blocks = [add_suites(wiring, restore_block(wiring, source, str(scratch), aside)) for source in sources]
    finally:
        remove_scratch(wiring, str(scratch))
    verdict, files = write_report(wiring, blocks, started)
    return verdict, blocks, files


def make_scratch(wiring: Wiring, name: str) -> Path:
    """A private folder below ``drill.scratch``; one of the same name is emptied. Raises InvalidSetting.

    What killed drills left is removed: it is restored data in the clear.
    """
    root = drill_settings(wiring).scratch
    folder = root / f"drill-{name}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in root.glob("drill-*"):
            if (left / MARK).is_file() and (left / MARK).stat().st_mtime < time.time() - ABANDONED:
                _drop_all(wiring, left)
                _remove(left)
        _remove(folder)
        folder.mkdir(mode=0o700)
        with create_private(folder / MARK) as mark:
            mark.write(secrets.token_hex(16).encode())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("use", "drill.scratch", "no space is left in it") from None
        cause = f"no folder can be made in it ({(error.strerror or 'the system refuses').lower()})"
        raise InvalidSetting("use", "drill.scratch", cause, "name a folder this user may write to") from None
    return folder


def remove_scratch(wiring: Wiring, scratch: str) -> None:
    """Remove a scratch folder, and the databases of that drill; refuses any other folder (InvalidSetting). Gone already
    is fine. Raises what removing a database raises."""
    folder = _scratch(wiring, "remove", scratch)
    _drop_all(wiring, folder)
    _remove(folder)
    if folder.exists():
        raise InvalidSetting("remove", scratch, "files are left in it", "remove the folder by hand")


def _scratch(wiring: Wiring, verb: str, scratch: str) -> Path:
    """The folder, when it is one that ``make_scratch`` makes: below it things are removed."""
    folder = Path(scratch)
    if folder.parent != drill_settings(wiring).scratch or not folder.name.startswith("drill-"):
        raise InvalidSetting(verb, scratch, "it is not a scratch folder of a drill")
    return folder


def _remove(folder: Path) -> None:
    """Remove a tree, as much of it as can be."""
    open_up(folder)
    shutil.rmtree(folder, ignore_errors=True)


def restore_block(wiring: Wiring, source: str, scratch: str, aside: SetAside = NOTHING_ASIDE) -> Json:
    """Restore a source's newest backup into scratch and prove parity; a failure is a check of the block."""
    start = time.perf_counter()
    folder = _scratch(wiring, "restore into", scratch)
    try:
        place = _emptied(wiring, source, folder)
        identities = tuple(drill_settings(wiring).identities)
        done = restore(wiring, source, "latest", place, identities=identities, scratch=True, aside=aside)
    except BackupError as error:
        seconds = time.perf_counter() - start
        check = Check("restore", "latest backup", verdict_of(error), str(error), "restored and equal", seconds)
        return empty_block(source, check)
    return _block(done)


def _emptied(wiring: Wiring, source: str, folder: Path) -> str:
    """Where a source is restored to; what an earlier try of this step left there is removed: scratch is ours.

    Raises InvalidSetting, and what removing a database raises.
    """
    if isinstance(wiring.source_settings(source), PostgresSettings):
        _drop(wiring, source, folder)
        return _scratch_database(wiring, source, folder)
    place = folder / source
    if place.is_dir():
        _remove(place)
    place.unlink(missing_ok=True)
    return str(place)


def _scratch_database(wiring: Wiring, source: str, folder: Path) -> str:
    """A name of its own for each drill and source, on whichever host: no drill may drop another's."""
    server = drill_settings(wiring).postgres
    if server is None:
        hint = "set 'drill.postgres.connection' to a server that holds no live data"
        raise InvalidSetting("restore", source, "no server is configured to make its scratch database on", hint)
    mark = folder / MARK
    chance = mark.read_bytes().hex() if mark.is_file() else ""
    digest = hashlib.sha256(f"{chance}/{folder.name}/{source}".encode()).hexdigest()[:16]
    return f"postgres:{server.connection}/rlg_drill_{digest}"


def _drop(wiring: Wiring, source: str, folder: Path) -> None:
    from ..sources.postgres.temporary import drop_database

    drop_database(database_at(wiring, _scratch_database(wiring, source, folder)))


def _drop_all(wiring: Wiring, folder: Path) -> None:
    """The scratch databases of a drill; none where no source has one."""
    if drill_settings(wiring).postgres is not None:
        for name, source in wiring.settings.sources.items():
            if isinstance(source, PostgresSettings):
                _drop(wiring, name, folder)


def missing_block(source: str) -> Json:
    """The block of a source whose restore never ended."""
    unknown = Check("restore", "latest backup", Verdict.COULD_NOT_VERIFY, "the restore did not end", "restored")
    return empty_block(source, unknown)


def empty_block(source: str, check: Check) -> Json:
    """A block of which nothing is known but one check."""
    return {"source": source, "place": "", "checks": [asdict(check)], "seconds": {}, "warnings": [], "regions": {}}


def _block(done: Restored) -> Json:
    manifest = done.chosen.manifest
    return {
        "source": done.source,
        "place": done.to,
        "backup_id": done.backup_id,
        "kind": manifest.kind.value,
        "chain": list(done.chain),
        "taken_at": manifest.snapshot.taken_at.isoformat(),
        "target": done.target,
        "manifest_sha256": done.chosen.manifest_sha256,
        "signer": done.chosen.signer,
        "fidelity": done.fidelity,
        "masked_columns": list(manifest.masked_columns),
        "restored": {"tables": manifest.contents.tables, "rows": done.rows, "files": done.entries},
        "checks": [asdict(check) for check in (*_unasked(done), *done.replayed.checks(), *done.checks)],
        "seconds": done.seconds,
        "warnings": list(done.warnings),
        "regions": {},
        "erased": done.to_json()["erased"],
    }


def _unasked(done: Restored) -> list[Check]:
    """Targets that might hold a newer backup than the one that was drilled."""
    return [
        Check("restore", f"target {name}", Verdict.COULD_NOT_VERIFY, reason, "nothing newer there")
        for name, reason in done.chosen.unasked.items()
    ]


def add_suites(wiring: Wiring, block: Json) -> Json:
    """The block with the checks of the source's suites and its rows by region."""
    if not block["place"]:
        return block
    start = time.perf_counter()
    try:
        with in_our_words("drill", block["source"]):
            profile = _profile(wiring, block["source"], block["backup_id"], block["target"])
            checks = _suites(wiring, block["source"], block["place"], profile, block["erased"])
    except BackupError as error:
        unread = Check("suites", "run", Verdict.COULD_NOT_VERIFY, str(error))
        return {**block, "checks": [*block["checks"], asdict(unread)]}
    seconds = dict(block["seconds"])
    if checks:
        seconds["suites"] = round(time.perf_counter() - start, 3)
    found = [*block["checks"], *(asdict(check) for check in checks)]
    return {**block, "checks": found, "seconds": seconds, "regions": _regions(profile)}


def check_restored(
    wiring: Wiring, source: str, which: str, place: str, erased: Json, *, target: str | None = None
) -> list[Check]:
    """The suites of a source over a place it was restored to, less what was ``erased`` (of the restore's result); none
    when it has no suites."""
    if wiring.settings.drill is None or source not in wiring.settings.drill.suites:
        return []
    return _suites(wiring, source, place, _profile(wiring, source, which, target), erased)


def _profile(wiring: Wiring, source: str, which: str, target: str | None) -> Profile:
    """By ranged reads: the profile alone is downloaded."""
    identities = wiring.identities(wiring.settings.drill.identities if wiring.settings.drill else ())
    chosen = choose(wiring, source, which, target=target)
    return open_remote(wiring, chosen, identities, everywhere=True).profile()


def _suites(wiring: Wiring, source: str, place: str, profile: Profile, erased: Json) -> list[Check]:
    settings = drill_settings(wiring)
    folder = settings.suites.get(source)
    if folder is None:
        return []
    if settings.expectations is None or settings.references is None:
        raise InvalidSetting("run the suites of", source, "'drill.expectations' or 'drill.references' is not set")
    from ..validation import run_suites

    gone = {title: ErasedRows(**one) for title, one in erased.items()}
    return run_suites(
        database_url(wiring, source, place),
        settings.expectations / folder,
        profile=to_compare(wiring, source, profile, gone).to_dict(),
        references=settings.references,
    )


def _regions(profile: Profile) -> dict[str, int]:
    """Region > rows at the snapshot, over all tables with geography."""
    found: dict[str, int] = {}
    for table in profile.tables:
        counts: Mapping[str, int] = (table.geography or {}).get("region", {})
        for code, rows in counts.items():
            found[code] = found.get(code, 0) + rows
    return dict(sorted(found.items()))


def drill_settings(wiring: Wiring) -> Drill:
    """Raises InvalidSetting where the configuration has none."""
    if wiring.settings.drill is None:
        raise InvalidSetting("run", "drill", "the configuration has no 'drill'", "docs/configuration.md shows one")
    return wiring.settings.drill
