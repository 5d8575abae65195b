"""A copy for development from a recoverable backup: nothing personal in it, alike in every table and source."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.support.world import EMAILS, PHONES, World, dump

from rlg_backup.config.settings import TableSettings
from rlg_backup.core.errors import MISCONFIGURED
from rlg_backup.core.model import Verdict
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.masked_copy import MaskedCopy
from rlg_backup.engine.restore_points import choose

HINT = "hint: name another form for it under 'masked'\n"
ALLOW = "hint: add it to 'allow_breaking', or name another form for it under 'masked'\n"


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def rows(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    """People as in every world, with a chat about them; letters in a database of their own."""
    made = World.make(tmp_path / "world")
    execute(
        made.root / "app.db",
        "CREATE TABLE chat (id INTEGER PRIMARY KEY, sender TEXT REFERENCES people (email), body TEXT, seen TEXT)",
        "CREATE UNIQUE INDEX by_email ON people (email)",
        f"INSERT INTO chat VALUES (1, '{EMAILS[0]}', 'I am {EMAILS[1]}', '2026-03-05T10:00:00Z')",
    )
    execute(
        made.root / "letters.db",
        "CREATE TABLE letters (id INTEGER PRIMARY KEY, e_mail TEXT NOT NULL, town INTEGER)",
        f"INSERT INTO letters VALUES (1, '{EMAILS[1]}', 7)",
    )
    key = "allow_breaking"
    made.source["policies"] = {
        "*.email": "tokenize",
        "*.phone": "tokenize",
        "chat.sender": "tokenize",
        "chat.body": "scrub",
    }
    made.source[key] = ["people.email", "chat.sender"]
    made.source["masked"] = {
        "chat.sender": {"policy": "pseudonym", "like": "email"},
        "chat.seen": {"policy": "generalize", "to": "year"},
    }
    letters = {"type": "sqlite", "path": "letters.db", "targets": ["local"], "policies": {"letters.e_mail": "tokenize"}}
    made.settings["sources"]["letters"] = letters
    made.save()
    return made


def copied(world: World, source: str, *options: str) -> Path:
    place = world.root / f"{source} for development.db"
    done = world.run("restore", "latest", "--source", source, "--to", place, "--fidelity", "masked", "--json", *options)
    assert done.code == 0, done.out + done.err
    assert {check["verdict"] for check in done.json["checks"]} == {"PASS"}
    assert done.json["fidelity"] == "masked"
    return place


def test_a_copy_holds_no_personal_value_and_is_alike_across_tables_and_sources(world: World) -> None:
    for source in ("app", "letters"):
        world.back_up(source)
    app, letters = (copied(world, source) for source in ("app", "letters"))
    for place in (app, letters):
        assert [value for value in (*EMAILS, *PHONES) if value in dump(place)] == []
    people = rows(app, "SELECT email, phone, note FROM people ORDER BY id")
    assert all(re.fullmatch(r"u[0-9a-f]{20}@example\.invalid", email) for email, _, _ in people)
    numbers = [phone for _, phone, _ in people]
    assert all(number.startswith(prefix) for number, prefix in zip(numbers, ("+2700", "+97200", "+4400"), strict=True))
    assert [note for _, _, note in people] == ["hippopotamus", "xylophone", "quicksilver"]
    assert rows(letters, "SELECT e_mail FROM letters") == [(people[1][0],)]
    ((sender, body, seen),) = rows(app, "SELECT sender, body, seen FROM chat")
    assert (sender, seen) == (people[0][0], "2026-01-01T00:00:00Z")
    assert re.fullmatch(r"[0-9a-f]{32}", body)
    assert rows(app, "PRAGMA foreign_key_check") == []
    assert rows(app, "SELECT sum(cents) FROM orders") == rows(world.root / "app.db", "SELECT sum(cents) FROM orders")


def test_a_copy_tells_what_it_masked_and_the_backup_stays_what_it_was(world: World) -> None:
    world.back_up("app")
    done = world.run("restore", "--source", "app", "--to", world.root / "dev.db", "--fidelity", "masked")
    masked = "chat.body, chat.seen, chat.sender, people.email, people.phone"
    assert f"note: masked in this copy: {masked}" in done.out
    assert "rows, masked as configured" in done.out
    back = world.run("restore", "--source", "app", "--to", world.root / "back.db")
    assert back.code == 0, back.err
    assert dump(world.root / "back.db") == dump(world.root / "app.db")


def test_what_is_kept_though_its_name_says_personal_data_is_told(world: World) -> None:
    world.source["policies"] |= {"*.phone": "keep", "people.note": "keep"}
    world.save()
    world.back_up("app")
    told = "note: in this copy as in the source, though their names say personal data: people.phone\n"
    done = world.run("restore", "--source", "app", "--to", world.root / "dev.db", "--fidelity", "masked")
    assert (done.code, told in done.out) == (0, True)
    world.source["masked"]["*.phone"] = "keep"
    world.save()
    done = world.run("restore", "--source", "app", "--to", world.root / "again.db", "--fidelity", "masked")
    assert (done.code, "though their names" in done.out) == (0, False)


def test_full_text_indexes_of_a_copy_hold_the_words_of_its_own_texts(world: World) -> None:
    execute(
        world.root / "app.db",
        "CREATE VIRTUAL TABLE words USING fts5 (body)",
        "INSERT INTO words SELECT 'Zanele Mbatha-Okonkwo no ' || id FROM orders",
        "CREATE VIRTUAL TABLE bare USING fts5 (body, content = '')",
        "INSERT INTO bare VALUES ('Zanele')",
    )
    world.source["policies"]["words_content.c0"] = "tokenize"
    world.save()
    world.back_up("app")
    place = world.root / "dev.db"
    done = world.run("restore", "latest", "--source", "app", "--to", place, "--fidelity", "masked")
    told = "note: full-text table 'bare': it may have words of what is masked until it is rebuilt\n"
    assert (done.code, told in done.out) == (0, True)
    assert b"mbatha" not in place.read_bytes().lower()
    ((text,),) = rows(place, "SELECT c0 FROM words_content LIMIT 1")
    assert rows(place, f"SELECT count(*) FROM words WHERE words MATCH '{text}'") == [(1,)]
    assert rows(place, "PRAGMA integrity_check") == [("ok",)]
    back = world.run("restore", "latest", "--source", "app", "--to", world.root / "back.db")
    assert (back.code, dump(world.root / "back.db")) == (0, dump(world.root / "app.db"))


def test_a_copy_of_a_chain_is_of_the_point_it_is_asked_for(world: World) -> None:
    world.back_up("app")
    execute(
        world.root / "app.db",
        "DELETE FROM people WHERE id = 2",
        "UPDATE people SET phone = '+27 82 555 0000' WHERE id = 1",
    )
    world.back_up("app", kind="incremental")
    place = copied(world, "app")
    assert [key for (key,) in rows(place, "SELECT id FROM people ORDER BY id")] == [1, 3]
    assert "+27 82 555 0000" not in dump(place)


def test_rows_that_are_not_the_snapshot_s_are_found_before_they_are_masked(world: World) -> None:
    world.back_up("app")
    wiring = world.wiring()
    profile = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities()).profile()
    settings = wiring.source_settings("app")
    assert isinstance(settings, TableSettings)
    copy = MaskedCopy(settings, profile, wiring.tokenization_secret, lambda title: ())
    found = [(check.name, check.verdict, check.measured, check.expected) for check in copy.checks(profile)]
    wrong = "0 rows with another digest before they were masked"
    assert found == [(f"table {one.name}", Verdict.FAIL, wrong, f"{one.rows:,} rows") for one in profile.tables]


@pytest.mark.parametrize(
    ("form", "column", "cause"),
    [
        (
            {"people.email": {"policy": "mask", "keep_last": 2}, "chat.sender": {"policy": "mask", "keep_last": 2}},
            "people.email",
            "'mask' may leave the same in two rows, and the unique index by_email takes it once",
        ),
        (
            {"people.email": "hash", "chat.sender": {"policy": "pseudonym", "like": "email"}},
            "chat.sender",
            "it refers to people.email, which has 'hash', and it has 'pseudonym': they would differ",
        ),
        ({"people.id": "mask"}, "people.id", "'mask' as it is set takes text; the column is of the type INTEGER"),
        (
            {"chat.id": {"policy": "generalize", "bucket": 10}},
            "chat.id",
            "it is part of the primary key, and 'generalize' changes it for ever",
        ),
        (
            {"people.phone": {"policy": "generalize", "to": "city"}},
            "people.phone",
            "'generalize' to city is for columns that 'geography.tables' names for a finer level",
        ),
    ],
)
def test_a_form_that_does_not_fit_its_column_is_refused_and_nothing_is_made(
    world: World, form: dict[str, object], column: str, cause: str
) -> None:
    world.back_up("app")
    world.source["masked"] |= form
    world.save()
    place = world.root / "dev.db"
    done = world.run("restore", "--source", "app", "--to", place, "--fidelity", "masked")
    assert (done.code, done.err) == (
        MISCONFIGURED,
        f"error: unable to make a masked copy of '{column}': {cause}\n{ALLOW if 'for ever' in cause else HINT}",
    )
    assert not place.exists() and world.staged() == []


def test_a_backup_that_is_masked_for_ever_is_restored_only_where_that_is_accepted(world: World) -> None:
    world.source["policies"] = {
        "people.email": "hash",
        "people.phone": "mask",
        "chat.*": "redact",
        "people.note": "drop",
    }
    world.source["allow_breaking"] = ["people.email", "chat.id", "chat.sender"]
    world.source["policies"]["chat.id"] = "keep"
    world.save()
    world.back_up("app")
    place = world.root / "back.db"
    done = world.run("restore", "--source", "app", "--to", place)
    assert (done.code, done.err) == (
        MISCONFIGURED,
        f"error: unable to restore to '{place}': the backup is masked for ever in chat.body, chat.seen, "
        "chat.sender and 3 more: it cannot stand in for the source\n"
        "hint: where that is known and fine, say --accept-masked (accept_masked)\n",
    )
    assert not place.exists()
    assert world.run("restore", "--source", "app", "--to", place, "--accept-masked").code == 0
    assert rows(place, "SELECT phone, note FROM people WHERE id = 1") == [("+** ** *** 0143", None)]
    shown = world.run("show", "latest", "--source", "app", "--json").json["manifest"]
    assert (shown["fidelity"], len(shown["masked_columns"])) == ("masked", 6)


def test_a_dropped_column_is_in_no_archive_of_a_chain_and_its_other_columns_come_back(world: World) -> None:
    world.source["policies"] = {"people.phone": "drop", "people.email": "tokenize", "chat.*": "tokenize"}
    world.save()
    world.back_up("app")
    execute(world.root / "app.db", "DELETE FROM people WHERE id = 3", "UPDATE people SET note = 'gnu' WHERE id = 1")
    world.back_up("app", kind="incremental")
    assert world.run("verify", "latest", "--source", "app", "--full").code == 0
    place = world.root / "back.db"
    assert world.run("restore", "--source", "app", "--to", place, "--accept-masked").code == 0
    assert rows(place, "SELECT id, email, phone, note FROM people ORDER BY id") == [
        (1, EMAILS[0], None, "gnu"),
        (2, EMAILS[1], None, "xylophone"),
    ]


def test_a_tree_has_no_masked_copy(world: World) -> None:
    (world.root / "tree").mkdir()
    world.settings["sources"]["tree"] = {"type": "files", "path": "tree", "targets": ["local"]}
    world.save()
    world.back_up("tree")
    done = world.run("restore", "--source", "tree", "--to", world.root / "copy", "--fidelity", "masked")
    said = "error: unable to make a masked copy of 'tree': what is in files no policy masks\n"
    assert (done.code, done.err) == (MISCONFIGURED, said)
