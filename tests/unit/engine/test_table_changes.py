"""What an incremental backup saves of tables whose rows are told apart by their numbers."""

from __future__ import annotations

import sqlite3

import pytest
from tests.support.world import World, dump

from rlg_backup.core.model import Kind
from rlg_backup.engine import tracking
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.backup import backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import choose
from rlg_backup.format.profile import Change

ORDERS = 100  # rows


def change(world: World, *statements: str) -> None:
    connection = sqlite3.connect(world.root / "app.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def saved(world: World, kind: Kind) -> dict[str, Change | None]:
    """Backs up, restores, and gives what is saved of each table."""
    wiring = world.wiring()
    done = backup(wiring, "app", kind)
    assert (done.complete, done.kind) == (True, kind.value), done.warnings
    place = world.root / f"back-{done.backup_id}.db"
    restore(wiring, "app", done.backup_id, str(place))
    assert dump(place) == dump(world.root / "app.db")
    profile = open_remote(wiring, choose(wiring, "app", done.backup_id), wiring.identities()).profile()
    for table in profile.tables:
        assert len(table.members) == (0 if table.change is not None and not table.change.rows else 1)
    return {table.name: table.change for table in profile.tables}


def changes(rows: int, removed: int, table: str) -> Change:
    names = tuple(f"removed/main.{table}/part-{place:05d}.parquet" for place in range(1 if removed else 0))
    return Change(rows=rows, removed=names, removed_rows=removed)


def test_rows_that_came_are_saved_and_of_those_that_went_their_numbers(world: World) -> None:
    assert saved(world, Kind.FULL) == {"people": None, "orders": None}
    change(world, "UPDATE orders SET cents = 1 WHERE id < 3", "DELETE FROM orders WHERE id = 50")
    change(world, "INSERT INTO orders (cents) VALUES (5)")
    assert saved(world, Kind.INCREMENTAL) == {"people": changes(0, 0, "people"), "orders": changes(3, 3, "orders")}
    assert saved(world, Kind.INCREMENTAL) == {"people": changes(0, 0, "people"), "orders": changes(0, 0, "orders")}
    assert saved(world, Kind.DIFFERENTIAL) == {"people": changes(0, 0, "people"), "orders": changes(3, 3, "orders")}


def test_a_table_that_is_emptied_leaves_numbers_alone_and_one_that_was_empty_none(world: World) -> None:
    change(world, "CREATE TABLE hollow (v)")
    saved(world, Kind.FULL)
    change(world, "DELETE FROM orders", "INSERT INTO hollow VALUES (1), (1), (NULL)")
    found = saved(world, Kind.INCREMENTAL)
    assert (found["orders"], found["hollow"]) == (changes(0, ORDERS, "orders"), changes(3, 0, "hollow"))


def test_a_table_of_another_definition_is_saved_whole(world: World) -> None:
    saved(world, Kind.FULL)
    change(world, "ALTER TABLE orders ADD COLUMN note TEXT DEFAULT 'x'")
    assert saved(world, Kind.INCREMENTAL) == {"people": changes(0, 0, "people"), "orders": None}
    assert saved(world, Kind.INCREMENTAL)["orders"] == changes(0, 0, "orders")


def test_a_table_under_another_policy_is_saved_whole(world: World) -> None:
    saved(world, Kind.FULL)
    world.source["policies"]["people.note"] = "tokenize"
    world.save()
    assert saved(world, Kind.INCREMENTAL) == {"people": None, "orders": changes(0, 0, "orders")}


@pytest.mark.parametrize(("most", "expected"), [(ORDERS, changes(0, 0, "orders")), (ORDERS - 1, None)])
def test_a_table_of_more_rows_than_fit_in_memory_is_saved_whole(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int, expected: Change | None
) -> None:
    monkeypatch.setattr(tracking, "BAG_ROWS", most)
    saved(world, Kind.FULL)
    assert saved(world, Kind.INCREMENTAL) == {"people": changes(0, 0, "people"), "orders": expected}


def test_a_table_of_which_more_rows_went_than_it_has_is_saved_whole_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore holds the numbers of all that went in memory."""
    monkeypatch.setattr(tracking, "FEW", 0)
    saved(world, Kind.FULL)
    for whole in (False, False, True, False):
        change(world, "UPDATE orders SET cents = cents + 1")
        found = saved(world, Kind.INCREMENTAL)["orders"]
        assert (found is None) == whole, (found, whole)


def test_parts_of_the_numbers_that_went_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "PART_ROWS", 30)
    saved(world, Kind.FULL)
    change(world, "DELETE FROM orders WHERE id <= 70")
    found = saved(world, Kind.INCREMENTAL)["orders"]
    names = tuple(f"removed/main.orders/part-{place:05d}.parquet" for place in range(3))
    assert found == Change(rows=0, removed=names, removed_rows=70)
