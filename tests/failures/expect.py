"""What must hold after every failure: an error in our words, and nothing half."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.failures.room import Room
from tests.support.compare import assert_databases_equal
from tests.support.world import Ran, World, dump


def told(done: Ran, code: int, text: str) -> None:
    """One error and nothing else, of that text, with that exit code."""
    assert (done.code, done.out, done.err) == (code, "", f"error: {text}\n")


def clean(room: Room, world: World) -> None:
    """Nothing stays of a run: staging is empty, no writer's temporary file lies on a target."""
    assert room.holds(world.root / "staging") == []
    for target in world.settings["targets"]:
        assert [name for name in room.holds(world.target(target)) if "/.tmp" in f"/{name}"] == []


def records(room: Room, world: World, target: str = "local", source: str = "app") -> list[str]:
    """The names of the commit records that a target lists."""
    folder = world.target(target) / "catalog" / source
    return [name for name in room.holds(folder) if name != "lease.json"]


@contextmanager
def nothing_lost(room: Room, world: World) -> Iterator[None]:
    """The source and the restore points are as before, and nothing stays of what failed."""
    before = dump(world.root / "app.db"), {target: records(room, world, target) for target in world.settings["targets"]}
    yield
    assert before == (
        dump(world.root / "app.db"),
        {target: records(room, world, target) for target in world.settings["targets"]},
    )
    clean(room, world)


def works(room: Room, world: World, *more: str, user: int | None = None) -> None:
    """A backup succeeds, and what it made can be proven and restored."""
    given = ("--config", world.config)
    done = room.run(*given, "backup", "--source", "app", *more, user=user)
    assert done.code == 0, done.out + done.err
    done = room.run(*given, "verify", "latest", "--source", "app", "--full", user=user)
    assert done.code == 0, done.out + done.err
    copy = world.root / "proof.db"
    done = room.run(*given, "restore", "latest", "--source", "app", "--to", copy, user=user)
    assert done.code == 0, done.out + done.err
    assert_databases_equal(world.root / "app.db", copy)
    copy.unlink()
    clean(room, world)


def subject(done: Ran) -> str:
    """What the error is about."""
    found = re.search(r"unable to [a-z ]+ '([^']*)'", done.err + done.out)
    assert found is not None, done
    return found[1]


def beside(room: Room, path: Path) -> list[str]:
    """What a restore left at its destination and beside it."""
    return [name for name in room.holds(path.parent) if path.name in name]
