"""Zones of a PostgreSQL source: changes told by where rows lie, counts taken by the server, servers to restore to."""

from __future__ import annotations

from pathlib import Path

from tests.support.postgres_compare import assert_same_database
from tests.support.postgres_server import NEWEST, Servers, drop_database, execute
from tests.support.postgres_world import connected, make_world
from tests.support.refusal import failed
from tests.support.world import World
from tests.support.zoned_world import GEOGRAPHY, archives_on, everywhere, zoned_world

from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.restore_points import choose
from rlg_backup.sources.postgres.address import Address

TABLES = (
    "CREATE TABLE regions (code text PRIMARY KEY)",
    "CREATE TABLE countries (code text PRIMARY KEY, region text REFERENCES regions)",
    "CREATE TABLE accounts (id int PRIMARY KEY, country text REFERENCES countries, note text)",
    "CREATE TABLE payments (id int PRIMARY KEY, account int REFERENCES accounts, cents int)",
    "INSERT INTO regions VALUES ('special'), ('europe'), ('sadc')",
    "INSERT INTO countries VALUES ('IL', 'special'), ('DE', 'europe'), ('ZA', 'sadc')",
    "INSERT INTO accounts SELECT n, (ARRAY['IL', 'DE', 'ZA', NULL])[n % 4 + 1], md5(n::text) "
    "FROM generate_series(1, 4000) n",
    "INSERT INTO payments SELECT n, n % 4000 + 1, n FROM generate_series(1, 20000) n",
)


def project(root: Path, address: Address) -> World:
    """The zones of the SQLite world over a database; restores may go to the server ``app``."""
    zones = zoned_world(root / "zones").settings
    world = make_world(root / "project", address, geography=GEOGRAPHY, totals={"payments": ["cents"]}, zone="world")
    world.settings |= {"residency": zones["residency"], "targets": zones["targets"]}
    world.source["targets"] = ["eu", "il"]
    everywhere(world)
    world.settings["residency"]["connections"] = {"app": "LAB"}
    world.save()
    return world


def test_rows_that_move_between_zones_come_back_from_a_chain(servers: Servers, database: Address, tmp_path: Path):
    execute(database, *TABLES)
    with connected(app=database):
        world = project(tmp_path, database)
        world.back_up()
        execute(
            database,
            "UPDATE accounts SET country = 'DE' WHERE country = 'IL' AND id % 100 = 0",
            "DELETE FROM payments WHERE id % 50 = 0",
            "INSERT INTO payments SELECT n, 4, n FROM generate_series(30001, 30100) n",
        )
        last = world.back_up(kind="incremental")
        assert archives_on(world, "il", last) == ["default", "israel"]
        assert archives_on(world, "eu", last) == ["default", "europe"]
        for target in ("eu", "il"):
            done = world.run("verify", last, "--source", "app", "--target", target, "--full")
            assert done.code == 0, done.out
        wiring = world.wiring()
        profile = open_remote(wiring, choose(wiring, "app"), wiring.identities(), everywhere=True).profile()
        (payments,) = [table for table in profile.tables if table.name == "payments"]
        assert payments.geography is not None and payments.change is not None and payments.zones == {}
        assert sum(payments.geography["country"].values()) == payments.rows == 20000 - 400 + 100
        assert int(payments.totals["cents"].all) == sum(
            int(total) for total in payments.totals["cents"].country.values()
        )
        copy = database.of(f"{database.database}_again")
        done = world.run("restore", "latest", "--source", "app", "--to", f"postgres:app/{copy.database}")
        try:
            assert done.code == 0, done.out + done.err
            assert_same_database(database, copy)
        finally:
            drop_database(servers[NEWEST], copy.database)


def test_a_server_without_a_jurisdiction_gets_no_restore(database: Address, tmp_path: Path):
    execute(database, *TABLES)
    with connected(app=database):
        world = project(tmp_path, database)
        world.back_up()
        world.settings["residency"]["connections"] = {}
        world.save()
        done = world.run("restore", "latest", "--source", "app", "--to", "postgres:app/again")
        failed(
            done,
            2,
            "unable to restore to 'postgres:app/again': rows that no zone names may not lie in a jurisdiction that "
            "nobody named\nhint: restore where they may, or correct 'residency.connections'",
        )
