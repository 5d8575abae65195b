"""What a process of ours does not load: each of these takes as much memory as a large table does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.postgres_server import execute
from tests.support.postgres_world import connected, make_world

from rlg_backup.sources.postgres.address import Address

HEAVY = ("pandas", "great_expectations", "boto3", "airflow")
RUN = f"""
import sys
from rlg_backup.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *[name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("rows", [10, 100_000], ids=["few", "sampled"])
def test_no_command_loads_what_it_does_not_need(database: Address, tmp_path: Path, rows: int) -> None:
    execute(
        database,
        "CREATE TABLE places (code text PRIMARY KEY)",
        "INSERT INTO places VALUES ('NA'), ('ZA')",
        "CREATE TABLE people (id int PRIMARY KEY, email text, place text, share float8, note text)",
        "INSERT INTO people SELECT n, n || '@example.org', CASE n % 3 WHEN 0 THEN 'ZA' WHEN 1 THEN 'NA' END, n / 7.0, "
        f"CASE n % 2 WHEN 0 THEN 'note ' || n END FROM generate_series(1, {rows}) n",
    )
    geography = {
        "levels": {"region": {"table": "places", "key": "code"}},
        "tables": {"people": {"region": "place"}},
    }
    world = make_world(tmp_path / "world", database, policies={"people.email": "tokenize"}, geography=geography)
    with connected(app=database):
        for command in (
            ["backup", "--source", "app"],
            ["verify", "latest", "--source", "app", "--full"],
            ["restore", "latest", "--source", "app", "--to", f"postgres:app/{database.database}_again"],
        ):
            arguments = ["--config", str(world.config), *command]
            done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.splitlines()[-1] == "loaded:", command
    execute(database, f'DROP DATABASE "{database.database}_again"')
