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


@pytest.fixture(scope="session")
def include() -> Path:
    return INCLUDE


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
