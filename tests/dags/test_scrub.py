"""rlg_scrub: a damaged copy is mended, and the run fails all the same, so that somebody looks at the target."""

from __future__ import annotations

import pytest
from tests.support.airflow_home import run
from tests.support.verbs import flip
from tests.support.world import World

pytestmark = pytest.mark.airflow


def test_a_sound_target_passes_and_a_damaged_one_is_mended_and_told(world: World) -> None:
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second"}
    world.source["targets"] = ["local", "second"]
    world.settings["scrub_turns"] = 1
    world.save()
    backup_id = world.back_up()
    assert run("rlg_scrub").returned("scrub_app")["read"] == {"local": 1, "second": 1}
    archive = world.target("second") / "app" / backup_id / "default.zip.age"
    sound = archive.read_bytes()
    flip(archive, 500)
    done = run("rlg_scrub")
    assert (done.state, archive.read_bytes() == sound) == ("failed", True)
    kind, told = done.error("outcome")
    assert kind == "AirflowFailException"
    assert told.startswith(f"app: FAIL: second: {backup_id}: ")
    assert told.endswith(f"SHA-256 different; second: {backup_id} is mended")
    assert run("rlg_scrub").state == "success"
