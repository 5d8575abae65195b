"""A second target that is down while backups are made, and up again."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_broken_chains import change
from tests.support.world import World


def down(world: World) -> Path:
    """A file in the place of the second target's folder; gives back the folder, which was moved away."""
    place, away = world.target("second"), world.root / "away"
    if place.is_dir():
        place.rename(away)
    place.write_text("down")
    return away


def up(world: World) -> None:
    place, away = world.target("second"), world.root / "away"
    place.unlink()
    if away.is_dir():
        away.rename(place)


def degraded(world: World, kind: str) -> str:
    """A backup that only the first target got, and a change after it."""
    done = world.run("backup", "--json", "--kind", kind)
    assert (done.code, list(done.json[0]["committed"]), done.json[0]["kind"]) == (1, ["local"], kind), done.out
    change(world)
    return str(done.json[0]["backup_id"])
