"""Memory does not grow with a table or a file: four times as much takes about the same, in every command."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.world import World

PROJECT = Path(__file__).parents[2]
MB = 1_000_000
SEED = 20261123
GROWTH = 45 * MB  # what allocators make of it differs; a table or a file held whole adds more
ROWS = 120_000
FILE_BYTES = 24 * MB
GEOGRAPHY = {
    "levels": {"country": {"table": "countries", "key": "code"}},
    "tables": {"measures": {"country": "country"}},
}

Make = Callable[[Path, int], dict[str, Any]]


def make_table(root: Path, times: int) -> dict[str, Any]:
    """Rows that do not compress, so that parts and row groups fill; personal values and countries repeat."""
    chance = random.Random(SEED)
    (root / "app.db").unlink()
    with sqlite3.connect(root / "app.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE countries (code TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO countries VALUES (?)", [("ZA",), ("IL",), ("NA",)])
        numbers = ", ".join(f"n{place} INTEGER" for place in range(12))
        connection.execute(f"CREATE TABLE measures (id INTEGER PRIMARY KEY, email TEXT, country TEXT, {numbers})")
        connection.execute("BEGIN")
        for number in range(ROWS * times):
            email = f"person{number % 5000}@example.org"
            words = memoryview(chance.randbytes(96)).cast("q").tolist()
            row = (number, email, ("ZA", "IL", "NA")[number % 3], *words)
            connection.execute(f"INSERT INTO measures VALUES ({', '.join('?' * 15)})", row)
        connection.execute("COMMIT")
    connection.close()
    return {"type": "sqlite", "path": "app.db", "policies": {"measures.email": "tokenize"}, "geography": GEOGRAPHY}


def make_file(root: Path, times: int) -> dict[str, Any]:
    chance = random.Random(SEED)
    (root / "tree").mkdir()
    with (root / "tree" / "media.bin").open("wb") as file:
        for _ in range(times):
            file.write(chance.randbytes(FILE_BYTES))
    return {"type": "files", "path": "tree"}


def peaks(root: Path, make: Make, times: int) -> dict[str, int]:
    """The peak of each command over a source of that many times the size, each in a process of its own."""
    world = World.make(root)
    world.settings["sources"] = {"app": {**make(root, times), "targets": ["local"]}}
    world.save()
    commands = {
        "backup": ["backup", "--json"],
        "verify": ["verify", "--full", "--json"],
        "restore": ["restore", "--json", "--to", str(root / "restored")],
    }
    return {name: peak(world, command) for name, command in commands.items()}


def peak(world: World, command: list[str]) -> int:
    done = subprocess.run(
        [sys.executable, PROJECT / "tests" / "bench" / "peak.py", "--config", world.config, *command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "plugins")},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("make", [make_table, make_file])
def test_four_times_as_much_takes_no_more_memory_in_any_command(tmp_path: Path, make: Make) -> None:
    small, large = peaks(tmp_path / "small", make, 1), peaks(tmp_path / "large", make, 4)
    growth = {name: (large[name] - small[name]) // MB for name in small}
    print(f"MB at the peak: {small} > {large}")
    assert max(growth.values()) <= GROWTH // MB, f"memory grows with the source (MB more by command): {growth}"
