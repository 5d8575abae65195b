"""Fixtures of the source drivers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town_id)")
        connection.executemany(
            "INSERT INTO accounts VALUES (?, ?, 1)", [(number, f"n{number}") for number in range(10)]
        )
        connection.execute("CREATE TABLE notes (body)")
    connection.close()
    return path


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A folder of a user who is not root, with that user's rights while the test runs."""
    folder = Path(tempfile.mkdtemp(prefix="powerless-"))
    before = os.geteuid()
    if before == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(before)
        subprocess.run(["rm", "-rf", folder], check=True)
