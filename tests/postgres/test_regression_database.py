"""PostgreSQL's own regression tests leave a database of every feature it has: a chain over it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.postgres_compare import assert_same_database, copied_by_pg_dump
from tests.support.postgres_server import VERSIONS, Servers, address_of, drop_database, fresh_database
from tests.support.postgres_world import connected, make_world
from tests.support.regression_database import STEPS, RegressionDatabase, drop_roles
from tests.support.world import World

from rlg_backup.sources.postgres.address import Address

FEWEST = 500  # tables that the scripts leave at the least, on any version


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_each_point_of_postgresql_s_own_regression_tests_is_what_pg_dump_s_copy_is(
    servers: Servers, version: int, tmp_path: Path
) -> None:
    server = servers[version]
    with fresh_database(server) as source, connected(app=source):
        world = make_world(tmp_path / "world", source)
        database, kind, tables = RegressionDatabase(source, version), "full", 0
        for step in STEPS:
            tables = database.run(step)
            done = world.run("backup", "--source", "app", "--kind", kind, "--json")
            assert done.code == 0, done.out + done.err
            assert done.json[0]["kind"] == kind
            kind = "incremental"
            _assert_restored(world, servers, version, source)
        assert tables >= FEWEST
        _assert_masked(world, servers, version, source)
        world.source["dataset_policies"] = {"unassigned": "tokenize"}
        world.save()
        done = world.run("backup", "--source", "app")
        assert done.code == 0, done.out + done.err
        _assert_restored(world, servers, version, source)
    drop_roles(address_of(server))


def _assert_restored(world: World, servers: Servers, version: int, source: Address) -> None:
    copy = source.of(f"{source.database}_restored")
    done = world.run("restore", "latest", "--source", "app", "--to", f"postgres:app/{copy.database}")
    try:
        assert done.code == 0, done.out + done.err
        with copied_by_pg_dump(source, servers[version]) as measure:
            assert_same_database(measure, copy)
    finally:
        drop_database(servers[version], copy.database)


def _assert_masked(world: World, servers: Servers, version: int, source: Address) -> None:
    copy = source.of(f"{source.database}_masked")
    done = world.run("restore", "latest", "--to", f"postgres:app/{copy.database}", "--fidelity", "masked")
    drop_database(servers[version], copy.database)
    assert done.code == 0, done.out + done.err
