"""What the owner of a target can do to it, and how it is read afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.world import Ran, World

from rlg_backup.engine.archives import fetch_all, open_local, open_remote, rows_of
from rlg_backup.engine.restore_points import Chosen


def folder(world: World, number: int) -> Path:
    """Where the objects of the backup with that sequence lie."""
    return world.target() / "app" / world.records()[number - 1].name[9:34]


def alone(world: World, *, forget: bool = False) -> World:
    """The world with one target only, as most are; ``forget`` is a new machine, which has seen nothing."""
    world.source["targets"] = ["local"]
    world.save()
    if forget:
        shutil.rmtree(world.root / "state")
    return world


def whole(world: World, chosen: Chosen, place: Path) -> None:
    """Every byte, as a restore reads it."""
    wiring = world.wiring()
    fetch_all(wiring, chosen, place, any_target=False)
    with open_local(place, chosen, wiring.identities()) as archive:
        for table in archive.profile().tables:
            list(rows_of(archive, table, table.members))


def partial(world: World, chosen: Chosen, place: Path) -> None:
    """The directory, the profile and one table only, by ranged reads."""
    archive = open_remote(wiring := world.wiring(), chosen, wiring.identities())
    table = archive.profile().tables[0]
    list(rows_of(archive, table, table.members))


READS = {"whole": whole, "partial": partial}
Read = Callable[[World, Chosen, Path], None]


def refuses(world: World, out: Path, code: int, *arguments: str) -> Ran:
    """A restore that ends with that code and leaves nothing at its destination, nor in staging."""
    done = world.run("restore", *arguments, "--to", out)
    assert done.code == code, (done.out, done.err)
    assert not out.exists() and not list(out.parent.glob(f"*{out.name}*"))
    assert world.staged() == []
    return done
