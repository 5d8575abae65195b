"""Inside Airflow the client of a target is that of its connection, as the provider's hook builds it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.clouds import PREFIX, cloud
from tests.support.world import World

from rlg_backup.core.model import Kind
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.tasks.wire import wire


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "world")


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_a_target_is_reached_through_its_airflow_connection(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own chain finds nothing here: without the connection there would be no credentials, or no server."""
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(world.config))
    with cloud(kind) as there:
        monkeypatch.setenv("AIRFLOW_CONN_RLG_TARGET_CLOUD", there.connection)
        for name, value in there.connection_environment.items():
            monkeypatch.setenv(name, value)
        settings = dict(there.settings)
        if kind != "azure":
            del settings["endpoint_url"]
        world.settings["targets"]["cloud"] = settings
        world.source["targets"] = ["cloud"]
        world.save()
        done = backup(wire(), "app", Kind.FULL)
        assert (done.committed, done.missing) == ({"cloud": 1}, {})
        assert f"{PREFIX}/app/{done.backup_id}/manifest.json" in there.contents()
        assert restore(wire(), "app", done.backup_id, str(world.root / "back.db")).rows == 103


def test_a_connection_that_gives_no_client_is_our_error_without_the_vendors_text(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the other targets get their copy."""
    monkeypatch.setenv("RLG_BACKUP_CONFIG", str(world.config))
    key = {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": json.dumps({"private_key": "hunter2"})}}
    monkeypatch.setenv("AIRFLOW_CONN_RLG_TARGET_CLOUD", json.dumps(key))
    world.settings["targets"]["cloud"] = {"type": "gcs", "bucket": "b"}
    world.source["targets"] = ["cloud", "local"]
    world.save()
    done = backup(wire(), "app", Kind.FULL)
    assert done.committed == {"local": 1}
    assert re.fullmatch(
        r"unable to use 'cloud': its connection gives no client \(\w+\)\nhint: look at the connection rlg_target_cloud",
        done.missing["cloud"],
    )
