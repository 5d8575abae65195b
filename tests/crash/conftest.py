"""Projects to kill backups of: copies of one that has a backup of each source already."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from tests.crash.aftermath import Project
from tests.support import victim
from tests.support.s3_server import S3Server
from tests.support.world import EMAILS, World

MakeProject = Callable[[str], Project]
Places = Callable[[str], int]


def add_tree(world: World, *, large: int = 0) -> None:
    """A source ``tree``: some files, links, and where asked for one of so many bytes. Copies of the world share it, for
    a copy would have other links."""
    root = world.root / "tree"
    (root / "letters" / "old").mkdir(parents=True)
    for number in range(4):
        (root / "letters" / f"{number}.txt").write_text(f"to {EMAILS[number % 3]} " * 20)
    os.link(root / "letters" / "0.txt", root / "letters" / "old" / "same.txt")
    (root / "latest").symlink_to("letters/3.txt")
    if large:
        (root / "large").write_bytes(os.urandom(large))
    world.settings["sources"]["tree"] = {"type": "files", "path": str(root), "targets": list(world.settings["targets"])}
    world.save()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("crash") / "world", targets=("local", "second"))
    add_tree(world)
    world.back_up("app")
    world.back_up("tree")
    return world


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with S3Server() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield server


@pytest.fixture(scope="session")
def make(
    template: World, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], Project]:
    """Makes fresh projects: ``app`` a database, ``tree`` a tree of files; ``cloud`` the database to an S3 bucket."""

    def new(source: str) -> Project:
        folder = tmp_path_factory.mktemp(source)
        world = template.copy(folder / "world")
        if source == "cloud":
            server: S3Server = request.getfixturevalue("s3")
            bucket = f"bucket-{uuid.uuid4()}"
            server.client().create_bucket(Bucket=bucket)
            place = {"bucket": bucket, "region": "us-east-1", "endpoint_url": server.url, "emulator": True}
            world.settings["targets"] = {"cloud": {"type": "s3", **place}}
            world.settings["sources"] = {"cloud": {**world.settings["sources"]["app"], "targets": ["cloud"]}}
            world.save()
        return Project(world, source, folder)

    return new


@pytest.fixture(scope="session")
def places(make: MakeProject) -> Callable[[str], int]:
    """How many places there are to kill a backup of a source at, counted once in one that nobody kills."""

    @cache
    def count(source: str) -> int:
        world = make(source).world
        done = victim.finish(victim.start(world.config, source, run="whole"))
        assert done is not None
        return done[2]

    return count
