"""A request is tried on the newest backups before it is recorded: one that would stop every later restore is refused,
and a dry run tells what would be left out."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.forgotten import entries, erase, execute, with_erasures
from tests.support.world import EMAILS, World


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A full backup, and one after it in which the second person bought more."""
    world = with_erasures(World.make(tmp_path_factory.mktemp("trial") / "world"))
    world.back_up()
    execute(world.root / "app.db", "INSERT INTO orders (person, cents) VALUES (2, 5), (3, 6)")
    world.back_up(kind="incremental")
    return world


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    return template.copy(tmp_path / "world")


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "no such table": ({"table": "users"}, "users': the backup has no such table for 'person'"),
    "of the primary key": (
        {"action": "anonymize", "columns": ["id"], "tables": {}},
        "people.id': it is of the primary key",
    ),
    "a reference of which nobody decided": (
        {"tables": {}},
        "orders': its column 'person' refers to rows of 'people' that are deleted",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_request_that_would_stop_every_restore_is_refused_and_not_recorded(world: World, what: str) -> None:
    rules, text = MISFITS[what]
    with_erasures(world, **rules)
    for more in ((), ("--dry-run",)):
        done = erase(world, "2", *more)
        assert (done.code, done.json["error"]) == (2, "ErasureUndecided"), done.out
        assert done.json["message"] == f"unable to erase in '{text}"
    assert entries(world) == []
    checks = {check["name"]: check for check in world.run("doctor", "--json").json["checks"]}
    assert checks["rules of person"]["verdict"] == "FAIL"
    assert text in checks["rules of person"]["measured"]


def test_a_second_request_for_a_subject_is_answered_whatever_the_rules_have_become(world: World) -> None:
    assert erase(world, "2").code == 0
    with_erasures(world, table="users")
    assert erase(world, "2").json["new"] is False
    assert erase(world, "3").code == 2


def test_a_dry_run_tells_what_would_be_left_out_and_records_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = erase(world, "2", "--dry-run")
    assert done.code == 0, done.out
    [source] = done.json["sources"]
    assert source["does"] == {"people": "deleted by id", "orders": "deleted by person"}
    assert source["rows"] == {"people": 3, "orders": 102}
    assert {title: one["deleted"] for title, one in source["erased"].items()} == {"people": 1, "orders": 34}
    monkeypatch.setattr("sys.stdin", io.StringIO("2\n3\n"))
    both = world.run("erase", "--subject", "-", "--dry-run")
    assert [line.split() for line in both.out.splitlines()[2:]] == [
        ["TABLE", "WHAT", "ROWS", "DELETED", "EMPTIED"],
        ["people", "deleted", "by", "id", "3", "2", "0"],
        ["orders", "deleted", "by", "person", "102", "68", "0"],
    ]
    assert not any(email in both.out for email in EMAILS)
    assert (entries(world), (world.root / "back.db").exists()) == ([], False)


def test_without_an_identity_a_dry_run_says_that_it_read_nothing_and_requests_are_recorded(world: World) -> None:
    del world.settings["encryption"]["identities"]
    with_erasures(world, table="users")
    done = erase(world, "2", "--dry-run")
    why = "no identity is configured here, and a backup's tables are encrypted"
    assert (done.code, done.json["sources"][0]["why"]) == (3, why)
    assert erase(world, "2").code == 0


def test_a_backup_that_cannot_be_read_or_is_not_there_keeps_nobody_from_being_recorded(world: World) -> None:
    for archive in world.target().glob("app/*/default.zip.age"):
        archive.write_bytes(b"rot")
    assert erase(world, "2", "--dry-run").code == 3
    assert erase(world, "2").code == 0
    shutil.rmtree(world.target() / "catalog")
    shutil.rmtree(world.target() / "app")
    shutil.rmtree(world.root / "state")
    assert erase(world, "3").code == 0
    done = erase(world, "1", "--dry-run")
    assert (done.code, done.json["sources"][0]["backup_id"]) == (0, None)


def test_a_dry_run_counts_the_files_of_a_tree(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    for number in (1, 2):
        (world.root / "tree" / "uploads" / str(number)).mkdir(parents=True)
        (world.root / "tree" / "uploads" / str(number) / "letter.txt").write_text(f"of {number}")
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    with_erasures(world)
    world.settings["erasure"]["subjects"] = {"person": {"app": {"files": ["uploads/{key}/**"]}}}
    world.save()
    world.back_up()
    [source] = erase(world, "2", "--dry-run").json["sources"]
    assert source["does"] == {"files and folders": "deleted: uploads/{key}/**"}
    assert source["erased"]["files and folders"]["deleted"] == 2


def test_it_goes_alone_with_a_subject(world: World) -> None:
    assert world.run("erase", "--dry-run").code == 2
    assert world.run("erase", "--dry-run", "--complete").code == 2
