from __future__ import annotations
import pytest
from tests.support.airflow_home import run
from tests.support.world import World
pytestmark = pytest.mark.airflow

def test_down(make_world):
    world = make_world("local", "other")
    (world.root/"gone").write_text("x")
    world.settings["targets"]["other"]["path"] = "gone/backups"
    world.settings["sources"]["broken"] = {"type": "sqlite", "path": "absent.db", "targets": ["local"]}
    world.save()
    done = run("rlg_full_backup")
    raise AssertionError((done.states, done.errors, done.returned("app.commit"), world.staged(), done.returned("outcome")))

def test_local(make_world):
    world = make_world("local", "other")
    (world.root/"gone").write_text("x")
    world.settings["targets"]["other"]["path"] = "gone/backups"
    world.settings["sources"]["broken"] = {"type": "sqlite", "path": "absent.db", "targets": ["local"]}
    world.settings["staging"]["mode"]="local"
    world.save()
    done = run("rlg_full_backup")
    raise AssertionError((done.states, done.errors, done.returned("app.backup_in_one"), world.staged(), done.returned("outcome")))
