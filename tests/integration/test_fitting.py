"""SQLite: what a policy leaves for ever loads again, is refused before a row is read, or told (PostgreSQL's are in
tests/postgres/test_fitting.py)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.support.world import World

from rlg_backup.core.errors import MISCONFIGURED

INSTEAD = "hint: tokenize it, or change the column\n"
ROWS = "INSERT INTO t (email) VALUES ('{\"a\": 1}'), ('{\"a\": 2}')"


def made(tmp_path: Path, definition: str, rows: str, policy: str | dict[str, Any], options: str = "") -> World:
    world = World.make(tmp_path / "world")
    with sqlite3.connect(world.root / "policy.db") as connection:
        connection.execute(f"CREATE TABLE t ({definition}) {options}")
        connection.execute(rows)
    connection.close()
    world.settings["sources"] = {
        "app": {"type": "sqlite", "path": "policy.db", "targets": ["local"], "policies": {"t.email": policy}}
    }
    world.save()
    return world


@pytest.mark.parametrize(
    ("definition", "rows", "policy", "cause"),
    [
        pytest.param(
            "email TEXT NOT NULL UNIQUE",
            ROWS,
            "redact",
            "every row would hold the same, and the unique index sqlite_autoindex_t_1 takes it once",
            id="unique",
        ),
        pytest.param(
            "email INTEGER PRIMARY KEY",
            "INSERT INTO t VALUES (1), (2)",
            "hash",
            "a column of the type INTEGER does not take what 'hash' makes of it",
            id="row-id",
        ),
    ],
)
def test_what_no_restore_could_load_is_refused(
    tmp_path: Path, definition: str, rows: str, policy: str, cause: str
) -> None:
    world = made(tmp_path, definition, rows, policy)
    done = world.run("backup", "--source", "app")
    assert (done.code, done.err) == (MISCONFIGURED, f"error: unable to anonymize 't.email': {cause}\n{INSTEAD}")
    assert (world.staged(), world.objects()) == ([], {})


@pytest.mark.parametrize(
    ("definition", "policy", "told", "restored"),
    [
        pytest.param("email TEXT UNIQUE CHECK (email LIKE '{%')", "hash", [], True, id="checks-are-not-run"),
        pytest.param("email TEXT UNIQUE", "redact", [], True, id="null-repeats"),
        pytest.param(
            "email TEXT, g AS (json_extract(email, '$.a')) STORED",
            "hash",
            [
                "table 't': column 'email': the generated column g may not take what 'hash' leaves there: "
                "a restore would fail; drill this backup, or tokenize the column"
            ],
            False,
            id="generated",
        ),
    ],
)
def test_what_fits_is_restored_and_what_may_not_is_told(
    tmp_path: Path, definition: str, policy: str, told: list[str], restored: bool
) -> None:
    world = made(tmp_path, definition, ROWS, policy)
    backup = world.run("backup", "--json", "--source", "app")
    assert backup.code == 0, backup.err
    assert [warning for warning in backup.json[0]["warnings"] if "may not take" in warning] == told
    done = world.run("restore", "latest", "--source", "app", "--to", world.root / "copy.db", "--accept-masked")
    assert (done.code == 0) is restored, done.err


def test_a_coarser_column_of_several_classes_and_null_is_restored(tmp_path: Path) -> None:
    world = made(
        tmp_path,
        "email",
        "INSERT INTO t VALUES (1234), (99.5), ('1234.50'), (x'00ff'), (NULL), ('no number')",
        {"policy": "generalize", "bucket": 100},
    )
    world.back_up("app")
    done = world.run("restore", "latest", "--source", "app", "--to", world.root / "copy.db", "--accept-masked")
    assert done.code == 0, done.err
    with sqlite3.connect(world.root / "copy.db") as connection:
        assert connection.execute("SELECT email FROM t").fetchall() == [(1200,), (0.0,), ("1200.00",), *[(None,)] * 3]
    connection.close()


def test_a_strict_table_gets_nothing_but_its_types(tmp_path: Path) -> None:
    world = made(tmp_path, "email INT, name TEXT", "INSERT INTO t VALUES (1, 'hippo')", "hash", "STRICT")
    done = world.run("backup", "--source", "app")
    cause = "a column of the type INT does not take what 'hash' makes of it"
    assert (done.code, done.err) == (MISCONFIGURED, f"error: unable to anonymize 't.email': {cause}\n{INSTEAD}")
    world.source["policies"] = {"t.*": "tokenize"}
    world.save()
    world.back_up("app")
    copy = world.root / "copy.db"
    done = world.run("restore", "latest", "--source", "app", "--to", copy, "--fidelity", "masked")
    assert done.code == 0, done.err
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT email, length(name) FROM t").fetchall() == [(None, 32)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
