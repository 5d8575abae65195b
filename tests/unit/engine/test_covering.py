"""A column in which the leak check finds personal data is tokenized whole: it neither leaks nor stops the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.world import EMAILS, World, dump, holds_any
from tests.support.zoned_world import everywhere, read_on, zoned_world
from tests.unit.engine.test_steps import run_through
from tests.unit.engine.test_undecided import (
    TOKENIZED,
    WAY_OUT,
    assert_restored,
    change,
    configured,
    people,
    policy,
    stored_text,
    told,
)

from rlg_backup.core.errors import LeakFound
from rlg_backup.core.model import Kind
from rlg_backup.engine import steps
from rlg_backup.engine.backup import backup, result
from rlg_backup.engine.verify import verify
from rlg_backup.engine.wiring import Wiring

MANY = "INSERT INTO people (email, note) SELECT 'p' || id || '@example.org', 'word ' || id FROM orders"
LEAK = "UPDATE people SET note = 'write to ' || email || ' please' WHERE id = 1"
WARNING = (
    "tokenized without a policy: people.note (original values of people.email in 1 of {}); "  # of the values looked at
    f"{WAY_OUT}"
)
LEAKED = EMAILS[0].encode()


@pytest.fixture
def chatty(world: World) -> World:
    """A hundred people with notes; the leak is too rare for a sample to say what the column is."""
    change(world, MANY)
    return world


def proven(wiring: Wiring, backup_id: str) -> str:
    return verify(wiring, "app", backup_id, full=True).verdict.value


def test_one_text_with_an_original_value_is_tokenized_with_its_whole_column(chatty: World) -> None:
    change(chatty, LEAK)
    done = backup(chatty.wiring(), "app", Kind.FULL)
    assert (done.complete, told(done)) == (True, [WARNING.format(103)])
    assert not [warning for warning in done.warnings if warning.startswith("personal data")]  # in clear, that is
    table = people(chatty, done)
    assert (policy(table, "note"), dict(table.detected)) == ("tokenize", {"note": "original"})
    stored = stored_text(chatty, done)
    assert (LEAKED in stored, b"word 50" in stored) == (False, False)
    assert proven(chatty.wiring(), done.backup_id) == "PASS"
    assert_restored(chatty, done)


def test_a_leak_in_an_incremental_backup_is_covered_and_the_chain_goes_on_with_it(chatty: World) -> None:
    backup(chatty.wiring(), "app", Kind.FULL)
    change(chatty, LEAK)
    first = backup(chatty.wiring(), "app", Kind.INCREMENTAL)
    table = people(chatty, first)
    assert (first.kind, table.change and table.change.rows, policy(table, "note")) == ("incremental", 1, "tokenize")
    assert told(first) == [WARNING.format("1 and email in 1 of 1")]
    assert LEAKED not in stored_text(chatty, first)
    assert_restored(chatty, first)
    change(chatty, "UPDATE people SET note = 'another' WHERE id = 50")
    second = backup(chatty.wiring(), "app", Kind.INCREMENTAL)
    table = people(chatty, second)
    assert (second.kind, table.change and table.change.rows, policy(table, "note")) == ("incremental", 1, "tokenize")
    assert told(second) == [f"tokenized without a policy: people.note (original, found by the run before); {WAY_OUT}"]
    assert b"another" not in stored_text(chatty, second)
    assert_restored(chatty, second)


def test_a_leak_in_a_zones_own_archive_is_covered_there(tmp_path: Path) -> None:
    world = zoned_world(tmp_path / "world")
    change(
        world,
        "ALTER TABLE accounts ADD COLUMN email TEXT",
        "INSERT INTO accounts (country, note) SELECT 'ZA', 'word ' || id FROM payments",
        "UPDATE accounts SET email = 'p' || id || '@example.org'",
        "UPDATE accounts SET note = 'hippopotamus p99@example.org' WHERE country = 'IL'",
    )
    configured(world, policies={"accounts.email": "tokenize"})
    done = backup(world.wiring(), "app", Kind.FULL)
    assert [line.split(" (")[0] for line in told(done)] == ["tokenized without a policy: accounts.note"]
    held = [read_on(world, "il", done.backup_id, zone) for zone in ("default", "israel")]
    assert [b"hippopotamus" in data or b"word 50" in data for data in held] == [False, False]
    everywhere(world)
    again = world.run("restore", done.backup_id, "--source", "app", "--to", world.root / "again.db", "--json")
    assert again.code == 0, again.out + again.err
    assert dump(Path(again.json["to"])) == dump(world.root / "app.db")


def test_a_kind_that_the_sample_missed_is_covered(world: World) -> None:
    """Rows of 1,000 that are looked at before; of all rows after."""
    change(
        world,
        "CREATE TABLE log (id INTEGER PRIMARY KEY, entry TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) INSERT INTO log "
        "SELECT i, CASE WHEN i BETWEEN 300 AND 700 THEN 'from u' || i || '@mail.example.org' ELSE 'x' END FROM n",
    )
    done = backup(world.wiring(), "app", Kind.FULL)
    assert told(done) == [f"tokenized without a policy: log.entry (email in 401 of 9000); {WAY_OUT}"]
    assert b"u500@mail.example.org" not in stored_text(world, done)
    assert_restored(world, done)


def test_a_text_that_is_scrubbed_and_still_holds_an_original_is_tokenized_whole(chatty: World) -> None:
    """A name has no shape: what scrubbing leaves of it the check finds."""
    change(
        chatty,
        "ALTER TABLE people ADD COLUMN full_name TEXT",
        "UPDATE people SET full_name = 'Zanele Mbatha-Okonkwo ' || id",
        "UPDATE people SET note = 'from Zanele Mbatha-Okonkwo 7, zanele@example.org' WHERE id = 7",
    )
    policies = {**chatty.source["policies"], "people.full_name": "tokenize", "people.note": "scrub"}
    done = backup(configured(chatty, policies=policies).wiring(), "app", Kind.FULL)
    assert policy(people(chatty, done), "note") == "tokenize"
    assert b"Mbatha" not in stored_text(chatty, done)
    assert_restored(chatty, done)


def test_personal_data_in_definitions_is_told(chatty: World) -> None:
    change(chatty, f"CREATE VIEW mine AS SELECT * FROM people WHERE email = '{EMAILS[0]}' OR note = 'a@b.example'")
    done = backup(chatty.wiring(), "app", Kind.FULL)
    hits = [warning.rpartition(" in ")[0] for warning in done.warnings if warning.startswith("personal data")]
    assert hits == [f"personal data: definitions: {what}" for what in ("email", "original values of people.email")]
    assert (done.complete, told(done)) == (True, [])


def test_a_key_that_json_has_since_last_night_is_not_saved_in_clear(chatty: World) -> None:
    note = "json_object('email', 'e' || id || '@k.example', 'tel', '+27 11 555 ' || (1000 + id))"
    change(chatty, "UPDATE people SET note = json_object('email', 'e' || id || '@k.example')")
    policies = {**chatty.source["policies"], "people.note": {"policy": "tokenize", "paths": ["$.email"]}}
    wiring = configured(chatty, policies=policies).wiring()
    assert told(backup(wiring, "app", Kind.FULL)) == []
    change(chatty, f"UPDATE people SET note = {note} WHERE id < 3")
    done = backup(wiring, "app", Kind.FULL)
    assert (told(done), done.warnings[-1]) == ([], "personal data: people.note: phone in 2 of 103")
    change(chatty, f"UPDATE people SET note = {note} WHERE id < 50")
    done = backup(wiring, "app", Kind.FULL)
    assert told(done) == [f"{TOKENIZED}people.note (phone in 49 of 103); {WAY_OUT}"]
    assert policy(people(chatty, done), "note") == "tokenize"
    assert b"555 1049" not in stored_text(chatty, done)
    assert_restored(chatty, done)


def test_a_column_that_is_masked_for_ever_is_not_covered(chatty: World) -> None:
    change(chatty, "UPDATE people SET note = 'more letters than the address has: ' || email")
    policies = {**chatty.source["policies"], "people.note": {"policy": "mask", "keep_last": 64}}
    with pytest.raises(LeakFound) as caught:
        backup(configured(chatty, policies=policies).wiring(), "app", Kind.FULL, run="run-1")
    assert str(caught.value) == (
        "unable to go on with 'run-1/app': staged columns hold personal data in clear: "
        "people.note: original values of people.email in 103 of 103\n"
        "hint: give each a policy, or accept it by name in 'personal_text_allowed'; nothing was uploaded"
    )


def test_nobody_stops_backups_by_calling_himself_what_a_policy_leaves_of_others(chatty: World) -> None:
    change(
        chatty,
        "ALTER TABLE people ADD COLUMN nick TEXT",
        "UPDATE people SET nick = CASE id WHEN 7 THEN 'removed' WHEN 8 THEN '0532013000' ELSE 'nick ' || id END",
        "ALTER TABLE people ADD COLUMN account TEXT",
        "UPDATE people SET account = 'DE8937040044' || CASE id WHEN 9 THEN '0532013000' ELSE 9000000000 + id END",
    )
    policies = {
        **chatty.source["policies"],
        "people.nick": "tokenize",
        "people.note": {"policy": "redact", "to": "removed"},
        "people.account": {"policy": "mask", "keep_last": 10},
    }
    done = backup(configured(chatty, policies=policies).wiring(), "app", Kind.FULL)
    assert (done.complete, told(done)) == (True, [])
    hits = [warning for warning in done.warnings if warning.startswith("personal data")]
    assert hits == ["personal data: people.account: original values of people.nick in 1 of 103"]


def test_nobody_stops_backups_by_calling_himself_a_region(chatty: World) -> None:
    change(
        chatty,
        "CREATE TABLE regions (code TEXT PRIMARY KEY)",
        "CREATE TABLE countries (code TEXT PRIMARY KEY, region TEXT)",
        "INSERT INTO regions VALUES ('africa'), ('europe')",
        "INSERT INTO countries VALUES ('ZA', 'africa'), ('DE', 'europe')",
        "ALTER TABLE people ADD COLUMN nick TEXT",
        "ALTER TABLE people ADD COLUMN country TEXT DEFAULT 'ZA'",
        "UPDATE people SET nick = 'africa' WHERE id = 7",
    )
    levels = {"region": {"table": "regions", "key": "code"}}
    levels["country"] = {"table": "countries", "key": "code", "parent": "region"}
    geography = {"levels": levels, "tables": {"people": {"country": "country"}}}
    policies = {**chatty.source["policies"], "people.nick": "tokenize", "people.country": "tokenize"}
    done = backup(configured(chatty, policies=policies, geography=geography).wiring(), "app", Kind.FULL)
    covered = {line.split(": ")[1].split(" (")[0] for line in told(done)}
    assert (done.complete, covered) == (True, {"regions.code", "countries.region"})
    beside = "rows are placed by it: region and country stand beside it, and the profile counts its places"
    assert [line for line in done.warnings if "placed" in line] == [f"table 'people': column 'country': {beside}"]
    assert_restored(chatty, done)


def test_the_step_can_be_done_again_after_it_covered_a_column(chatty: World) -> None:
    change(chatty, LEAK)
    wiring = chatty.wiring()
    reference = run_through(wiring, "snapshot")
    steps.anonymize(wiring, reference)
    reference = run_through(wiring, "commit", steps.anonymize(wiring, reference))
    done = result(wiring, reference)
    assert told(done) == [WARNING.format(103)]
    steps.wipe(wiring, reference)
    assert holds_any(chatty.root / "backups-local", EMAILS) == []
    assert_restored(chatty, done)
