"""Damage as a person meets it: the command line says FAIL, restores nothing, and leaves nothing where it was to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.attack import alone, folder, refuses
from tests.support.world import World

from rlg_backup.engine.archives import ARCHIVE


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.make(tmp_path_factory.mktemp("damage") / "world", targets=("local", "second"))
    for _ in range(3):
        world.back_up()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """Three backups on two targets, all seen by this machine. Only 'local' is attacked."""
    return template.copy(tmp_path / "world")


def places(size: int) -> list[int]:
    """Positions over a whole file: its first and last bytes, and between."""
    return sorted({*range(0, size, max(1, size // 12)), 1, 25, 60, 200, size - 40, size - 17, size - 2, size - 1})


@pytest.mark.parametrize("name", [ARCHIVE, "manifest.json", "record"])
def test_a_flipped_byte_anywhere_fails_both_verifications_and_the_restore(
    world: World, tmp_path: Path, name: str
) -> None:
    alone(world)
    path = world.records()[2] if name == "record" else folder(world, 3) / name
    sound = path.read_bytes()
    for place in places(len(sound)):
        data = bytearray(sound)
        data[place] ^= 1
        path.write_bytes(data)
        for depth in ("--quick", "--full"):
            found = world.run("verify", "latest", depth, "--json")
            assert (found.code, found.json["verdict"]) == (1, "FAIL"), (place, found)
        refuses(world, tmp_path / "out", 1, "latest")
    path.write_bytes(sound)
    assert world.run("verify", "latest", "--full").code == 0


@pytest.mark.parametrize("name", [ARCHIVE, "manifest.json", "record"])
def test_a_file_that_was_cut_or_grew_fails_too(world: World, tmp_path: Path, name: str) -> None:
    alone(world)
    path = world.records()[2] if name == "record" else folder(world, 3) / name
    sound = path.read_bytes()
    for data in (b"", sound[:-1], sound[: len(sound) // 2], sound + b"\0", sound + sound):
        path.write_bytes(data)
        for depth in ("--quick", "--full"):
            found = world.run("verify", "latest", depth, "--json")
            assert (found.code, found.json["verdict"]) == (1, "FAIL"), (len(data), found)
        refuses(world, tmp_path / "out", 1, "latest")


@pytest.mark.parametrize("name", [ARCHIVE, "manifest.json"])
def test_an_object_that_is_gone_fails_both_verifications(world: World, tmp_path: Path, name: str) -> None:
    alone(world)
    path = folder(world, 3) / name
    key = f"app/{path.parent.name}/{name}"
    path.unlink()
    for depth in ("--quick", "--full"):
        assert world.run("verify", "latest", depth).code == 1
    assert refuses(world, tmp_path / "out", 1, "latest").err == (
        f"error: unable to read '{key}': it is not on target 'local'\n"
    )
