"""The doctor asks the servers that restores go to what their roles may do there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.ports import free_port
from tests.support.postgres_server import execute, query
from tests.support.postgres_world import connected, make_world

from rlg_backup.core.model import Verdict
from rlg_backup.engine.doctor import examine
from rlg_backup.sources.postgres.address import Address


@pytest.fixture
def plain(database: Address) -> Iterator[Address]:
    """The database as a role sees it that may do nothing."""
    execute(database, "CREATE ROLE nobody_much LOGIN PASSWORD 'much'")
    yield replace(database, user="nobody_much", password="much")
    execute(database, "DROP ROLE nobody_much")


def test_each_server_of_restores_and_drills_is_asked_once(database: Address, plain: Address, tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", database)
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports", "postgres": {"connection": "scratch"}}
    world.settings["restore_connections"] = ["scratch", "plain", "gone", "unknown"]
    world.save()
    gone = replace(database, port=free_port())
    version = query(database, "SHOW server_version")[0][0]
    with connected(app=database, scratch=database, plain=plain, gone=gone):
        found = [(one.name, one.verdict, one.measured) for one in examine(world.wiring()) if one.group == "restores"]
        execute(database, "ALTER ROLE nobody_much CREATEDB")
        (creator,) = [one.measured for one in examine(world.wiring()) if (one.group, one.name) == ("restores", "plain")]
    risk = "it is a superuser, as whom functions of a restored database run"
    no_connection = (
        "unable to connect to 'unknown': there is no connection of that id\n"
        "hint: make the Airflow connection 'unknown', or set AIRFLOW_CONN_UNKNOWN"
    )
    assert found == [
        ("scratch", Verdict.PASS, f"PostgreSQL {version}, as 'postgres'; {risk}"),
        ("plain", Verdict.FAIL, "the role 'nobody_much' may not make databases: ALTER ROLE ... CREATEDB"),
        ("gone", Verdict.FAIL, f"unable to connect to '{gone}': no server answers there"),
        ("unknown", Verdict.FAIL, no_connection),
    ]
    assert creator == f"PostgreSQL {version}, as 'nobody_much'"
