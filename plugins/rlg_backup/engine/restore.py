"""restore: a whole backup into a new database or folder, proven equal to the snapshot before it takes its name."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config.settings import FilesSettings, SourceSettings
from ..core.errors import DestinationUnsuitable, ParityFailed
from ..core.model import Check, Fidelity, Verdict
from ..format.profile import Profile
from ..sources.files import FileSource
from ..sources.files_destination import FileDestination
from ..sources.port import Column, Entry, Table
from ..sources.sqlite import SqliteSource
from ..sources.sqlite_destination import SqliteDestination
from .archives import Archive, fetch, fetch_any, index_of, open_local, whole_member
from .leftovers import sweep_leftovers
from .limits import in_our_words
from .parity import restored_tables, restored_tree, reversed_rows
from .restore_points import Chosen, choose
from .staged_files import make_private
from .warnings import EXCLUDED, capped
from .wiring import Wiring

IRREVERSIBLE = ("hash", "redact")


def _require_kind(source: SourceSettings, to: str) -> None:
    """A place that names its kind must be of the source's."""
    files = isinstance(source, FilesSettings)
    if to.startswith("sqlite:" if files else "file:"):
        kind, form = ("a file tree", "file:///FOLDER") if files else ("a database", "sqlite:///FILE")
        raise DestinationUnsuitable("restore to", to, f"the source is {kind}", f"use {form} or a plain path")


@dataclass(frozen=True)
class Restored:
    """A finished restore. ``checks`` are the parity with the profile, all PASS; ``seconds`` by phase."""

    source: str
    backup_id: str
    target: str
    to: str
    fidelity: str
    chosen: Chosen = field(repr=False)
    rows: int
    entries: int
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "chosen"}
        return shown | {"checks": [check.__dict__ | {"verdict": check.verdict.value} for check in self.checks]}


def destination_path(to: str) -> Path:
    """``sqlite:///file``, ``file:///folder`` or a plain path."""
    for prefix in ("sqlite:///", "file://"):
        if to.startswith(prefix):
            return Path(to.removeprefix(prefix))
    if "://" in to:
        scheme = to.split("://", 1)[0]
        raise DestinationUnsuitable(
            "restore to", f"{scheme}://", "there is no driver for it", "use sqlite:///FILE or a folder"
        )
    return Path(to)


def require_new(place: Path) -> Path:
    """The absolute path, when a restore may make it; raises DestinationUnsuitable. Live data is never replaced."""
    place = place.absolute()
    try:
        if place.lstat() and not (place.is_dir() and not any(place.iterdir())):
            hint = "name a new database file or folder; replacing live data is not supported yet"
            raise DestinationUnsuitable("restore to", str(place), "it exists", hint)
    except (FileNotFoundError, NotADirectoryError):
        pass  # as it must be: nothing has that name
    except (OSError, ValueError) as error:
        cause = (getattr(error, "strerror", None) or "it is not a path").lower()
        raise DestinationUnsuitable("restore to", str(place), cause) from None
    if not place.parent.is_dir():
        raise DestinationUnsuitable("restore to", str(place), "the folder it would be in does not exist")
    return place


def require_allowed(wiring: Wiring, place: Path) -> Path:
    """The resolved path, when it lies in one of ``restore_folders``; raises DestinationUnsuitable otherwise.

    For whoever restores from the UI: who may start a DAG must not be able to write wherever the worker can.
    """
    resolved = place.expanduser().resolve()
    allowed = [folder.resolve() for folder in wiring.settings.restore_folders]
    if not any(folder in resolved.parents for folder in allowed):
        hint = f"name a path below {' or '.join(map(str, allowed))}" if allowed else "set 'restore_folders'"
        raise DestinationUnsuitable(
            "restore to", str(place), "it is in none of the folders that are open to this", hint
        )
    return resolved


def restore(
    wiring: Wiring,
    source: str,
    which: str,
    to: str,
    *,
    target: str | None = None,
    identities: tuple[str, ...] = (),
) -> Restored:
    """Restore a point into a database or folder that does not exist yet.

    Nothing is under that name until every table's digest, rows and definition (or the tree's digest) equal the
    profile. Raises DestinationUnsuitable, ParityFailed, and what choosing, fetching and decrypting raise.
    """
    with in_our_words("restore", source):
        return _restore(wiring, source, which, to, target, identities)


def _restore(
    wiring: Wiring, source: str, which: str, to: str, target: str | None, identities: tuple[str, ...]
) -> Restored:
    place = require_new(destination_path(to))
    _require_kind(wiring.source_settings(source), to)
    keys = wiring.identities(identities)
    clock = _Phases()
    sweep_leftovers(wiring.settings.staging.folder, wiring.settings.lease_minutes)  # no stage does it on such a host
    with _private_folder(wiring.settings.staging.folder) as folder:
        with clock.phase("choose"):
            chosen = choose(wiring, source, which, target=target)
        with clock.phase("fetch"):
            if target is None:
                chosen = fetch_any(wiring, chosen, folder / "archive")
            else:
                fetch(wiring, chosen, folder / "archive")
        with open_local(folder / "archive", chosen, keys) as archive:
            with clock.phase("decrypt"):
                profile = archive.profile()
            checks = _load(wiring, archive, profile, place, clock)
    return Restored(
        source=source,
        backup_id=chosen.point.backup_id,
        target=chosen.target,
        to=str(place),
        fidelity=chosen.manifest.fidelity.value,
        chosen=chosen,
        rows=sum(table.rows for table in profile.tables),
        entries=profile.tree.entries if profile.tree else 0,
        checks=tuple(checks),
        warnings=_warnings(chosen, profile),
        seconds=clock.seconds,
    )


def _load(wiring: Wiring, archive: Archive, profile: Profile, place: Path, clock: _Phases) -> list[Check]:
    if profile.tree is None:
        return _load_tables(wiring, archive, profile, place, clock)
    return _load_tree(wiring, archive, profile, place, clock)


def _load_tables(wiring: Wiring, archive: Archive, profile: Profile, place: Path, clock: _Phases) -> list[Check]:
    checks: list[Check] = []

    def prove(built: Path) -> None:
        with clock.phase("parity"), SqliteSource(built).snapshot() as snapshot:
            checks.extend(restored_tables(wiring, snapshot, profile))
        _require(checks, place)

    with SqliteDestination(place, altered=_masked(profile)) as destination:
        with clock.phase("load"):
            names = [name for name in archive.names if name.startswith("schema/")]
            destination.prepare({name.removeprefix("schema/"): whole_member(archive, name) for name in names})
            for number, table in enumerate(profile.tables, 1):
                destination.load(_table(table), reversed_rows(archive, table, wiring.tokenization_secret))
                wiring.progress("load", number, len(profile.tables))
        with clock.phase("finish"):
            destination.finish(prove)
    return checks


def _load_tree(wiring: Wiring, archive: Archive, profile: Profile, place: Path, clock: _Phases) -> list[Check]:
    checks: list[Check] = []

    def prove(built: Path) -> None:
        with clock.phase("parity"), FileSource(built).snapshot() as snapshot:
            checks.append(restored_tree(wiring, snapshot, profile))
        _require(checks, place)

    with FileDestination(place) as destination:
        with clock.phase("load"):
            for row in index_of(archive):
                entry = Entry(row.path, row.kind, row.mode, row.mtime_ns, row.size, row.target, row.holes, row.xattrs)
                if row.member is None:
                    destination.make(entry, None)
                    continue
                with archive.open(row.member) as content:
                    destination.make(entry, content)
        with clock.phase("finish"):
            destination.finish(prove)
    return checks


def _masked(profile: Profile) -> bool:
    return any(column.policy in IRREVERSIBLE for table in profile.tables for column in table.columns)


def _table(profile: Any) -> Table:
    columns = tuple(Column(c.name, c.declared_type, c.nullable, c.key) for c in profile.columns)
    return Table(profile.schema_name, profile.name, columns, profile.fingerprint, profile.options)


def _require(checks: list[Check], place: Path) -> None:
    wrong = [check for check in checks if check.verdict != Verdict.PASS]
    if wrong:
        first = f"{wrong[0].name}: {wrong[0].measured}"
        cause = f"{len(wrong)} of {len(checks)} parts differ from the profile ({first}); nothing was left there"
        raise ParityFailed(
            "restore to", str(place), cause, "restore another point, or the same one from another target"
        )


def _warnings(chosen: Chosen, profile: Profile) -> tuple[str, ...]:
    masked = chosen.manifest.masked_columns if chosen.manifest.fidelity == Fidelity.MASKED else ()
    lost = (f"masked for ever, not restored: {', '.join(masked)}",) if masked else ()
    excluded = tuple(f"{EXCLUDED}{item.name} ({item.reason})" for item in profile.excluded)
    if profile.tree is not None:  # every table that is left out is named
        excluded = capped(excluded)
    unasked = tuple(f"target '{name}' may hold a newer one: {why}" for name, why in chosen.unasked.items())
    over = tuple(f"the copy on target '{name}' was not used: {error}" for name, error in chosen.passed_over.items())
    return (*unasked, *over, *lost, *excluded, *capped(profile.warnings))


@contextmanager
def _private_folder(root: Path) -> Iterator[Path]:
    folder = root / f"restore-{secrets.token_hex(6)}"
    make_private(folder, root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Phases:
    """Wall seconds of each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
