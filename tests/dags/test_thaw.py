"""rlg_restore of what lies in an archive tier: the provider is asked, and the run waits without a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.support.airflow_home import run
from tests.support.s3_server import S3Server
from tests.support.world import World, dump

from rlg_backup.core.model import Tier

pytestmark = pytest.mark.airflow


@pytest.fixture
def server(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The one target is a bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with S3Server() as server:
        server.client().create_bucket(Bucket="cold")
        bucket = {"type": "s3", "bucket": "cold", "region": "us-east-1", "endpoint_url": server.url, "emulator": True}
        world.settings["targets"]["local"] = bucket
        world.settings["restore_folders"] = [str(world.root)]
        world.save()
        yield server


def test_a_restore_asks_for_a_frozen_backup_and_goes_on_once_it_can_be_read(world: World, server: S3Server) -> None:
    backup_id, to = world.back_up(), world.root / "again.db"
    world.wiring().storage("local").move_to(f"app/{backup_id}/default.zip.age", Tier.ARCHIVE)
    given = threading.Timer(8, server.thaw, ["cold"])  # gives only what was asked for: by then the first look is over
    given.start()
    done = run("rlg_restore", {"source": "app", "to": str(to)})
    given.join()
    assert (done.state, done.errors) == ("success", {})
    assert dump(to) == dump(world.root / "app.db")
