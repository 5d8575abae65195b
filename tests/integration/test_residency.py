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
