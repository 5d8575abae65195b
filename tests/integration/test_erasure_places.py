"""What is left of rows by place once a subject was erased: in the report, and in what suites compare a copy with."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.forgotten import erased, restored, rows, with_erasures
from tests.support.world import World
from tests.support.zoned_world import change, everywhere, zoned_world

from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.erasure import ErasedRows, to_compare
from rlg_backup.engine.restore_points import choose
from rlg_backup.format.profile import TableProfile


def test_rows_that_lie_in_an_archive_of_their_zone_are_left_out_and_counted_by_country(tmp_path: Path) -> None:
    world = zoned_world(tmp_path / "world")
    everywhere(world)
    with_erasures(world, table="accounts", tables={"payments": {"through": "account"}})
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    world.back_up()
    erased(world, "1", "3")  # of Israel, in an archive of its own, and of South Africa
    done = restored(world, "latest")
    assert done.code == 0, done.out
    assert rows(world.root / "back.db", "SELECT country, count(*) FROM accounts GROUP BY 1 ORDER BY 1") == [
        (None, 1),
        ("DE", 1),
    ]
    assert done.json["erased"]["payments"] == {
        "deleted": 100,
        "anonymized": 0,
        "places": {"region": {"sadc": 50, "special": 50}, "country": {"IL": 50, "ZA": 50}},
    }


def less(world: World) -> dict[str, TableProfile]:
    """The tables of a restore of the latest backup, as suites compare them."""
    done = restored(world, "latest")
    assert done.code == 0, done.out
    wiring = world.wiring()
    chosen = choose(wiring, "app")
    profile = open_remote(wiring, chosen, wiring.identities(), everywhere=True).profile()
    erased_rows = {title: ErasedRows(**one) for title, one in done.json["erased"].items()}
    return {table.name: table for table in to_compare(wiring, "app", profile, erased_rows).tables}


def test_what_the_suites_compare_with_is_less_by_country_and_knows_no_town(tmp_path: Path) -> None:
    """Rows that stay and lost what placed them count as without a place; how one town differs would tell who left."""
    world = zoned_world(tmp_path / "world")
    everywhere(world)
    payments = {"payments": {"through": "account", "action": "anonymize", "columns": ["cents"]}}
    with_erasures(world, table="accounts", tables=payments)
    world.back_up()
    erased(world, "2")
    left = less(world)
    assert left["accounts"].geography == {
        "region": {"": 1, "sadc": 1, "special": 1},
        "country": {"": 1, "IL": 1, "ZA": 1},
    }
    assert left["payments"].geography == {
        "region": {"": 100, "sadc": 50, "special": 50},
        "country": {"": 100, "IL": 50, "ZA": 50},
    }
    assert (left["payments"].rows, left["payments"].totals) == (200, {})


def test_rows_that_lose_the_column_that_places_them_count_as_without_a_place(tmp_path: Path) -> None:
    world = zoned_world(tmp_path / "world")
    everywhere(world)
    with_erasures(world, table="accounts", action="anonymize", columns=["country", "note"], tables={})
    world.back_up()
    erased(world, "2")
    left = less(world)["accounts"].geography
    place = {"": 2, "IL": 1, "ZA": 1}
    assert left == {"region": {"": 2, "sadc": 1, "special": 1}, "country": place}
    found = rows(world.root / "back.db", "SELECT coalesce(country, ''), count(*) FROM accounts GROUP BY 1")
    assert dict(found) == place


@pytest.mark.parametrize(
    ("rule", "meanwhile"),
    [
        pytest.param({"action": "anonymize", "columns": ["country"], "tables": {}}, "", id="through-a-row-moved"),
        pytest.param({"tables": {}}, "", id="through-a-row-gone"),
        pytest.param(
            {"tables": {"payments": {"through": "account"}}},
            "UPDATE accounts SET country = 'ZA' WHERE id = 2",
            id="saved-elsewhere",
        ),
    ],
)
def test_suites_compare_no_rows_by_place_where_nobody_can_tell_it(
    tmp_path: Path, rule: dict[str, object], meanwhile: str
) -> None:
    world = zoned_world(tmp_path / "world")
    everywhere(world)
    with_erasures(world, table="accounts", **rule)
    change(world, "CREATE TABLE p AS SELECT * FROM payments; DROP TABLE payments; ALTER TABLE p RENAME TO payments")
    world.back_up()
    change(world, meanwhile)
    world.back_up(kind="incremental")
    erased(world, "2")
    left = less(world)
    assert (left["payments"].geography, left["accounts"].geography is None) == (None, False)
