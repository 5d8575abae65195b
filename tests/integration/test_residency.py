"""Residency: rows of a zone lie only where they may, whatever way they could take; and come back all the same."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.refusal import failed
from tests.support.world import World, dump
from tests.support.zoned_world import NOTES, ZONES, archives_on, change, everywhere, read_on, zoned_world

from rlg_backup.core.errors import BackupIncomplete, ResidencyRefused
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup
from rlg_backup.engine.retention import expire


@pytest.fixture
def world(tmp_path: Path) -> World:
    return zoned_world(tmp_path / "project")


def test_rows_of_a_zone_are_in_the_archive_of_the_zone_and_on_its_targets_only(world):
    backup_id = world.back_up()
    assert archives_on(world, "eu", backup_id) == ["default", "europe"]
    assert archives_on(world, "il", backup_id) == ["default", "israel"]
    for target, zones in (("eu", ("default", "europe")), ("il", ("default", "israel"))):
        for zone in zones:
            held = read_on(world, target, backup_id, zone)
            for country, note in NOTES.items():
                assert (note.encode() in held) == (ZONES[country] == zone), (target, zone, note)


def test_what_is_counted_of_a_zone_is_in_its_archive_alone(world):
    backup_id = world.back_up()
    base = read_on(world, "il", backup_id, "default")
    assert b'"ZA"' in base and b'"IL"' not in base and b'"DE"' not in base
    assert b'"IL"' in read_on(world, "il", backup_id, "israel")


def test_a_full_backup_and_its_changes_come_back_from_both_targets(world):
    everywhere(world)
    world.back_up()
    change(world, "UPDATE accounts SET country = 'IL' WHERE note = 'xylophone'; DELETE FROM payments WHERE id < 20")
    world.back_up(kind="incremental")
    change(world, "DELETE FROM accounts WHERE note = 'hippopotamus'; INSERT INTO accounts VALUES (9, 'DE', 'zebra')")
    last = world.back_up(kind="incremental")
    done = world.run("restore", "latest", "--source", "app", "--to", str(world.root / "again.db"), "--json")
    assert done.code == 0, done.out + done.err
    place = Path(done.json["to"])
    assert done.json["backup_id"] == last and len(done.json["chain"]) == 3
    assert dump(place) == dump(world.root / "app.db")


@pytest.mark.parametrize("target", ["eu", "il"])
@pytest.mark.parametrize("how", ["--quick", "--full"])
def test_each_copy_is_verified_for_what_it_may_hold(world, target, how):
    world.back_up()
    change(world, "UPDATE accounts SET note = note || '!'; DELETE FROM payments WHERE id < 20")
    world.back_up(kind="incremental")
    done = world.run("verify", "latest", "--source", "app", "--target", target, how, "--json")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done.out
    other = {"eu": "israel", "il": "europe"}[target]
    (found,) = [check for check in done.json["checks"] if check["name"] == f"zone {other}"]
    there = {"eu": "il", "il": "eu"}[target]
    assert (found["verdict"], found["measured"]) == ("PASS", f"not here; on {there}")


def test_an_archive_that_lies_where_it_may_not_is_a_fault(world):
    backup_id = world.back_up()
    stray = world.target("eu") / "app" / backup_id / "israel.zip.age"
    shutil.copy(world.target("il") / "app" / backup_id / "israel.zip.age", stray)
    done = world.run("verify", backup_id, "--source", "app", "--target", "eu", "--json")
    assert (done.code, done.json["verdict"]) == (1, "FAIL")
    (found,) = [check for check in done.json["checks"] if check["verdict"] == "FAIL"]
    assert (found["name"], found["measured"]) == ("zone israel", "it lies where it may not")


def test_nothing_is_committed_where_a_zone_has_no_copy(world):
    shutil.rmtree(world.target("il"), ignore_errors=True)
    world.target("il").write_text("a file where the target is to be")
    with pytest.raises(BackupIncomplete) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert caught.value.cause.startswith("no target that may hold the zone 'israel' has a copy (il: unable to ")
    assert world.records("eu") == []


def test_no_restore_goes_where_a_zone_may_not_lie(world):
    world.back_up()
    israel, base = "rows of the zone 'israel'", "rows that no zone names"
    for here, said in (
        ("EU", f"{israel} may not lie in 'EU'"),
        (None, f"{base} may not lie in a jurisdiction that nobody named"),
    ):
        world.settings["residency"]["here"] = here
        world.save()
        done = world.run("restore", "latest", "--source", "app", "--to", "again.db")
        failed(
            done,
            2,
            f"unable to restore to '{Path('again.db').absolute()}': {said}\n"
            "hint: restore where they may, or correct 'residency.here'",
        )


def test_a_restore_from_a_target_that_lacks_a_zone_says_so(world):
    everywhere(world)
    backup_id = world.back_up()
    done = world.run("restore", "latest", "--source", "app", "--target", "eu", "--to", "again.db")
    failed(
        done,
        2,
        f"unable to fetch 'app/{backup_id}/israel.zip.age': rows of the zone 'israel' may not lie on target 'eu'\n"
        "hint: name no target: each archive is taken from where it may lie",
    )


def test_whoever_asks_a_target_does_not_store_there_what_may_not_lie_there(world):
    backup_id = world.back_up()
    storage = world.wiring().storage("eu")
    for put in (
        lambda key: storage.put_bytes(key, b"x"),
        lambda key: storage.put_file(key, world.config, sha256="0" * 64),
    ):
        with pytest.raises(ResidencyRefused) as caught:
            put(f"app/{backup_id}/israel.zip.age")
        assert str(caught.value) == (
            f"unable to store 'app/{backup_id}/israel.zip.age': rows of the zone 'israel' may not lie on target 'eu', "
            "in 'EU'\nhint: see 'residency' in docs/configuration.md"
        )


def test_a_new_target_gets_what_it_may_hold_from_wherever_that_lies(world):
    backup_id = world.back_up()
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second", "jurisdiction": "IL"}
    world.source["targets"] = ["eu", "second", "il"]
    world.save()
    done = world.run("replicate", "app")
    assert done.code == 0, done.out + done.err
    assert archives_on(world, "second", backup_id) == ["default", "israel"]
    assert world.run("verify", backup_id, "--source", "app", "--target", "second", "--full").code == 0


def test_a_damaged_zone_is_mended_from_a_target_of_the_zone(world):
    world.settings["targets"]["second"] = {"type": "local", "path": "backups-second", "jurisdiction": "IL"}
    world.source["targets"] = ["eu", "second", "il"]
    world.save()
    backup_id = world.back_up()
    place = world.target("il") / "app" / backup_id / "israel.zip.age"
    place.chmod(0o600)
    place.write_bytes(b"rotten")
    done = world.run("verify", "--all", "--source", "app")
    assert done.code == 0, done.out + done.err
    assert place.read_bytes() == (world.target("second") / "app" / backup_id / "israel.zip.age").read_bytes()
    assert archives_on(world, "eu", backup_id) == ["default", "europe"]


def test_expired_zones_are_removed_with_the_rest(world):
    old = world.back_up_ago(120)
    for days in (95, 65, 35, 5, 0):
        world.back_up_ago(days)
    for days in (0, 8):
        wiring = world.wiring(clock=lambda days=days: datetime.now(UTC) + timedelta(days=days))
        assert [expire(wiring, "app", target).error for target in ("eu", "il")] == [None, None]
    assert archives_on(world, "eu", old) == archives_on(world, "il", old) == []


def test_a_place_that_the_source_does_not_list_is_refused_before_anything_is_stored(world):
    world.settings["residency"]["zones"]["israel"]["country"] = ["ISR"]
    world.save()
    done = world.run("backup", "--source", "app")
    failed(
        done,
        2,
        "unable to use 'residency.zones.israel.country': the table 'countries' of the source has no country 'ISR'\n"
        "hint: name the codes that are there",
    )
    assert not any(name.endswith(".age") for target in ("eu", "il") for name in world.objects(target))


def test_a_source_without_geography_goes_where_every_zone_may_unless_it_names_its_own(world):
    del world.source["geography"], world.source["zone"], world.source["totals"]
    world.save()
    done = world.run("backup", "--source", "app")
    assert done.code == 2
    assert "no target of the source 'app' may hold what no zone names (sources.app.zone)" in done.err
    world.source["zone"] = "europe"
    world.save()
    backup_id = world.back_up()
    assert archives_on(world, "eu", backup_id) == ["default"]
    assert archives_on(world, "il", backup_id) == []


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (
            lambda s: s["residency"]["zones"]["israel"].update(jurisdictions=["XX"]),
            "'zones.israel.jurisdictions' names 'XX', which 'jurisdictions' does not have",
        ),
        (
            lambda s: s["residency"]["zones"]["europe"].update(country=["IL"]),
            "the country 'IL' is in the zones 'israel' and 'europe'",
        ),
        (
            lambda s: s["residency"].update(here="XX"),
            "'here' names 'XX', which 'jurisdictions' does not have",
        ),
        (
            lambda s: s["residency"]["zones"].update(default={"jurisdictions": ["EU"]}),
            "no zone may be called 'default'",
        ),
        (
            lambda s: s["targets"]["eu"].pop("jurisdiction"),
            "the target 'eu' names no jurisdiction of 'residency.jurisdictions'",
        ),
        (
            lambda s: s["targets"]["il"].update(jurisdiction="EU"),
            "no target of the source 'app' may hold rows of the zone 'israel'",
        ),
        (
            lambda s: s["sources"]["app"].update(zone="mars"),
            "the source 'app' names the zone 'mars', which 'residency.zones' does not have",
        ),
        (
            lambda s: s["residency"]["zones"]["israel"].update(town=["1"]),
            "zones name places of the level 'town', which the source 'app' does not tell",
        ),
        (
            lambda s: s["sources"]["app"]["geography"]["tables"].update(visits={"region": "region"}),
            "the table 'visits' of the source 'app' tells no more than a region, and zones name places of the level "
            "'country'",
        ),
        (
            lambda s: s.update(retention={"targets": {"eu": {"full": "7 years"}}}),
            "the targets of the source 'app' keep its backups for different times, and none of them has every zone",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(world, break_it, said):
    break_it(world.settings)
    world.save()
    done = world.run("list")
    assert done.code == 2
    assert said in done.err, done.err


def test_a_drill_goes_only_where_rows_may_lie(world):
    world.back_up()
    world.settings["drill"] = {"scratch": "scratch", "reports": "reports"}
    world.save()
    done = world.run("drill", "--source", "app", "--json")
    assert (done.code, done.json["verdict"]) != (0, "PASS")
    assert "rows of the zone 'israel' may not lie in 'EU'" in done.out
    assert not list((world.root / "scratch").rglob("*.db"))


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
