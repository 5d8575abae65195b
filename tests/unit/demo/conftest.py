"""One small platform a session; a test that changes it works on a copy."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rlg_backup.demo import generate

INCLUDE = Path(__file__).parents[3] / "include"
SIZE = 120
DATABASES = ("rlg_data", "rlg_fans")


def dump(folder: Path) -> list[str]:
    """Everything a platform holds, as text: rows and definitions, then entries with mode, time and content."""
    lines: list[str] = []
    for name in DATABASES:
        with closing(sqlite3.connect(folder / f"{name}.db")) as database:
            lines += database.iterdump()
    root = folder / "files"
    for path in sorted([root, *root.rglob("*")]):
        facts = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
        lines.append(f"{path.relative_to(root)} {stat.filemode(facts.st_mode)} {facts.st_mtime_ns} {content}")
    return lines


def sound(folder: Path) -> bool:
    """Whether no reference dangles and no page is wrong, in both databases."""
    for name in DATABASES:
        with closing(sqlite3.connect(folder / f"{name}.db")) as database:
            dangling = database.execute("PRAGMA foreign_key_check").fetchall()
            if dangling or database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return False
    return True


def wrong_prices(database: sqlite3.Connection, table: str, holder: str, key: str) -> int:
    """Subscriptions at another price than that of their holder's country."""
    (count,) = database.execute(
        f"""
        SELECT count(*) FROM {table} s JOIN {holder} h ON h.id = s.{key} LEFT JOIN places p ON p.town_id = h.town_id
        WHERE NOT EXISTS (
            SELECT 1 FROM prices x WHERE x.plan = s.plan AND x.period = s.period AND x.amount_cents = s.amount_cents
            AND CASE WHEN p.town_id IS NULL THEN x.tier = 'global' ELSE x.country_code = p.country_code END)
        """
    ).fetchone()
    return int(count)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform nobody changes."""
    folder = tmp_path_factory.mktemp("demo") / "platform"
    generate(folder, include=INCLUDE, seed=7, size=SIZE)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A platform of the test's own."""
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


@pytest.fixture
def data(made: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{made}/rlg_data.db?mode=ro", uri=True)) as database:
        yield database


@pytest.fixture
def fans(made: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{made}/rlg_fans.db?mode=ro", uri=True)) as database:
        yield database
