"""airflow_settings.yaml makes what the DAGs need, under the names they look for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlg_backup.config.load import load
from rlg_backup.config.settings import FilesSettings, Settings

PROJECT = Path(__file__).parents[3]
FILE = PROJECT / "airflow_settings.yaml"
ALERTS = {"rlg_alert_smtp", "rlg_alert_slack", "rlg_alert_webhook"}


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    return dict(yaml.safe_load(FILE.read_text("utf-8"))["airflow"])


@pytest.fixture(scope="module")
def settings() -> Settings:
    given = {name: name for name in ("RLG_RECIPIENT", "RLG_ESCROW_RECIPIENT", "RLG_STATE_RECIPIENT", "RLG_SIGNER")}
    return load(PROJECT / "include" / "config" / "backup.yaml", given)


def test_it_has_the_parts_that_astro_reads(objects: dict[str, Any]) -> None:
    assert set(objects) == {"pools", "variables", "connections"}


def test_every_pool_that_a_source_names_is_made(objects: dict[str, Any], settings: Settings) -> None:
    """A task whose pool does not exist waits for ever, without a word."""
    pools = {pool["pool_name"]: pool["pool_slot"] for pool in objects["pools"]}
    assert {source.pool for source in settings.sources.values()} == set(pools)
    assert all(slots > 0 for slots in pools.values())


def test_the_same_pool_is_made_by_compose_and_by_the_demo(objects: dict[str, Any]) -> None:
    (pool,) = objects["pools"]
    compose = (PROJECT / "docker-compose.yaml").read_text()
    demo = (PROJECT / "scripts" / "project.py").read_text()
    assert f"airflow pools set {pool['pool_name']} {pool['pool_slot']} '{pool['pool_description']}'" in compose
    assert f'"pools", "set", "{pool["pool_name"]}", "{pool["pool_slot"]}", "{pool["pool_description"]}"' in demo


def test_connections_have_the_names_that_are_looked_for(objects: dict[str, Any], settings: Settings) -> None:
    known = {f"rlg_{source}" for source in settings.sources} | {f"rlg_target_{target}" for target in settings.targets}
    assert settings.drill is not None and settings.drill.postgres is not None
    known |= {settings.drill.postgres.connection, *settings.restore_connections}
    assert {item["conn_id"] for item in objects["connections"]} <= known | ALERTS
    examples = set(re.findall(r"^\s*# - conn_id: (\w+)$", FILE.read_text(), re.M))
    assert examples <= ALERTS | {"rlg_target_cloud"}


def test_each_source_has_a_connection_of_its_type_to_the_place_of_the_configuration(
    objects: dict[str, Any], settings: Settings
) -> None:
    by_id = {item["conn_id"]: item for item in objects["connections"]}
    for name, source in settings.sources.items():
        found = by_id[f"rlg_{name}"]
        if isinstance(source, FilesSettings):
            assert (found["conn_type"], found["conn_host"]) == ("fs", str(source.path))
        else:
            assert (found["conn_type"], found["conn_schema"]) == (source.type, f"rlg_{name}")


def test_no_connection_holds_a_password(objects: dict[str, Any]) -> None:
    held = [item["conn_id"] for item in objects["connections"] if "conn_password" in item]
    assert (held, re.findall(r"password|secret_key", FILE.read_text(), re.I)) == ([], [])
