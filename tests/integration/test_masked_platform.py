"""A masked copy of the platform: the shipped suites pass on it, joins hold, and nobody is in it by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.support.postgres_platform import INCLUDE, connected, serve_platform
from tests.support.postgres_server import address_of
from tests.support.postgres_world import connected as known
from tests.support.world import World

from rlg_backup.core.model import Verdict
from rlg_backup.demo.server import Server
from rlg_backup.engine.drill import check_restored

PRODUCTS = {"data": "rlg_data", "fans": "rlg_fans"}
PERSONAL = {
    "data": (
        "accounts.email",
        "accounts.full_name",
        "accounts.phone",
        "payments.payer_name",
        "report_recipients.email",
    ),
    "fans": (
        "fan_accounts.email",
        "fan_accounts.phone",
        "creators.email",
        "creators.bank_account",
        "newsletter_deliveries.email",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_platform(tmp_path_factory.mktemp("platform"), seed=7, size=60) as (found, _):
        yield found


@pytest.fixture(scope="module")
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> World:
    """RLG's own configuration of the two databases."""
    made = World.make(tmp_path_factory.mktemp("world") / "world")
    shipped: dict[str, Any] = yaml.safe_load((INCLUDE / "config" / "backup.yaml").read_text("utf-8"))
    made.settings["sources"] = {
        name: {**shipped["sources"][name], "type": "postgres", "connection": name} for name in PRODUCTS
    }
    made.settings["drill"] = {
        "scratch": "scratch",
        "reports": "reports",
        "expectations": str(INCLUDE / "expectations"),
        "references": str(INCLUDE / "config"),
        "suites": shipped["drill"]["suites"],
    }
    made.save()
    return made


@pytest.mark.parametrize("source", PRODUCTS)
def test_the_shipped_suites_pass_on_a_masked_copy(server: Server, world: World, source: str) -> None:
    product = PRODUCTS[source]
    with known(**{source: address_of(server, product)}):
        world.back_up(source)
        place = f"postgres:{source}/masked_{product}"
        done = world.run("restore", "--source", source, "--to", place, "--fidelity", "masked", "--json")
        assert done.code == 0, done.out + done.err
        checks = check_restored(world.wiring(), source, "latest", place, {})
    assert len(checks) > 20
    assert [check for check in checks if check.verdict != Verdict.PASS] == []
    with connected(server, product) as before, connected(server, f"masked_{product}") as after:
        for table, column in (one.split(".") for one in PERSONAL[source]):
            values = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            real, masked = ({value for (value,) in one.execute(values)} for one in (before, after))
            assert len(real) > 2 and not real & masked, f"{table}.{column}"
            assert len(real) == len(masked), f"{table}.{column}"
        if source == "fans":
            joined = "SELECT count(*) FROM newsletter_deliveries JOIN fan_accounts USING (email)"
            assert before.execute(joined).fetchall() == after.execute(joined).fetchall() != [(0,)]
