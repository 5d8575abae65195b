"""The checkers check: a difference that is planted is found. If none is, the checker is broken."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.compare import assert_databases_equal, assert_trees_equal
from tests.support.sqlite_torture import make_torture
from tests.support.tree_torture import has_attributes, make_tree


@pytest.fixture(scope="module")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_torture(tmp_path_factory.mktemp("torture") / "a.db", wal=False)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE typed_BLOB SET v = 1.0 WHERE typeof(v) = 'integer' AND v = 1",
        "UPDATE mixed SET v = 0.0 WHERE typeof(v) = 'real' AND v = 0",
        "UPDATE mixed SET v = CAST(v AS BLOB) WHERE v = 'text'",
        "UPDATE gaps SET rowid = 8 WHERE rowid = 7",
        "DELETE FROM child WHERE p = 99",
        "INSERT INTO shadowed_all VALUES ('a', 'b', 'c')",
        "UPDATE wide SET c1998 = 0 WHERE c0 = 0",
        "UPDATE invalid SET v = CAST(x'ff' AS TEXT) WHERE rowid = 1",
        "UPDATE sqlite_sequence SET seq = 7",
        "DROP INDEX on_wide",
        "DROP VIEW broken",
        "PRAGMA user_version = 5",
        "PRAGMA journal_mode = WAL",
        "UPDATE search SET body = 'x' WHERE rowid = 3",
        "UPDATE generated SET a = 50 WHERE a = 5",
    ],
)
def test_a_database_with_one_difference_is_not_equal(torture: Path, tmp_path: Path, statement: str) -> None:
    changed = tmp_path / "b.db"
    shutil.copy(torture, changed)
    assert_databases_equal(torture, changed)
    with sqlite3.connect(changed, isolation_level=None) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(AssertionError):
        assert_databases_equal(torture, changed)


def _append(root: Path) -> None:
    times = (root / "large").stat()
    with (root / "large").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"\0\1")
    os.utime(root / "large", ns=(times.st_atime_ns, times.st_mtime_ns))


def _separate(root: Path) -> None:
    times = (root / "second name").stat(), root.stat()
    content = (root / "second name").read_bytes()
    (root / "second name").unlink()
    (root / "second name").write_bytes(content)
    for path, state in zip((root / "second name", root), times, strict=True):
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def _note(root: Path) -> None:
    if has_attributes(root):
        os.setxattr(root / "empty", "user.note", b"other")
    else:  # nothing to get wrong on this file system
        (root / "new").touch()


@pytest.mark.parametrize(
    "change",
    [
        _append,
        _separate,
        lambda root: (root / "a").chmod(0o700),
        lambda root: root.chmod(0o700),
        lambda root: (root / "setuid").chmod(0o4755),
        lambda root: (root / "setgid").chmod(0o2755),
        lambda root: (root / "shared").chmod(0o1777),
        lambda root: os.utime(root / "empty folder", ns=(1, 1)),
        lambda root: os.utime(root / "dangling", ns=(1, 1), follow_symlinks=False),
        lambda root: (root / "a" / "new").touch(),
        _note,
    ],
)
def test_a_tree_with_one_difference_is_not_equal(tmp_path: Path, change: Callable[[Path], object]) -> None:
    make_tree(tmp_path / "a", others=False)
    subprocess.run(["cp", "-a", tmp_path / "a", tmp_path / "b"], check=True)
    for name in ("setuid", "setgid"):
        (tmp_path / "b" / name).chmod(0o755)
    assert_trees_equal(tmp_path / "a", tmp_path / "b")
    change(tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_trees_equal(tmp_path / "a", tmp_path / "b")
