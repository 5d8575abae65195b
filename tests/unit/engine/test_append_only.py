"""Tables declared append-only: only their keys and what is new are read; what cannot be one is refused."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.support.compare import assert_databases_equal
from tests.support.world import World

from rlg_backup.core.errors import InvalidSetting
from rlg_backup.core.model import Kind
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore_points import choose


@pytest.fixture
def journal(tmp_path: Path) -> World:
    world = World.make(tmp_path / "world")
    change(
        world,
        "CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT)",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " INSERT INTO journal (note) SELECT 'entry ' || i FROM n",
    )
    world.source["append_only"] = ["journal"]
    world.save()
    world.back_up()
    return world


def change(world: World, *statements: str) -> None:
    connection = sqlite3.connect(world.root / "app.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def saved(world: World) -> tuple[int, int]:
    """Rows of the journal that an incremental backup made now says came and went."""
    wiring = world.wiring()
    done = backup(wiring, "app", Kind.INCREMENTAL)
    assert (done.kind, done.complete) == ("incremental", True)
    profile = open_remote(wiring, choose(wiring, "app", done.backup_id), wiring.identities()).profile()
    (table,) = [table for table in profile.tables if table.name == "journal"]
    assert table.change is not None
    return table.change.rows, table.change.removed_rows


def test_what_was_appended_and_what_was_deleted_is_saved_and_comes_back(journal: World) -> None:
    assert saved(journal) == (0, 0)
    change(journal, "INSERT INTO journal (note) VALUES ('one'), ('two')", "DELETE FROM journal WHERE id % 100 = 0")
    assert saved(journal) == (2, 10)
    change(journal, "DELETE FROM journal WHERE id > 1000", "INSERT INTO journal (note) VALUES ('three')")
    assert saved(journal) == (1, 2)
    place = journal.root / "again.db"
    done = journal.run("restore", "latest", "--source", "app", "--to", place)
    assert done.code == 0, done.out + done.err
    assert_databases_equal(journal.root / "app.db", place)


def test_after_a_file_that_was_put_back_from_a_copy_gives_keys_again_a_full_backup_is_made(journal: World) -> None:
    place, old = journal.root / "app.db", journal.root / "old.db"
    shutil.copy(place, old)
    change(journal, "INSERT INTO journal (note) VALUES ('lost')")
    assert saved(journal) == (1, 0)
    old.replace(place)
    change(journal, "INSERT INTO journal (note) VALUES ('in its place')")
    done = backup(journal.wiring(), "app", Kind.INCREMENTAL)
    assert (done.kind, done.warnings[0]) == (
        "full",
        "full instead of incremental: "
        "the database file is another one than at the backup before: it was put back, or replaced",
    )


def test_a_row_that_was_changed_all_the_same_is_not_looked_at_before_the_next_full(journal: World) -> None:
    """That is what was declared: the rows themselves are not read."""
    change(journal, "UPDATE journal SET note = 'changed' WHERE id = 5")
    assert saved(journal) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"append_only": ["nothing"]},
         "append_only.nothing': there is no such table\nhint: correct the name, or take it out"),
        ({"append_only": ["people"]},
         "append_only.people': its keys may be given twice: it has no INTEGER PRIMARY KEY AUTOINCREMENT\n"
         "hint: take it out"),
        ({"geography": {"levels": {"region": {"table": "journal", "key": "note"}}}},
         "append_only.journal': it has geography, for which all its rows are read\n"
         "hint: take it out of one of the two"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_one_is_refused(journal: World, settings: dict[str, object], text: str) -> None:
    journal.source.update(settings)
    journal.save()
    with pytest.raises(InvalidSetting) as caught:
        backup(journal.wiring(), "app", Kind.FULL)
    assert str(caught.value) == f"unable to use '{text}"


def test_a_table_with_totals_is_refused_when_the_settings_are_read(journal: World) -> None:
    journal.source["totals"] = {"journal": ["id"]}
    journal.save()
    assert (
        "the table 'journal' has totals, for which all rows are read: it cannot be append_only"
        in journal.run("list").err
    )
