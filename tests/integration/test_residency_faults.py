"""Residency where something is not as it should be: torn commits, zones that change, places nobody decided about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.refusal import failed
from tests.support.world import World, dump
from tests.support.zoned_world import archives_on, change, everywhere, zoned_world

from rlg_backup.core.errors import BackupIncomplete
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.retention import expire


@pytest.fixture
def world(tmp_path: Path) -> World:
    return zoned_world(tmp_path / "project")


def test_original_values_in_the_archive_of_a_zone_are_found_as_anywhere(world):
    change(
        world, "ALTER TABLE payments ADD COLUMN memo TEXT; UPDATE payments SET memo = 'hippopotamus' WHERE account = 1"
    )
    world.source["policies"] = {"accounts.note": "tokenize"}
    world.source["on_leak"] = "fail"
    world.save()
    done = world.run("backup", "--source", "app")
    assert done.code == 1
    assert "payments.memo: original values of accounts.note in 50 of 50" in done.err


def torn_commit(world: World) -> BackupIncomplete | str:
    """A commit while target ``il`` cannot be written to, after its copy was validated."""
    wiring = world.wiring()
    reference = steps.stage(wiring, "app", Kind.FULL, run="torn")
    for step in (steps.snapshot, steps.anonymize, steps.encrypt, steps.checksum):
        reference = step(wiring, reference)
    for target in ("eu", "il"):
        reference = steps.validate(wiring, steps.upload(wiring, reference, target), target)
    catalog = world.target("il") / "catalog"
    catalog.rename(world.root / "aside")
    catalog.write_text("a file where the catalog was")
    try:
        steps.commit(wiring, reference)
    except BackupIncomplete as error:
        return error
    finally:
        catalog.unlink()
        steps.wipe(wiring, reference)
    return reference.backup_id


def test_a_commit_that_fails_where_a_zone_has_its_only_copy_leaves_nothing_listed(world):
    """That target is asked first."""
    world.settings["residency"]["zones"]["europe"]["jurisdictions"] = ["EU", "IL"]
    world.save()
    error = torn_commit(world)
    assert isinstance(error, BackupIncomplete)
    assert error.cause.startswith("no target that may hold the zone 'israel' has a copy (il: unable to ")
    assert world.records("eu") == []


def test_where_two_targets_have_a_zone_each_a_commit_on_one_is_restored_from_both_and_completed(world):
    everywhere(world)
    backup_id = torn_commit(world)
    assert (len(world.records("eu")), len(world.records("il"))) == (1, 0)
    later = world.wiring(clock=lambda: datetime.now(UTC) + timedelta(days=5))
    assert expire(later, "app", "il").error is None  # what lies there uncommitted is needed
    done = world.run("restore", "latest", "--source", "app", "--to", str(world.root / "again.db"))
    assert done.code == 0, done.err
    assert dump(world.root / "again.db") == dump(world.root / "app.db")
    assert world.run("replicate", "app").code == 0
    assert world.run("verify", str(backup_id), "--source", "app", "--target", "il", "--full").code == 0


def test_zones_that_are_others_now_make_a_full_backup_and_old_ones_are_read_as_they_are(world):
    everywhere(world)
    old = world.back_up()
    zones = world.settings["residency"]["zones"]
    zones["il"] = zones.pop("israel")
    world.save()
    done = world.run("backup", "--source", "app", "--kind", "incremental", "--json")
    assert (done.code, done.json[0]["kind"]) == (0, "full")
    assert any("was made when the zones were others" in warning for warning in done.json[0]["warnings"])
    assert archives_on(world, "il", done.json[0]["backup_id"]) == ["default", "il"]
    found = world.run("verify", old, "--source", "app", "--target", "il", "--json")
    assert (found.code, found.json["verdict"]) == (3, "COULD-NOT-VERIFY")
    again = world.run("restore", old, "--source", "app", "--to", str(world.root / "again.db"))
    assert again.code == 0, again.err
    assert dump(world.root / "again.db") == dump(world.root / "app.db")


def test_what_was_stored_before_there_were_zones_is_copied_nowhere(world):
    residency = world.settings.pop("residency")
    zone = world.source.pop("zone")
    world.save()
    world.back_up()
    world.settings["residency"] = residency
    world.source["zone"] = zone
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second", "jurisdiction": "EU"}
    world.source["targets"] = ["eu", "il", "second"]
    world.save()
    done = world.run("replicate", "app")
    assert "its rows were put into archives by other zones than those of the configuration" in done.out + done.err
    assert not any(name.endswith(".age") for name in world.objects("second"))
    refused = world.run("restore", "latest", "--source", "app", "--to", "again.db")
    assert refused.code == 2 and "rows that no zone names may not lie in 'EU'" in refused.err


def test_a_worker_whose_file_lacks_the_zones_mends_and_restores_nothing_of_them(world):
    backup_id = world.back_up()
    for name in ("residency",):
        world.settings.pop(name)
    world.source.pop("zone")
    world.save()
    assert world.run("verify", "--all", "--source", "app").code == 3
    assert archives_on(world, "eu", backup_id) == ["default", "europe"]
    assert archives_on(world, "il", backup_id) == ["default", "israel"]
    done = world.run("restore", "latest", "--source", "app", "--to", "again.db")
    assert done.code == 2 and "may not lie in a jurisdiction that nobody named" in done.err


def test_a_place_that_nobody_lists_stops_the_run_and_is_not_named(world):
    change(world, "PRAGMA foreign_keys = off; UPDATE accounts SET country = 'il' WHERE country = 'IL'")
    done = world.run("backup", "--source", "app")
    failed(
        done,
        2,
        "unable to save 'accounts': rows of 1 country codes that the source does not list: they may be of any zone\n"
        "hint: correct them, as the table of the level 'country' has them",
    )


def test_a_table_that_does_not_say_where_its_rows_belong_stops_the_run_until_it_is_decided(world):
    change(world, "CREATE TABLE visits (id INTEGER PRIMARY KEY, account INTEGER)")
    done = world.run("backup", "--source", "app")
    failed(
        done,
        2,
        "unable to save 'visits': it does not say where its rows belong, and the configuration has zones\n"
        "hint: give its way in 'geography.tables', or name it in 'placeless'",
    )
    world.source["placeless"] = ["visi*"]
    world.save()
    world.back_up()


def test_a_source_of_one_zone_is_restored_where_that_zone_may_lie(world):
    del world.source["geography"], world.source["totals"]
    world.source["zone"] = "europe"
    world.source["targets"] = ["eu"]
    world.save()
    world.back_up()
    done = world.run("restore", "latest", "--source", "app", "--to", str(world.root / "again.db"))
    assert done.code == 0, done.err


def test_a_copy_that_may_not_hold_what_no_zone_names_is_verified_all_the_same(world):
    world.source["zone"] = "israel"
    world.save()
    backup_id = world.back_up()
    assert archives_on(world, "eu", backup_id) == ["europe"]
    done = world.run("verify", backup_id, "--source", "app", "--target", "eu", "--full", "--json")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done.out


def test_a_zone_that_lies_nowhere_any_more_is_a_fault_of_every_copy(world):
    backup_id = world.back_up()
    (world.target("il") / "app" / backup_id / "israel.zip.age").unlink()
    done = world.run("verify", backup_id, "--source", "app", "--target", "eu", "--json")
    (found,) = [check for check in done.json["checks"] if check["name"] == "zone israel"]
    assert (done.code, found["verdict"], found["measured"]) == (1, "FAIL", "it is not on il")


def test_without_zones_a_level_may_be_left_out(world):
    del world.settings["residency"], world.source["zone"]
    world.source["exclude"] = ["countries"]
    world.save()
    world.back_up()
