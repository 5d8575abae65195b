"""The demo platform in PostgreSQL and the shipped configuration: every DAG, as make demo SOURCE=postgres runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from scripts.project import Setup
from tests.support.airflow_home import PROJECT, Ran, run
from tests.support.postgres_platform import DATABASES, connected, rows_of

from rlg_backup.demo import generate

pytestmark = pytest.mark.airflow


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    made = Setup("postgres", tmp_path)
    assert made.server is not None
    with made.serving():
        generate(made.platform, include=PROJECT / "include", size=30, server=made.server.url())
        for name, value in made.variables().items():
            monkeypatch.setenv(name, value)
        yield made


def databases(setup: Setup) -> set[str]:
    assert setup.server is not None
    with psycopg.connect(setup.server.url()) as server:
        return {name for (name,) in server.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")}


def succeeded(done: Ran) -> Ran:
    assert done.state == "success", {task: done.error(task) for task in done.errors}
    return done


def test_the_platform_is_backed_up_verified_restored_and_drilled(setup: Setup) -> None:
    backup = succeeded(run("rlg_full_backup"))
    assert {source: said["committed"] for source, said in backup.returned("outcome").items()} == {
        source: {"local": 1} for source in ("data", "fans", "files")
    }
    succeeded(run("rlg_verify"))

    assert setup.server is not None
    for source, name in (("data", "rlg_data"), ("fans", "rlg_fans")):
        there = {"source": source, "restore_point": "latest", "to": f"postgres:rlg_scratch/back_{name}"}
        succeeded(run("rlg_restore", {**there, "accept_masked": source == "fans"}))
        before, after = rows_of(setup.server, name), rows_of(setup.server, f"back_{name}")
        assert {table for table, rows in before.items() if after[table] != rows} == ({"access_log"} & set(before))
    with connected(setup.server, "back_rlg_fans") as restored:
        kept = restored.execute("SELECT count(ip), count(DISTINCT ip), count(user_agent) FROM access_log").fetchone()
    assert kept is not None and kept[0] > kept[1] > 0 == kept[2]

    for kind in ("account", "fan"):
        succeeded(run("rlg_erasure", {"subject": "7", "kind": kind, "reason": "gdpr-17"}))
    drill = succeeded(run("rlg_restore_drill"))
    report = json.loads(Path(drill.returned("report")["report"]).with_suffix(".json").read_text())
    assert report["verdict"] == "PASS"
    erased = {block["source"]: block["erased"] for block in drill.returned("suites")}
    assert (erased["data"]["accounts"]["deleted"], erased["fans"]["fan_accounts"]["deleted"]) == (1, 1)
    assert any(erased["data"]["accounts"]["places"].values()), "no suite had rows of a region to miss"
    assert databases(setup) == {"postgres", *DATABASES, *(f"back_{name}" for name in DATABASES)}  # scratch is gone

    said = "".join(one.log for one in (backup, drill))
    assert [secret for secret in passwords(setup) if secret in said] == []


def passwords(setup: Setup) -> list[str]:
    assert setup.server is not None
    return [setup.server.password, (setup.home / "backup-password").read_text()]
