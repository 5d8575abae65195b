"""An index of erased people's words does not come back with a restore: it is made anew of what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.forgotten import erased, execute, restored, rows, with_erasures
from tests.support.world import World

NAME = "bartholomew"
WORDS = (NAME, "hippocampus", "mississippi", "quetzalcoatl", "xylophonist")
STORY = " ".join([*WORDS, *(f"{letter}{number}" for letter in "abhmqxz" for number in range(2000))])
OWN = "full-text table '{}': its own texts are not searched for erased people"
VIEW = "full-text table 'search': it may have words of erased people until it is rebuilt"


def backed_up(root: Path, table: str, *more: str) -> World:
    """People with names, and a full-text table ``search`` made so; the second is to be forgotten."""
    world = World.make(root)
    execute(
        world.root / "app.db",
        "ALTER TABLE people ADD COLUMN name TEXT",
        f"UPDATE people SET name = CASE id WHEN 1 THEN 'ann' WHEN 2 THEN '{STORY}' ELSE 'cyril' END",
        *more,
        f"CREATE VIRTUAL TABLE search USING {table}",
    )
    world.source["policies"] = {}
    world.source["classes"] = {"people.email": "plain", "people.phone": "plain", "people.name": "plain"}
    return with_erasures(world)


@pytest.mark.parametrize(
    "table",
    [
        "fts5(name, content='people', content_rowid='id')",
        'FTS4(content="People", name)',
        "fts5(name, content = [people], content_rowid=id)",
    ],
)
def test_the_index_of_an_erased_table_is_made_anew(tmp_path: Path, table: str) -> None:
    world = backed_up(tmp_path / "world", table)
    execute(world.root / "app.db", "INSERT INTO search (search) VALUES ('rebuild')")
    world.back_up()
    assert restored(world, "latest", "before.db").code == 0
    assert rows(world.root / "before.db", f"SELECT rowid FROM search WHERE search MATCH '{NAME}'") == [(2,)]
    erased(world, "2")
    done = restored(world, "latest")
    assert done.code == 0, done.out
    assert rows(world.root / "back.db", f"SELECT rowid FROM search WHERE search MATCH '{NAME}'") == []
    assert rows(world.root / "back.db", "SELECT rowid FROM search WHERE search MATCH 'cyril'") == [(3,)]
    found = (world.root / "back.db").read_bytes()
    assert [word for word in WORDS if word[1:].encode() in found] == [], "it lies in pages that are free now"
    assert [one for one in done.json["warnings"] if "full-text" in one] == []


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("fts5(name)", OWN.format("search")),
        ("fts5(name, content='')", OWN.format("search")),
        ("fts5(name, content='named', content_rowid='id')", VIEW),
    ],
)
def test_one_with_texts_of_its_own_or_of_a_view_is_told(tmp_path: Path, table: str, told: str) -> None:
    world = backed_up(tmp_path / "world", table, "CREATE VIEW named AS SELECT id, name FROM people")
    world.back_up()
    assert told not in restored(world, "latest", "before.db").json["warnings"]
    erased(world, "2")
    assert told in restored(world, "latest").json["warnings"]


def test_one_that_cannot_be_made_anew_stops_the_restore(tmp_path: Path) -> None:
    """Its columns are not those of the table it names any more."""
    world = backed_up(tmp_path / "world", "fts5(nickname, content='people', content_rowid='id')")
    world.back_up()
    assert restored(world, "latest", "before.db").code == 0
    erased(world, "2")
    done = restored(world, "latest")
    assert (done.code, done.json["error"]) == (2, "DestinationUnsuitable"), done.out
    assert done.json["message"] == (
        "unable to index 'search': it has words of rows that were to be erased from 'people', and SQLite cannot make "
        "it anew here"
    )
    assert not (world.root / "back.db").exists()
