"""rlg_full_backup as Airflow runs it: every task of the graph, on a real SQLite database and real targets."""
from __future__ import annotations
import pytest
from tests.support.airflow_home import run
from tests.support.world import World
pytestmark = pytest.mark.airflow

def test_x(world: World):
    done = run("rlg_full_backup")
    print(done.states, done.returned("outcome"), len(done.log))
    assert 0

def test_down(make_world):
    world = make_world("local", "other")
    world.settings["sources"]["broken"] = {"type": "sqlite", "path": "absent.db", "targets": ["local"]}
    world.save()
    (world.root/"backups-other").write_text("x")
    done = run("rlg_full_backup")
    print(done.states, done.errors)
    print(world.staged())
    print(done.log[-3000:])
    assert 0
