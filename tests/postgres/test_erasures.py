"""A subject that asked to be forgotten is in no database that is restored: keys, triggers and views that the source
declares hold, and nothing of the subject ever reaches the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.forgotten import erased
from tests.support.postgres_server import NEWEST, Servers, execute, fresh_database, query
from tests.support.postgres_world import all_columns, connected, make_world
from tests.support.world import World

from rlg_backup.sources.postgres.address import Address

DEFINITIONS = [
    "CREATE SCHEMA shop",
    "CREATE TABLE people (id uuid PRIMARY KEY, email text NOT NULL UNIQUE, invited_by uuid REFERENCES people)",
    "CREATE TABLE shop.orders (id bigint PRIMARY KEY, person uuid NOT NULL REFERENCES people ON DELETE CASCADE,"
    " at date NOT NULL, note text) ",
    "CREATE TABLE shop.lines (nr int, of_order bigint NOT NULL REFERENCES shop.orders) PARTITION BY RANGE (nr)",
    "CREATE TABLE shop.lines_low PARTITION OF shop.lines FOR VALUES FROM (0) TO (50)",
    "CREATE TABLE shop.lines_high PARTITION OF shop.lines DEFAULT",
    "CREATE TABLE reviews (id int PRIMARY KEY, person uuid REFERENCES people, words text NOT NULL, stars int)",
    "CREATE TABLE gone (id uuid)",
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN INSERT INTO gone VALUES (OLD.id); RETURN OLD; END $$",
    "CREATE TRIGGER noting BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION noted()",
    "INSERT INTO people SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.org'"
    " FROM generate_series(1, 9) n",
    "UPDATE people SET invited_by = (SELECT id FROM people WHERE email LIKE '4@%') WHERE email > '5'",
    "INSERT INTO shop.orders SELECT n, p.id, '2026-01-01', 'note ' || email FROM people p, generate_series(1, 90) n"
    " WHERE p.email = n % 9 + 1 || '@example.org'",
    "INSERT INTO shop.lines SELECT n, n FROM generate_series(1, 90) n",
    "INSERT INTO reviews SELECT n, p.id, 'words of ' || email, 5 FROM people p, generate_series(1, 9) n"
    " WHERE p.email = n || '@example.org'",
    "CREATE MATERIALIZED VIEW shop.latest AS"
    " SELECT email, count(*) FROM people p JOIN shop.orders o ON o.person = p.id GROUP BY 1",
]
TABLES = {
    "people": {"through": "invited_by", "action": "anonymize", "columns": ["invited_by"]},
    "shop.orders": {"through": "person"},
    "shop.lines": {"through": "of_order", "of": "shop.orders"},
    "reviews": {"through": "person", "action": "anonymize", "columns": ["words"]},
}
SUBJECT = "00000000-0000-4000-8000-000000000004"


@pytest.fixture(scope="module")
def source(servers: Servers) -> Iterator[Address]:
    with fresh_database(servers[NEWEST]) as address:
        execute(address, *DEFINITIONS)
        yield address


@pytest.fixture
def world(source: Address, tmp_path: Path) -> World:
    world = make_world(tmp_path / "world", source, personal_text_allowed=all_columns(source))
    world.settings["erasure"] = {
        "key": "file:keys/shared/erasure.key",
        "subjects": {"person": {"app": {"table": "people", "column": "id", "tables": TABLES}}},
    }
    world.save()
    return world


def back(world: World, source: Address) -> tuple[Address, dict[str, object]]:
    place = source.of("erased_back")
    execute(source, "DROP DATABASE IF EXISTS erased_back")
    done = world.run("restore", "latest", "--to", "postgres:app/erased_back", "--json")
    assert done.code == 0, done.out
    return place, done.json


@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_a_subject_is_left_out_and_what_refers_to_it_is_as_it_was_said(
    world: World, source: Address, kind: str
) -> None:
    with connected(app=source):
        world.back_up()
        if kind == "incremental":
            execute(source, "UPDATE shop.orders SET note = 'changed' WHERE id % 7 = 0")
            world.back_up(kind=kind)
        erased(world, SUBJECT)
        place, told = back(world, source)
    assert query(place, "SELECT count(*) FROM people WHERE email LIKE '4@%' OR invited_by IS NOT NULL") == [(0,)]
    assert query(place, "SELECT count(*), count(*) FILTER (WHERE note LIKE '%4@%') FROM shop.orders") == [(80, 0)]
    assert query(place, "SELECT count(*) FROM shop.lines") == [(80,)]
    assert query(
        place,
        "SELECT person, stars, count(*) FROM reviews WHERE id = 4 AND words ~ '^erased-[0-9a-f]{16}$' GROUP BY 1, 2",
    ) == [(None, 5, 1)]
    assert query(place, "SELECT count(*) FROM gone") == [(0,)]
    assert query(place, "SELECT count(*) FROM shop.latest WHERE email LIKE '4@%'") == [(0,)]
    assert query(place, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0") == [(4,)]
    counted = {title: (one["deleted"], one["anonymized"]) for title, one in told["erased"].items()}  # type: ignore[attr-defined]
    lines = counted.pop("shop.lines_low")[0] + counted.pop("shop.lines_high")[0]
    assert (lines, counted) == (10, {"people": (1, 5), "shop.orders": (10, 0), "reviews": (0, 1)})


@pytest.mark.parametrize(
    ("left_out", "subject", "text"),
    [
        (
            "reviews",
            SUBJECT,
            "unable to erase in 'reviews': without what was to be erased, a row refers to one that is not there "
            "(constraint 'reviews_person_fkey')",
        ),
        (
            "reviews",
            "nobody",
            "unable to erase in 'reviews': its column 'person' refers to rows of 'people' that are deleted",
        ),
        (
            "shop.lines",
            "nobody",
            "unable to erase in 'shop.lines': its column 'of_order' refers to rows of 'shop.orders' that are deleted",
        ),
    ],
)
def test_a_table_that_nobody_decided_of_is_refused_and_nothing_is_there(
    world: World, source: Address, left_out: str, subject: str, text: str
) -> None:
    rule = world.settings["erasure"]["subjects"]["person"]["app"]
    rule["tables"] = {name: one for name, one in TABLES.items() if name != left_out}
    world.save()
    with connected(app=source):
        world.back_up()
        erased(world, subject)
        execute(source, "DROP DATABASE IF EXISTS erased_back")
        done = world.run("restore", "latest", "--to", "postgres:app/erased_back", "--json")
    assert (done.code, done.json["error"], done.json["message"]) == (2, "ErasureUndecided", text)
    assert query(source, "SELECT count(*) FROM pg_database WHERE datname = 'erased_back'") == [(0,)]


def test_schemas_restored_under_other_names_are_without_the_subject(world: World, source: Address) -> None:
    """Tables of the database they go into, called like theirs, have nothing to do with it."""
    there = source.of("erased_beside")
    with connected(app=source):
        world.back_up()
        erased(world, SUBJECT)
        execute(source, "DROP DATABASE IF EXISTS erased_beside", "CREATE DATABASE erased_beside")
        execute(
            there,
            "CREATE TABLE people (id int PRIMARY KEY)",
            "CREATE TABLE invoices (id int PRIMARY KEY, person int NOT NULL REFERENCES people)",
        )
        names = ("--schema", "public=people_of_then", "--schema", "shop=shop_of_then")
        done = world.run("restore", "latest", "--to", "postgres:app/erased_beside", *names, "--json")
    assert done.code == 0, done.out
    assert query(there, "SELECT count(*) FROM people_of_then.people") == [(8,)]
    assert query(there, "SELECT count(*) FROM shop_of_then.lines") == [(80,)]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            {"tables": TABLES | {"shop.orders": {"through": "person", "action": "anonymize", "columns": ["note"]}}},
            "shop.orders.person': it allows no NULL, and what it refers to is deleted",
        ),
        (
            {
                "action": "anonymize",
                "columns": ["email"],
                "tables": {"shop.orders": {"through": "person", "action": "anonymize", "columns": ["at"]}},
            },
            "shop.orders.at': it allows no NULL and holds no text, so that it cannot be emptied",
        ),
    ],
)
def test_what_cannot_be_emptied_is_refused_before_it_is_tried(
    world: World, source: Address, rule: dict[str, object], text: str
) -> None:
    world.settings["erasure"]["subjects"]["person"]["app"].update(rule)
    world.save()
    with connected(app=source):
        world.back_up()
        erased(world, "nobody")
        done = world.run("restore", "latest", "--to", "postgres:app/erased_back", "--json")
    assert (done.code, done.json["message"]) == (2, f"unable to erase in '{text}")


PLACES = [
    "CREATE TABLE regions (code text PRIMARY KEY)",
    "CREATE TABLE countries (code text PRIMARY KEY, region text NOT NULL REFERENCES regions)",
    "CREATE TABLE accounts (id int PRIMARY KEY, country text REFERENCES countries)",
    "CREATE TABLE sales (day int, account int REFERENCES accounts, note text) PARTITION BY RANGE (day)",
    "CREATE TABLE sales_low PARTITION OF sales FOR VALUES FROM (0) TO (5)",
    "CREATE TABLE sales_high PARTITION OF sales DEFAULT",
    "INSERT INTO regions VALUES ('sadc')",
    "INSERT INTO countries VALUES ('ZA', 'sadc'), ('BW', 'sadc')",
    "INSERT INTO accounts VALUES (1, 'ZA'), (2, 'BW')",
    "INSERT INTO sales SELECT n, n % 2 + 1, 'note' FROM generate_series(1, 8) n",
]


def test_rows_of_partitions_that_refer_to_nobody_any_more_count_as_without_a_place(
    database: Address, tmp_path: Path
) -> None:
    execute(database, *PLACES)
    levels = {
        "region": {"table": "regions", "key": "code"},
        "country": {"table": "countries", "key": "code", "parent": "region"},
    }
    ways = {"accounts": {"country": "country"}, "sales": {"through": "account", "of": "accounts", "key": "id"}}
    world = make_world(tmp_path / "world", database, geography={"levels": levels, "tables": ways})
    sales = {"through": "account", "action": "anonymize", "columns": ["note"]}
    rule = {"table": "accounts", "column": "id", "tables": {"sales": sales}}
    world.settings["erasure"] = {"key": "file:keys/shared/erasure.key", "subjects": {"person": {"app": rule}}}
    world.save()
    with connected(app=database):
        world.back_up()
        erased(world, "2")
        done = world.run("restore", "latest", "--to", f"postgres:app/{database.database}_2", "--json")
    assert done.code == 0, done.out
    assert done.json["erased"]["sales_low"]["places"]["country"] == {"BW": 2, "": -2}
