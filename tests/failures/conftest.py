"""Rooms and projects to run out of things in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.failures.room import NOBODY, Room, required_namespace
from tests.support.world import World

pytest.register_assert_rewrite("tests.failures.expect")


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder that other users may walk through; pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="rlg-failures-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(place: Path) -> World:
    """Two sources, a drill; one backup of each that every failure must leave alone."""
    world = World.make(place / "template")
    world.settings["sources"]["tree"] = {"type": "files", "path": "tree", "targets": ["local"]}
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.settings["lease_minutes"] = 1
    world.save()
    for number in range(4):
        (world.root / "tree" / str(number)).mkdir(parents=True)
        (world.root / "tree" / str(number) / "file").write_bytes(b"content %d" % number * 500)
    for source in world.settings["sources"]:
        world.back_up(source)
    return world


@pytest.fixture
def world(template: World, place: Path) -> World:
    folder = Path(tempfile.mkdtemp(dir=place))
    folder.chmod(0o755)
    return template.copy(folder / "world")


@pytest.fixture(scope="session")
def _room(place: Path, template: World) -> Iterator[Room]:
    with Room(required_namespace()) as room:
        yield learned(room, template, place)


@pytest.fixture
def room(_room: Room) -> Iterator[Room]:
    """Processes with disks of their own."""
    yield _room
    _room.clear()


@pytest.fixture(scope="session")
def host(place: Path, template: World) -> Iterator[Room]:
    """Processes of a plain user: modes mean nothing to root."""
    with Room([]) as plain:
        yield learned(plain, template, place)


@pytest.fixture
def user(world: World) -> int | None:
    """Who runs the command and owns the project: nobody where root tests, else who tests."""
    if os.geteuid():
        return None
    for path in (world.root.parent, *world.root.parent.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return NOBODY


def learned(room: Room, template: World, place: Path) -> Room:
    world = template.copy(place / f"learned-{room.pid}")
    given = ["--config", str(world.config)]
    commands = [
        ["backup"],
        ["verify", "--source", "app", "--full"],
        ["restore", "--source", "app", "--to", f"{world.root}/copy"],
        ["restore", "--source", "tree", "--to", f"{world.root}/tree-copy"],
        ["drill"],
        ["list"],
        ["list", "--no-such-option"],
    ]
    room.learn(*([*given, *command] for command in commands))
    return room
