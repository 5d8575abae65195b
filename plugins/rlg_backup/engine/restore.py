"""restore: a whole backup into a new database or folder, proven equal to the snapshot before it takes its name."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from ..config.settings import FilesSettings
from ..core.errors import ParityFailed
from ..core.model import Check, Fidelity, Verdict
from ..format.profile import Profile
from ..sources.files_destination import FileDestination
from ..sources.port import Entry, TableDestination, TableSource
from ..sources.port import FileSource as Tree
from .archives import Archive, fetch_all, open_local, whole_member
from .chains import chain_of
from .erasure import NOTHING_ASIDE, TREE, Erased, Replay, SetAside, TreeErasing, less, replay_for, told
from .fidelity import require_fidelity
from .layers import Layer, LayeredTable, layered
from .leftovers import sweep_leftovers
from .limits import in_our_words
from .parallel import Job, run_all
from .parity import restored_tables, restored_tree
from .places import require_residence, settled, table_destination
from .restore_points import Chosen, choose
from .rows_on_their_way import RowsOnTheirWay, masked_copy, table_of
from .staged_files import make_private
from .tree_contents import TreeContents
from .warnings import EXCLUDED, capped
from .wiring import Wiring

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restored:
    """A finished restore. ``checks`` are the parity with the profile, all PASS; ``chain`` the ids of the backups it
    took, the full one first; ``seconds`` by phase; ``erased``: what requests to erase left out, by table."""

    source: str
    backup_id: str
    target: str
    to: str
    fidelity: str
    chosen: Chosen = field(repr=False)
    replayed: Replay = field(repr=False)
    rows: int
    entries: int
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    chain: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    erased: Erased = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """PASS; COULD-NOT-VERIFY where requests to erase were set aside."""
        return self.replayed.aside.verdict

    def to_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("chosen", "replayed")}
        shown |= {"erased": {title: one.to_json() for title, one in self.erased.items()}}
        shown |= {"verdict": self.verdict.value}
        return shown | {"checks": [check.__dict__ | {"verdict": check.verdict.value} for check in self.checks]}


def restore(
    wiring: Wiring,
    source: str,
    which: str,
    to: str,
    *,
    target: str | None = None,
    identities: tuple[str, ...] = (),
    scratch: bool = False,
    schemas: Mapping[str, str] | None = None,
    fidelity: Fidelity = Fidelity.RECOVERABLE,
    accept_masked: bool = False,
    aside: SetAside = NOTHING_ASIDE,
) -> Restored:
    """Restore a point into a database or folder that does not exist yet; ``scratch``: one that is soon removed. With
    ``schemas``, a map of their names to new ones, into a PostgreSQL database that exists and has none of these.

    Nothing is under that name until every table's digest, rows and definition (or the tree's digest) equal the
    profile, less what the erasure ledger's requests leave out, but those that are set ``aside``. Raises
    DestinationUnsuitable, ParityFailed, what choosing, fetching and decrypting raise, and as ``replay_for`` and
    ErasureUndecided.
    """
    for warning in aside.warnings:  # who restores is told by the result; who keeps the logs, by this
        log.warning("restore of '%s' to '%s': %s", source, to, warning)
    with in_our_words("restore", source):
        names, accepted = schemas or {}, accept_masked or scratch
        return _restore(wiring, source, which, to, target, identities, scratch, names, fidelity, accepted, aside)


def _restore(
    wiring: Wiring,
    source: str,
    which: str,
    to: str,
    target: str | None,
    identities: tuple[str, ...],
    scratch: bool,
    schemas: Mapping[str, str],
    fidelity: Fidelity,
    accept_masked: bool,
    aside: SetAside,
) -> Restored:
    place = settled(wiring, source, to, schemas)
    keys = wiring.identities(identities)
    clock = _Phases()
    sweep_leftovers(wiring.settings.staging.folder, wiring.settings.lease_minutes)  # no stage does it on such a host
    with _private_folder(wiring.settings.staging.folder) as folder:
        with clock.phase("choose"):
            chosen = choose(wiring, source, which, target=target)
            require_fidelity(wiring, chosen, place, fidelity, accept_masked=accept_masked)
            replay = replay_for(wiring, source, aside)
        answered = partial(replay.require_all, wiring, source)
        altered = Fidelity.MASKED in (chosen.manifest.fidelity, fidelity)
        building = _building(wiring, chosen, place, scratch, schemas, altered=altered)
        with clock.phase("fetch"):
            chain = _fetched(wiring, chosen, place, folder, any_target=target is None)
            chosen = chain[-1]
        with ExitStack() as stack:
            opened = [
                stack.enter_context(open_local(_copy(folder, place), one, keys)) for place, one in enumerate(chain)
            ]
            with clock.phase("decrypt"):
                archives = [(archive, archive.profile()) for archive in opened]
            profile = archives[-1][1]
            if building is not None:
                tables = layered(archives)
                way = RowsOnTheirWay(
                    replay.tables(profile, chosen.manifest.masked_columns),
                    masked_copy(wiring, source, profile, tables) if fidelity is Fidelity.MASKED else None,
                )
                loaded = _load_tables(wiring, archives[-1][0], tables, building, place, clock, way, answered)
            else:
                held = {one.point.backup_id: archive for one, archive in zip(chain, opened, strict=True)}
                contents = TreeContents(chosen.point.backup_id, held)
                loaded = _load_tree(wiring, contents, place, clock, replay.tree(profile), answered)
    return Restored(
        source=source,
        backup_id=chosen.point.backup_id,
        target=chosen.target,
        to=place,
        fidelity=(Fidelity.MASKED if altered else Fidelity.RECOVERABLE).value,
        chosen=chosen,
        replayed=replay,
        rows=sum(table.rows for table in loaded.profile.tables),
        entries=loaded.profile.tree.entries if loaded.profile.tree else 0,
        checks=tuple(loaded.checks),
        warnings=(
            *replay.warnings,
            *replay.late(chosen.manifest.snapshot.taken_at),
            *told(loaded.erased),
            *_warnings(chain, profile),
            *loaded.warnings,
        ),
        chain=tuple(one.point.backup_id for one in chain),
        seconds=clock.seconds,
        erased=loaded.erased,
    )


def _fetched(wiring: Wiring, chosen: Chosen, place: str, folder: Path, *, any_target: bool) -> list[Chosen]:
    """Downloads every archive of the chain: the copies that were taken, of ``any_target`` where the first is no use.
    Raises ResidencyRefused, before anything is read, where rows may not lie at ``place``."""
    chain = chain_of(wiring, chosen)
    for one in chain:
        require_residence(wiring, one.manifest, place)
    for number, one in enumerate(chain):
        free = any_target or number < len(chain) - 1
        chain[number] = fetch_all(wiring, one, _copy(folder, number), any_target=free)
    return chain


def _copy(folder: Path, place: int) -> Path:
    return folder / f"archive-{place}"


def _building(
    wiring: Wiring, chosen: Chosen, place: str, scratch: bool, schemas: Mapping[str, str], *, altered: bool
) -> TableDestination | None:
    """What will build the database, when nothing stands in its way yet; None for a tree."""
    if isinstance(wiring.source_settings(chosen.source), FilesSettings):
        return None
    found = table_destination(wiring, chosen.source, place, altered=altered, scratch=scratch, schemas=schemas)
    found.require_free()
    return found


@dataclass(frozen=True)
class Loaded:
    """What was made, and proven to be as ``profile`` says."""

    profile: Profile
    checks: list[Check]
    erased: Erased
    warnings: Sequence[str]


def _load_tables(
    wiring: Wiring,
    archive: Archive,
    tables: Sequence[LayeredTable],
    building: TableDestination,
    place: str,
    clock: _Phases,
    way: RowsOnTheirWay,
    answered: Callable[[], None],
) -> Loaded:
    checks: list[Check] = []
    erasing = way.erasing

    def prove(built: TableSource) -> None:
        with clock.phase("parity"), built.snapshot() as snapshot:
            erasing.plan.require_decided(snapshot.foreign_keys())
            checks.extend(way.checks())
            checks.extend(restored_tables(wiring, snapshot, way.profile(), less(erasing.erased)))
        _require(checks, place)
        answered()

    with building as destination:
        with clock.phase("prepare"):
            names = [name for name in archive.names if name.startswith("schema/")]
            destination.prepare({name.removeprefix("schema/"): whole_member(archive, name) for name in names})
        with clock.phase("load"):
            for stage in erasing.stages(tables, wiring.tokenization_secrets):
                run_all(_loads(wiring, stage, destination, way), destination.loaders)
        with clock.phase("finish"), erasing.told_of_orphans():
            destination.finish(prove, erasing.erased)
    return Loaded(way.profile(), checks, erasing.erased, [*way.warnings, *destination.warnings])


def _loads(
    wiring: Wiring, tables: Sequence[LayeredTable], destination: TableDestination, way: RowsOnTheirWay
) -> Iterator[Job]:
    """One for each table, or for each part of one where several can be loaded at the same time; large tables first."""
    done, total = count(1), sum(len(table.parts) for table in tables)

    def load(table: LayeredTable, parts: Sequence[tuple[Layer, str]]) -> None:
        rows = (batch for layer, name in parts for batch in table.rows(layer, [name], wiring.tokenization_secrets))
        destination.load(table_of(table.table), way.rows(table.table, rows))
        for _ in parts:
            wiring.progress("load", next(done), total)

    order = sorted(tables, key=lambda table: -len(table.parts)) if destination.loaders > 1 else tables
    for table in order:
        parts = [[part] for part in table.parts] if destination.loaders > 1 else [table.parts]
        yield from (partial(load, table, some) for some in parts)


def _load_tree(
    wiring: Wiring,
    contents: TreeContents,
    place: str,
    clock: _Phases,
    erasing: TreeErasing,
    answered: Callable[[], None],
) -> Loaded:
    checks: list[Check] = []

    def prove(built: Tree) -> None:
        with clock.phase("parity"), built.snapshot() as snapshot:
            checks.append(restored_tree(wiring, snapshot, erasing.profile(), less(erasing.erased).get(TREE, "")))
        _require(checks, place)
        answered()

    with FileDestination(Path(place)) as destination:
        with clock.phase("load"):
            erasing.look_ahead(contents.index())
            for row in contents.index():
                if erasing.leaves_out(row):
                    continue
                entry = Entry(row.path, row.kind, row.mode, row.mtime_ns, row.size, row.target, row.holes, row.xattrs)
                if row.member is None:
                    destination.make(entry, None)
                    continue
                with contents.open(row) as content:
                    destination.make(entry, content)
        with clock.phase("finish"):
            destination.finish(prove)
    return Loaded(erasing.profile(), checks, erasing.erased, destination.warnings)


def _require(checks: list[Check], place: str) -> None:
    wrong = [check for check in checks if check.verdict != Verdict.PASS]
    if wrong:
        first = f"{wrong[0].name}: {wrong[0].measured}"
        cause = f"{len(wrong)} of {len(checks)} parts differ from the profile ({first}); nothing was left there"
        raise ParityFailed("restore to", place, cause, "restore another point, or the same one from another target")


def _warnings(chain: Sequence[Chosen], profile: Profile) -> tuple[str, ...]:
    chosen = chain[-1]
    masked = chosen.manifest.masked_columns if chosen.manifest.fidelity == Fidelity.MASKED else ()
    lost = (f"masked for ever, not restored: {', '.join(masked)}",) if masked else ()
    excluded = tuple(f"{EXCLUDED}{item.name} ({item.reason})" for item in profile.excluded)
    if profile.tree is not None:  # every table that is left out is named
        excluded = capped(excluded)
    unasked = tuple(f"target '{name}' may hold a newer one: {why}" for name, why in chosen.unasked.items())
    passed_over = [item for one in reversed(chain) for item in one.passed_over.items()]
    over = tuple(f"the copy on target '{name}' was not used: {error}" for name, error in passed_over)
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
    """Wall seconds of each phase, without those of a phase within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start, before = time.perf_counter(), self._within
        yield
        taken = time.perf_counter() - start
        self.seconds[name] = round(taken - (self._within - before), 3)
        self._within = before + taken
