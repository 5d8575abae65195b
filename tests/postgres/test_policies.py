"""Every policy on columns of the types it takes: what comes back is equal, what does not is as the policy says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres_server import execute, query
from tests.support.postgres_world import all_columns, connected, make_world
from tests.support.world import World

from rlg_backup.core.errors import MISCONFIGURED
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.restore_points import choose
from rlg_backup.sources.postgres.address import Address

MAIL, PHONE = "thabo.nkosi@example.org", "+27 11 555 0143"
DOCUMENT = '{"n": 1.50, "contact": {"email": "thabo.nkosi@example.org"}, "ids": [7, null]}'
TABLES = (
    "CREATE TABLE regions (code text PRIMARY KEY)",
    "CREATE TABLE countries (code text PRIMARY KEY, region text NOT NULL REFERENCES regions)",
    "CREATE TABLE cities (id int PRIMARY KEY, country text NOT NULL REFERENCES countries)",
    "CREATE TABLE towns (id int PRIMARY KEY, city int NOT NULL REFERENCES cities)",
    """CREATE TABLE people (
        id int PRIMARY KEY, email varchar(60) NOT NULL UNIQUE, whole text, mail_2 varchar(40),
        phone text, card varchar(19), born date, seen timestamptz NOT NULL, ip inet NOT NULL,
        spent numeric(8, 2), points int, score float8,
        town int NOT NULL REFERENCES towns, note text NOT NULL, document json, settings jsonb NOT NULL, mails text[],
        secret text, made timestamptz NOT NULL DEFAULT '2020-02-02', hashed varchar(32),
        emptied jsonb NOT NULL
    )""",
    "CREATE TABLE letters (id int PRIMARY KEY, email varchar(60) NOT NULL REFERENCES people (email), body text)",
    "INSERT INTO regions VALUES ('sadc')",
    "INSERT INTO countries VALUES ('ZA', 'sadc'), ('BW', 'sadc')",
    "INSERT INTO cities VALUES (1, 'ZA'), (2, 'ZA'), (3, 'BW')",
    "INSERT INTO towns VALUES (11, 1), (12, 1), (21, 2), (31, 3)",
    f"""INSERT INTO people VALUES
        (1, '{MAIL}', 'whole', '{MAIL}', '{PHONE}', '4111-1111-1111-1234', '1990-05-17',
         '2026-03-05 10:00:00.25+02', '196.25.1.7', -1250.75, -250, 99.5, 12, 'I am {MAIL}', '{DOCUMENT}',
         '{{"mail": "{MAIL}"}}', ARRAY['{MAIL}', NULL, 'a "b" {{}}'], 'secret', '2026-01-01', 'h', '{{"a": 1}}'),
        (2, 'second@example.org', NULL, NULL, NULL, NULL, 'infinity', '0044-03-15 BC', '2001:db8:1:2::3/64',
         'NaN', NULL, '-Infinity', 31, '', NULL, '[]', NULL, NULL, '2026-01-02', NULL, 'null')""",
    f"INSERT INTO letters VALUES (1, '{MAIL}', 'call {PHONE}')",
)  # fmt: skip
POLICIES: dict[str, Any] = {
    "*.email": "tokenize",
    "people.whole": "tokenize",
    "people.mail_2": {"policy": "pseudonym", "like": "email"},
    "people.phone": {"policy": "pseudonym", "like": "phone"},
    "people.card": "mask",
    "people.born": {"policy": "generalize", "to": "year"},
    "people.seen": {"policy": "generalize", "to": "month"},
    "people.ip": {"policy": "generalize", "to": "network"},
    "people.spent": {"policy": "generalize", "bucket": 100},
    "people.points": {"policy": "generalize", "bucket": 100},
    "people.score": {"policy": "generalize", "bucket": 10},
    "people.town": {"policy": "generalize", "to": "country"},
    "people.note": "scrub",
    "letters.body": "scrub",
    "people.document": {"policy": "tokenize", "paths": ["$.contact.email", "$.n", "$.ids[*]"]},
    "people.settings": {"policy": "tokenize", "paths": ["$.mail"]},
    "people.mails": {"policy": "tokenize", "elements": True},
    "people.secret": "drop",
    "people.made": "drop",
    "people.hashed": "hash",
    "people.emptied": {"policy": "redact", "to": "{}"},
}
GEOGRAPHY = {
    "levels": {
        "region": {"table": "regions", "key": "code"},
        "country": {"table": "countries", "key": "code", "parent": "region"},
        "city": {"table": "cities", "key": "id", "parent": "country"},
        "town": {"table": "towns", "key": "id", "parent": "city"},
    },
    "tables": {"people": {"town": "town"}},
}


@pytest.fixture
def world(database: Address, tmp_path: Path) -> World:
    execute(database, *TABLES)
    return make_world(tmp_path / "world", database, policies=POLICIES, geography=GEOGRAPHY)


def restored(world: World, database: Address, *options: str) -> Address:
    """The backup beside its source, which the caller need not remove: the server is the tests' own."""
    copy = database.of(f"{database.database}_2")
    done = world.run(
        "restore", "latest", "--source", "app", "--to", f"postgres:app/{copy.database}", "--json", *options
    )
    assert done.code == 0, done.out + done.err
    assert {check["verdict"] for check in done.json["checks"]} == {"PASS"}
    return copy


def test_what_comes_back_is_equal_and_what_does_not_is_as_its_policy_says(database: Address, world: World) -> None:
    with connected(app=database):
        world.back_up()
        assert world.run("verify", "--full").code == 0
        copy = restored(world, database, "--accept-masked")
        same = "SELECT id, email, whole, note, document::text, settings, mails FROM people ORDER BY id"
        assert query(copy, same) == query(database, same)
        assert query(copy, "TABLE letters") == query(database, "TABLE letters")
        left = "SELECT card, born::text, seen::text, ip::text, spent::text, points, score, town FROM people ORDER BY id"
        assert query(copy, left) == [
            (
                "****-****-****-1234",
                "1990-01-01",
                "2026-03-01 00:00:00+00",
                "196.25.1.0/32",
                "-1200.00",
                -200,
                90.0,
                11,
            ),
            (None, "infinity", "0044-03-01 00:00:00+00 BC", "2001:db8:1::/64", "NaN", None, float("-inf"), 31),
        ]
        ((mail, phone, hashed),) = query(copy, "SELECT mail_2, phone, hashed FROM people WHERE id = 1")
        assert re.fullmatch(r"u[0-9a-f]{20}@example\.invalid", mail)
        assert re.fullmatch(r"\+2700\d{10}", phone)
        assert re.fullmatch(r"[0-9a-f]{32}", hashed)
        gone = "SELECT secret, made = '2020-02-02', emptied FROM people ORDER BY id"
        assert query(copy, gone) == [(None, True, {}), (None, True, {})]
        shown = world.run("show", "latest", "--json").json["manifest"]
        for_ever = {name for name, said in POLICIES.items() if said not in ("tokenize", "scrub")}
        for_ever -= {"people.document", "people.settings", "people.mails"}
        assert (shown["fidelity"], set(shown["masked_columns"])) == ("masked", for_ever)


def test_a_masked_copy_fits_every_type_by_itself(database: Address, world: World) -> None:
    execute(database, "ALTER TABLE people ADD short varchar(5) NOT NULL DEFAULT 'abcde', ADD blob bytea DEFAULT 'x'")
    world.source["policies"] = {"people.*": "tokenize", "letters.email": "tokenize", "letters.body": "scrub"}
    world.source["policies"] |= {"people.id": "keep", "people.town": "keep"}
    world.source["allow_breaking"] = ["people.email", "letters.email"]
    world.source["masked"] = {"people.town": {"policy": "generalize", "to": "city"}}
    world.save()
    with connected(app=database):
        world.back_up()
        copy = restored(world, database, "--fidelity", "masked")
        found = query(
            copy,
            "SELECT email, ip::text, seen::text, born::text, short, settings, emptied, blob FROM people ORDER BY id",
        )
        assert [re.fullmatch(r"u[0-9a-f]{20}@example\.invalid", row[0]) is not None for row in found] == [True, True]
        assert [row[1:] for row in found] == [
            ("196.25.1.0/32", "2026-01-01 00:00:00+00", "1990-01-01", "*****", None, None, None),
            ("2001:db8:1::/64", "0044-01-01 00:00:00+00 BC", "infinity", "*****", None, None, None),
        ]
        assert query(copy, "SELECT count(*) FROM letters JOIN people USING (email)") == [(1,)]
        assert query(copy, "SELECT town FROM people ORDER BY id") == [(11,), (31,)]
        assert MAIL not in str(query(copy, "SELECT p::text FROM people p") + query(copy, "TABLE letters"))


def test_what_was_found_without_a_policy_has_in_a_masked_copy_the_form_of_its_kind(
    database: Address, world: World
) -> None:
    execute(database, f"ALTER TABLE letters ADD contact text DEFAULT '{MAIL}', ADD reach text DEFAULT '{PHONE}'")
    execute(database, "INSERT INTO letters SELECT n, 'second@example.org', 'no words' FROM generate_series(2, 60) n")
    world.source["policies"] = {"letters.body": "keep"}
    world.source["allow_breaking"] = ["people.email", "letters.email"]
    world.save()
    with connected(app=database):
        world.back_up()
        copy = restored(world, database, "--fidelity", "masked")
        ((mail, same, phone),) = query(copy, "SELECT contact, email, reach FROM letters WHERE id = 1")
    assert mail == same and re.fullmatch(r"u[0-9a-f]{20}@example\.invalid", mail)
    assert re.fullmatch(r"\+2700\d{10}", phone)


def test_a_masked_copy_has_what_is_unique_over_generated_columns(database: Address, world: World) -> None:
    execute(database, "ALTER TABLE letters ADD twice int GENERATED ALWAYS AS (id * 2) STORED UNIQUE")
    world.source["policies"] = {"letters.body": "tokenize", "letters.email": "keep", "people.email": "keep"}
    world.save()
    with connected(app=database):
        world.back_up()
        copy = restored(world, database, "--fidelity", "masked")
        assert query(copy, "SELECT id, twice FROM letters") == [(1, 2)]


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        (
            {"people.points": "mask"},
            "'people.points': 'mask' as it is set takes text; the column is of the type integer",
        ),
        (
            {"people.active": "tokenize"},
            "'people.active': 'tokenize' as it is set takes array, bytes, date, ip, json, number, other, text; "
            "the column is of the type boolean",
        ),
        (
            {"people.note": {"policy": "tokenize", "elements": True}},
            "'people.note': 'tokenize' as it is set takes array; the column is of the type text",
        ),
        (
            {"people.born": {"policy": "generalize", "to": "network"}},
            "'people.born': 'generalize' as it is set takes ip, text; the column is of the type date",
        ),
        (
            {"people.card": "hash"},
            "'people.card': a column of the type character varying(19) does not take what 'hash' makes of it",
        ),
        (
            {"people.note": "drop"},
            "'people.note': a column of the type text does not take what 'drop' makes of it",
        ),
        (
            {"people.town": "redact"},
            "'people.town': a column of the type integer does not take what 'redact' makes of it",
        ),
        (
            {"towns.city": {"policy": "generalize", "to": "country"}},
            "'towns.city': 'generalize' to country is for columns that 'geography.tables' names for a finer level",
        ),
    ],
)  # fmt: skip
def test_a_pairing_that_does_not_fit_is_refused_before_a_row_is_read(
    database: Address, world: World, policies: dict[str, Any], said: str
) -> None:
    execute(database, "ALTER TABLE people ADD active boolean")
    world.source["policies"] = policies
    world.save()
    with connected(app=database):
        done = world.run("backup", "--source", "app")
    assert (done.code, done.err.partition("\nhint: ")[0]) == (MISCONFIGURED, f"error: unable to anonymize {said}")
    assert (world.staged(), world.objects()) == ([], {})


@pytest.mark.parametrize(
    ("column", "policy", "why"),
    [
        ("people.town", {"policy": "generalize", "bucket": 10}, "it says to which place rows belong"),
        ("cities.country", "hash", "it says to which place rows belong"),
        ("people.points", {"policy": "generalize", "bucket": 10}, "its sums are kept"),
        ("people.card", "mask", "it is one of the 'invariants'"),
    ],
)
def test_what_suites_rest_on_is_changed_only_where_it_is_named(
    database: Address, world: World, column: str, policy: Any, why: str
) -> None:
    execute(
        database,
        "ALTER TABLE cities DROP CONSTRAINT cities_country_fkey",
        "ALTER TABLE people DROP CONSTRAINT people_town_fkey",
    )
    world.source.update({"policies": {column: policy}, "totals": {"people": ["points"]}, "invariants": ["*.card"]})
    world.save()
    with connected(app=database):
        done = world.run("backup", "--source", "app")
        name = policy if isinstance(policy, str) else policy["policy"]
        assert (done.code, done.err) == (
            MISCONFIGURED,
            f"error: unable to anonymize '{column}': {why}, and '{name}' changes it for ever\n"
            f"hint: tokenize it, or add '{column}' to 'allow_breaking'\n",
        )
        world.source.update({"allow_breaking": [column], "personal_text_allowed": all_columns(database)})
        world.save()
        assert world.run("backup", "--source", "app").code == 0


def test_a_masked_copy_holds_no_password_of_another_server(database: Address, world: World) -> None:
    execute(
        database,
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (password 'hippopotamus')",
        "CREATE SUBSCRIPTION copy CONNECTION 'host=nowhere password=hippopotamus' PUBLICATION p "
        "WITH (connect = false, slot_name = NONE)",
        "COMMENT ON SUBSCRIPTION copy IS 'of another'",
    )
    subscriptions = "SELECT count(*) FROM pg_subscription JOIN pg_database d ON subdbid = d.oid"
    subscriptions += " WHERE datname = current_database()"
    held = f"SELECT count(*), ({subscriptions}) FROM pg_user_mappings"
    world.source.update({"policies": {"people.note": "scrub"}, "personal_text_allowed": all_columns(database)})
    world.save()
    with connected(app=database):
        world.back_up("app")
        whole = restored(world, database)
        found = query(whole, held)
        execute(whole, "DROP SUBSCRIPTION copy")
        execute(database, "DROP SUBSCRIPTION copy", f'DROP DATABASE "{whole.database}"')
        to = f"postgres:app/{whole.database}"
        done = world.run("restore", "latest", "--source", "app", "--to", to, "--fidelity", "masked", "--json")
        assert done.code == 0, done.out
        left = [f"left out, for it may hold a password: {kind} (1)" for kind in ("user mapping", "subscription")]
        assert [line for line in done.json["warnings"] if "password" in line] == left
        assert (found, query(whole, held)) == ([(1, 1)], [(0, 0)])


def test_places_that_may_be_unlisted_are_made_coarser_only_where_nothing_may_be_left(
    database: Address, world: World
) -> None:
    execute(database, "ALTER TABLE people DROP CONSTRAINT people_town_fkey", "UPDATE people SET town = 99 WHERE id = 2")
    with connected(app=database):
        done = world.run("backup", "--source", "app")
        assert (done.code, done.err) == (
            MISCONFIGURED,
            "error: unable to anonymize 'people.town': of a place that is not listed 'generalize' leaves nothing, and "
            "the column allows no NULL\nhint: let it refer to the places, or allow NULL\n",
        )
        execute(database, "ALTER TABLE people ALTER town DROP NOT NULL")
        world.back_up("app")
        copy = restored(world, database, "--accept-masked")
        assert query(copy, "SELECT town FROM people ORDER BY id") == [(11,), (None,)]


def test_rows_that_are_not_read_again_have_no_place_that_is_gone(database: Address, world: World) -> None:
    """Town 11 stood for its city. It is closed; nobody lived there, so that no row of people changes."""
    world.source["policies"]["people.town"] = {"policy": "generalize", "to": "city"}
    world.save()
    with connected(app=database):
        world.back_up()
        execute(database, "DELETE FROM towns WHERE id = 11")
        world.back_up(kind="incremental")
        copy = restored(world, database, "--accept-masked")
    assert query(copy, "SELECT id, town FROM people ORDER BY id") == [(1, 12), (2, 31)]
    assert query(copy, "SELECT FROM pg_constraint WHERE conname = 'people_town_fkey'") == [()]


def test_places_are_made_coarser_only_where_their_table_is_in_the_backup(database: Address, world: World) -> None:
    world.source.update({"policies": {"people.town": POLICIES["people.town"]}, "exclude": ["towns"]})
    world.save()
    with connected(app=database):
        done = world.run("backup", "--source", "app")
    cause = "a policy makes places of the level 'town' coarser, and its table is left out of the backup"
    hint = "hint: take it out of 'exclude', or choose another policy\n"
    assert (done.code, done.err) == (MISCONFIGURED, f"error: unable to read 'towns': {cause}\n{hint}")


def test_a_dataset_s_policy_leaves_truth_values_that_are_nobody_s(database: Address, world: World) -> None:
    execute(database, "CREATE DOMAIN flag AS boolean", "ALTER TABLE letters ADD open boolean, ADD late flag")
    execute(database, "UPDATE letters SET open = true, late = false")
    world.source.update({"policies": {}, "datasets": {"crm": ["letters"]}, "dataset_policies": {"crm": "tokenize"}})
    world.source["policies"] = {"people.email": "tokenize"}
    world.save()
    with connected(app=database):
        world.back_up()
        copy = restored(world, database)
        assert query(copy, "TABLE letters") == query(database, "TABLE letters")
        world.source["classes"] = {"letters.late": "personal"}
        world.save()
        done = world.run("backup", "--source", "app")
    takes = "array, bytes, date, ip, json, number, other, text"
    said = f"'letters.late': 'tokenize' as it is set takes {takes}; the column is of the type public.flag"
    assert (done.code, done.err) == (
        MISCONFIGURED,
        f"error: unable to anonymize {said}\nhint: choose another policy for it\n",
    )


def test_a_dataset_s_policy_is_for_the_columns_that_no_pattern_names(database: Address, world: World) -> None:
    kept = {"people.town": "keep", "people.card": "mask", "letters.*": "tokenize"}
    world.source.update({"policies": kept, "datasets": {"crm": ["people"]}, "dataset_policies": {"crm": "tokenize"}})
    world.save()
    with connected(app=database):
        world.back_up()
        copy = restored(world, database, "--accept-masked")
        execute(database, "UPDATE people SET card = '****-****-****-1234' WHERE card IS NOT NULL")
        every = "SELECT p::text FROM people p ORDER BY id"
        assert query(copy, every) == query(database, every)
        wiring = world.wiring()
        profile = open_remote(wiring, choose(wiring, "app", "latest"), wiring.identities()).profile()
        (people,) = [table for table in profile.tables if table.name == "people"]
        named = {column.name: column.policy for column in people.columns}
        assert {name for name, policy in named.items() if policy != "tokenize"} == {"town", "card"}
        world.source["dataset_policies"] = {"sales": "tokenize"}
        world.save()
        done = world.run("backup", "--source", "app")
    said = "error: unable to apply 'dataset_policies.sales': there is no dataset of that name\n"
    assert (done.code, done.err) == (MISCONFIGURED, f"{said}hint: correct the name, or take the line out\n")
