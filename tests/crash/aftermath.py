"""What must hold after a process was killed, wherever that was."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.support import victim
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.world import EMAILS, PHONES, WORDS, World, holds_any

from rlg_backup.core.model import Verdict
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import list_points
from rlg_backup.engine.verify import verify
from rlg_backup.engine.wiring import Wiring

PERSONAL = (*EMAILS, *PHONES, *WORDS)


@dataclass(frozen=True)
class Project:
    """A source of a world, and a folder of this test."""

    world: World
    source: str
    folder: Path

    @property
    def original(self) -> Path:
        return self.world.root / self.world.settings["sources"][self.source]["path"]

    def copy(self, root: Path) -> Project:
        return Project(self.world.copy(root / "world"), self.source, root)

    def later(self) -> Wiring:
        """As a machine sees it that has every key, after every lease of now has run out."""
        return self.world.wiring(clock=lambda: datetime.now(UTC) + victim.EVERY_LEASE)


def copies(project: Project) -> set[tuple[str, str]]:
    """(backup id, target) of everything that is listed."""
    found = list_points(project.later(), project.source)
    assert found.unreadable == {}
    return {(point.backup_id, copy.target) for point in found.points for copy in point.copies}


def everything_listed_restores(project: Project) -> set[tuple[str, str]]:
    """Each copy passes a full verification; the newest, restored, equals the source. Returns the copies."""
    wiring, listed = project.later(), copies(project)
    for backup_id, target in sorted(listed):
        found = verify(wiring, project.source, backup_id, target=target, full=True)
        assert found.verdict is Verdict.PASS, (backup_id, target, found.checks)
    if listed:
        place = project.folder / "restored"
        restore(wiring, project.source, "latest", str(place))
        if place.is_dir():
            assert_trees_equal(project.original, place)
            shutil.rmtree(place)
        else:
            assert_databases_equal(project.original, place)
            place.unlink()
    return listed


def nothing_is_to_be_read(project: Project) -> None:
    """What lies in staging and on the targets holds no personal value, and nobody else may look into staging."""
    world = project.world
    for place in (world.root / "staging", *(world.target(name) for name in world.settings["targets"])):
        assert holds_any(place, PERSONAL) == [] if place.is_dir() else True
    for path in (world.root / "staging").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, os.fspath(path)


def staging_is_clean(project: Project) -> None:
    """Nothing is left of any run; but for one that was killed before its first record was whole, when it had read
    nothing of the source yet: nobody can tell whose it is, and it goes after a day."""
    left = [path for path in (project.world.root / "staging").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"nonce", "stage.record"}
    assert all(path.stat().st_size < 2000 for path in left)


def the_next_run_succeeds(project: Project, before: set[tuple[str, str]], *, retry: str = "") -> None:
    """Another run, after the dead one's lease, or at once the second try of the run named ``retry``: it commits one
    backup on every target, and whatever was listed is listed still."""
    ahead = victim.EVERY_LEASE if not retry else victim.EVERY_LEASE * 0
    name, attempt = (retry, 2) if retry else ("next", 1)
    started = victim.start(project.world.config, project.source, run=name, attempt=attempt, ahead=ahead)
    done = victim.finish(started)
    targets = set(project.world.settings["sources"][project.source]["targets"])
    assert done is not None and isinstance(done[1], dict) and set(done[1]) == targets, done
    after = everything_listed_restores(project)
    assert before <= after
    assert {target for backup_id, target in after if backup_id == done[0]} == targets
    staging_is_clean(project)
