"""The same through Airflow: an object spoilt on its target after the upload ends the run failed, and not listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import airflow_home
from tests.support.airflow_home import run
from tests.support.world import World

from rlg_backup.engine.archives import ARCHIVE

pytestmark = pytest.mark.airflow


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    airflow_home.migrate()

    def make(*targets: str) -> World:
        made = World.make(tmp_path / "project", targets=targets)
        monkeypatch.setenv(airflow_home.VARIABLE, str(made.config))
        return made

    return make


def spoil_after_upload(patch: pytest.MonkeyPatch, world: World, target: str, name: str) -> list[str]:
    """From now on the object of that name rots on the target as soon as it is there; returns what was spoilt."""
    from rlg_backup.engine import steps

    upload, spoilt = steps.upload, []

    def then_rot(wiring: Any, reference: Any, to: str) -> Any:
        done = upload(wiring, reference, to)
        if to == target:
            key = f"app/{reference.backup_id}/{name}"
            path = world.target(target) / key
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.chmod(0o600)
            path.write_bytes(data)
            spoilt.append(key)
        return done

    patch.setattr(steps, "upload", then_rot)
    return spoilt


@pytest.mark.parametrize("name", [ARCHIVE, "manifest.json"])
def test_a_run_whose_object_rots_on_the_target_fails_at_validate_and_the_next_one_succeeds(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = make_world("local")
    with monkeypatch.context() as patch:
        spoilt = spoil_after_upload(patch, world, "local", name)
        done = run("rlg_full_backup")
    [key] = spoilt
    text = f"unable to validate '{key}': the target 'local' gives back other bytes than were sent"
    assert done.error("app.local.validate") == ("AirflowFailException", f"ObjectDamaged: {text}")
    assert len(done.errors["app.local.validate"]) == 1  # damage is not tried again
    assert (done.state, done.states["app.commit"], done.states["app.wipe"]) == ("failed", "upstream_failed", "success")
    assert done.error("outcome")[1] == "app: no backup was committed; failed at: app.local.validate"
    assert (world.records(), world.staged(), world.run("list", "--json").json) == ([], [], [])
    after = run("rlg_full_backup")
    assert (after.state, len(world.records()), world.staged()) == ("success", 1, [])
    assert world.run("verify", "latest", "--full").code == 0


def test_one_of_two_copies_that_rots_is_not_committed_and_fails_the_run(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world("local", "second")
    spoilt = spoil_after_upload(monkeypatch, world, "local", ARCHIVE)
    done = run("rlg_full_backup")
    [key] = spoilt
    assert done.state == "failed"
    assert done.error("app.local.validate")[1].startswith(f"ObjectDamaged: unable to validate '{key}'")
    assert (world.records("local"), len(world.records("second")), world.staged()) == ([], 1, [])
    assert world.run("verify", "latest", "--full", "--target", "second").code == 0
    assert done.returned("app.commit")["missing"] == {"local": "its copy was not validated"}
