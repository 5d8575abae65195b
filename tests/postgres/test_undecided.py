"""A column added overnight to a PostgreSQL database is not saved in clear, nor what leaks into another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.postgres_compare import assert_same_database
from tests.support.postgres_server import NEWEST, Servers, address_of, drop_database, execute
from tests.support.postgres_world import connected, make_world
from tests.support.world import World
from tests.unit.engine.test_undecided import TOLD, policy, stored_text, told

from rlg_backup.core.errors import ColumnUnclassified
from rlg_backup.core.model import Kind
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.backup import BackupResult, backup
from rlg_backup.engine.restore_points import choose
from rlg_backup.format.profile import TableProfile
from rlg_backup.sources.postgres.address import Address

FILLED = "UPDATE people SET contact = 'c' || id || '@mail.example.org'"
PEOPLE = (
    "CREATE TABLE people (id int, born int, email text, note text) PARTITION BY LIST (born)",
    "CREATE TABLE people_old PARTITION OF people FOR VALUES IN (1)",
    "CREATE TABLE people_new PARTITION OF people DEFAULT",
    "INSERT INTO people SELECT n, n % 2, 'p' || n || '@example.org', 'word ' || n FROM generate_series(1, 3000) n",
    "CREATE TABLE flags (id int, email boolean)",
)


@pytest.fixture
def people(servers: Servers, tmp_path: Path) -> Iterator[tuple[World, Address]]:
    server = servers[NEWEST]
    address, copy = address_of(server, "overnight"), address_of(server, "overnight_again")
    execute(address_of(server), "CREATE DATABASE overnight")
    execute(address, *PEOPLE)
    with connected(app=address, there=address_of(server)):
        yield make_world(tmp_path / "world", address, policies={"people.email": "tokenize"}), address
    for one in (copy, address):
        drop_database(server, one.database)


def parts(world: World, done: BackupResult) -> list[TableProfile]:
    wiring = world.wiring()
    profile = open_remote(wiring, choose(wiring, "app", done.backup_id), wiring.identities()).profile()
    return [table for table in profile.tables if table.name.startswith("people")]


def assert_restored(world: World, address: Address, done: BackupResult) -> None:
    to = f"postgres:there/{address.database}_again"
    again = world.run("restore", done.backup_id, "--source", "app", "--to", to)
    assert again.code == 0, again.out + again.err
    assert_same_database(address, address.of(f"{address.database}_again"))


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.INCREMENTAL])
def test_a_column_added_overnight_is_tokenized_in_every_partition_and_comes_back(
    people: tuple[World, Address], kind: Kind
) -> None:
    world, address = people
    backup(world.wiring(), "app", Kind.FULL)
    execute(address, "ALTER TABLE people ADD COLUMN contact text", f"{FILLED} WHERE born = 1 AND id > 2000")
    done = backup(world.wiring(), "app", kind)
    assert (done.kind, told(done)) == (kind.value, [TOLD[0]])
    found = parts(world, done)
    assert [(policy(one, "contact"), dict(one.detected)) for one in found] == [("tokenize", {"contact": "email"})] * 2
    assert b"c2001@mail.example.org" not in stored_text(world, done)
    assert_restored(world, address, done)


def test_times_bits_and_hardware_addresses_are_taken_for_nobody_s_number(people: tuple[World, Address]) -> None:
    world, address = people
    execute(
        address,
        "CREATE TABLE prices (valid_to timestamp, flags bit(12), device macaddr8, spans tsrange[])",
        "INSERT INTO prices SELECT timestamp '2001-09-22 18:19:20' + n * interval '1 s', n::bit(12),"
        " ('08002b010203' || lpad(to_hex(n), 4, '0'))::macaddr8, ARRAY[tsrange('2001-09-22 18:19:20', NULL)]"
        " FROM generate_series(1, 200) n",
        "INSERT INTO prices (valid_to) VALUES ('infinity')",  # it makes texts of all the others
    )
    done = backup(world.wiring(), "app", Kind.FULL)
    assert told(done) == []
    assert_restored(world, address, done)


def test_what_was_decided_of_a_partition_by_its_own_name_stays(people: tuple[World, Address]) -> None:
    world, address = people
    execute(address, "UPDATE people SET note = 'n' || id || '@mail.example.org'")
    world.source["policies"]["people_old.note"] = "hash"
    world.save()
    done = backup(world.wiring(), "app", Kind.FULL)
    assert [line.split(" (")[0] for line in told(done)] == ["tokenized without a policy: people.note"]
    found = {one.name: (policy(one, "note"), dict(one.detected)) for one in parts(world, done)}
    assert found == {"people_old": ("hash", {}), "people_new": ("tokenize", {"note": "email"})}


def test_a_partition_kept_by_its_own_name_lets_no_other_leak(people: tuple[World, Address]) -> None:
    world, address = people
    execute(address, "UPDATE people SET note = 'ask ' || email WHERE id IN (7, 8)")
    world.source["policies"]["people_old.note"] = "keep"
    world.save()
    done = backup(world.wiring(), "app", Kind.FULL)
    hit = "original values of people.email in 1 of 1500"
    assert told(done) == [f"tokenized without a policy: people.note ({hit}); give it a policy, or keep it by name"]
    assert f"personal data: people_old.note: {hit}" in done.warnings
    found = {one.name: policy(one, "note") for one in parts(world, done)}
    assert found == {"people_old": "keep", "people_new": "tokenize"}
    assert_restored(world, address, done)


def test_truth_values_that_are_personal_are_never_saved_without_a_policy(people: tuple[World, Address]) -> None:
    world, _ = people
    world.source["classes"] = {"flags.email": "personal"}
    world.save()
    with pytest.raises(ColumnUnclassified) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    cause = "it is personal by 'classes', has no policy, and its type takes no token"
    hint = "give it another policy, or keep it by name"
    assert str(caught.value) == f"unable to back up 'flags.email': {cause}\nhint: {hint}"
    scanned = world.run("privacy", "scan", "app", "--json").json
    assert scanned["policies"]["flags.email"] == "redact"
    world.source["policies"]["flags.email"] = "redact"
    world.save()
    assert backup(world.wiring(), "app", Kind.FULL).complete


def test_a_policy_for_what_only_an_inheriting_table_has_is_that_table_s(people: tuple[World, Address]) -> None:
    world, address = people
    execute(
        address,
        "CREATE TABLE staff (id int)",
        "CREATE TABLE guards (badge text) INHERITS (staff)",
        "CREATE TABLE cooks (dish text) INHERITS (staff)",
    )
    world.source["policies"]["staff.badge"] = "hash"
    world.save()
    done = backup(world.wiring(), "app", Kind.FULL)
    wiring = world.wiring()
    profile = open_remote(wiring, choose(wiring, "app", done.backup_id), wiring.identities()).profile()
    found = {table.name: [one.policy for one in table.columns] for table in profile.tables}
    assert (found["guards"], found["cooks"]) == (["keep", "hash"], ["keep", "keep"])


def test_a_truth_value_called_like_a_column_of_another_inheriting_table_stops_nothing(
    people: tuple[World, Address],
) -> None:
    world, address = people
    execute(
        address,
        "CREATE TABLE staff (id int)",
        "CREATE TABLE guards (phone text, note text) INHERITS (staff)",
        "CREATE TABLE cooks (phone boolean, note boolean) INHERITS (staff)",
        "INSERT INTO guards VALUES (1, '+27 11 555 0143', 'word')",
        "INSERT INTO cooks VALUES (2, true, false)",
    )
    done = backup(world.wiring(), "app", Kind.FULL)
    assert [line.split(" (")[0] for line in told(done)] == ["tokenized without a policy: staff.phone"]
    execute(address, "UPDATE guards SET note = 'ask p7@example.org'")
    done = backup(world.wiring(), "app", Kind.FULL)
    assert len(told(done)) == 2
    assert_restored(world, address, done)


def test_personal_data_in_definitions_is_told(people: tuple[World, Address]) -> None:
    world, address = people
    execute(
        address,
        "COMMENT ON TABLE flags IS 'ask p7@example.org'",
        "CREATE FUNCTION support() RETURNS text LANGUAGE sql AS $$ SELECT 'call +27 11 555 0143'::text $$",
    )
    done = backup(world.wiring(), "app", Kind.FULL)
    hits = [warning.rpartition(" in ")[0] for warning in done.warnings if warning.startswith("personal data")]
    kinds = ("email", "original values of people.email", "phone")
    assert hits == [f"personal data: definitions: {kind}" for kind in kinds]


def test_what_leaks_into_changed_rows_is_covered_and_the_chain_goes_on(people: tuple[World, Address]) -> None:
    world, address = people
    backup(world.wiring(), "app", Kind.FULL)
    execute(address, "UPDATE people SET note = 'ask ' || email WHERE id = 7")
    execute(address, "UPDATE people SET note = 'new word' WHERE id BETWEEN 101 AND 300")
    first = backup(world.wiring(), "app", Kind.INCREMENTAL)
    assert [line.split(" (")[0] for line in told(first)] == ["tokenized without a policy: people.note"]
    found = parts(world, first)
    assert [(policy(one, "note"), one.change is not None) for one in found] == [("tokenize", True)] * 2
    assert b"p7@example.org" not in stored_text(world, first)
    execute(address, "UPDATE people SET note = 'another' WHERE id = 8")
    second = backup(world.wiring(), "app", Kind.INCREMENTAL)
    rows = [one.change.rows for one in parts(world, second) if one.change]
    assert (second.kind, sorted(rows), b"another" in stored_text(world, second)) == ("incremental", [0, 1], False)
    assert_restored(world, address, second)
