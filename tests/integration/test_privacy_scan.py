"""privacy scan: its proposals can be pasted, and it shows no value."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
import yaml
from tests.support.world import EMAILS, PHONES, WORDS, World

PROPOSED = dict.fromkeys(("people.email", "people.phone", '"a: table#".e-mail', "all ??].tel? ?home]"), "tokenize")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.make(tmp_path / "world")
    with sqlite3.connect(world.root / "app.db") as database:
        database.execute('CREATE TABLE """a: table#""" ("e-mail" TEXT, cents INTEGER, city TEXT)')
        database.execute('CREATE TABLE "all [*]" ("tel. [home]" TEXT)')
    del world.source["policies"]
    world.save()
    return world


def test_what_it_prints_is_yaml_to_paste_after_which_nothing_is_undecided(world: World) -> None:
    done = world.run("privacy", "scan", "app")
    assert (done.code, done.err) == (0, "")
    assert yaml.safe_load(done.out) == {"policies": PROPOSED}
    assert "  people.email: tokenize  # email, confidence 1.00, in 3 of 3 sampled values\n" in done.out
    assert "# email, confidence 0.90, by its name, 0 sampled values\n" in done.out
    assert "\x1b" not in done.out
    world.source.update(yaml.safe_load(done.out), unclassified="fail")
    world.save()
    world.back_up()
    assert world.run("privacy", "scan", "app").out == (
        "# app: 11 columns of 4 tables, 4 of them decided\n# no other column looks personal\n"
    )


def test_it_shows_no_value_to_machines_either_and_says_each_columns_class(world: World) -> None:
    done = world.run("privacy", "scan", "app", "--json")
    assert [value for value in (*EMAILS, *PHONES, *WORDS) if value in done.out] == []
    assert done.json["policies"] == PROPOSED
    columns = {one["column"]: one for one in done.json["columns"]}
    assert columns["people.email"] == {
        "column": "people.email",
        "class": "personal",
        "kind": "email",
        "confidence": 1.0,
        "sampled": 3,
        "found": 3,
        "policy": None,
        "proposed": "tokenize",
    }
    classes = {name: columns[name]["class"] for name in ("orders.cents", '"a: table#".city', "people.note")}
    assert classes == {"orders.cents": "money", '"a: table#".city': "geography", "people.note": "plain"}


def test_personal_data_in_the_name_of_a_file_is_found_by_the_scan_and_told_by_a_backup(world: World) -> None:
    folder = world.root / "tree"
    folder.mkdir()
    (folder / f"invoice {EMAILS[0]}.pdf").write_text("x")
    (folder / "report.pdf").write_text("x")
    world.settings["sources"] = {"app": {"type": "files", "path": "tree", "targets": ["local"]}}
    world.save()
    found = world.run("privacy", "scan", "app")
    assert found.out == (
        "# app: 3 names were looked at\n"
        "# email: in 1 names, which are saved as they are: rename them, or exclude them\n"
    )
    assert world.run("privacy", "scan", "app", "--json").json["kinds"] == {"email": 1}
    done = world.run("backup", "--json", "--source", "app")
    assert json.loads(done.out)[0]["warnings"] == ["personal data: files.path: email in 1 of 3"]
    (folder / "link").symlink_to(f"/home/{EMAILS[1]}/report.pdf")
    os.setxattr(folder / "report.pdf", "user.author", EMAILS[2].encode())
    assert world.run("privacy", "scan", "app", "--json").json["kinds"] == {"email": 3}
    done = world.run("backup", "--json", "--source", "app", "--kind", "full")
    hits = [("path", "1 of 4"), ("target", "1 of 1"), ("xattrs", "1 of 1")]
    told = [f"personal data: files.{what}: email in {rate}" for what, rate in hits]
    assert json.loads(done.out)[0]["warnings"] == told


def test_a_source_that_is_not_there_is_an_error_of_configuration(world: World) -> None:
    done = world.run("privacy", "scan", "gone")
    assert (done.code, done.err) == (
        2,
        "error: unable to find 'gone': the configuration has no source of that name\nhint: there are: app\n",
    )
