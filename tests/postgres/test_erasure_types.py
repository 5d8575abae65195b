"""What a type of PostgreSQL holds for equal is found; what cannot be compared is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.forgotten import erased
from tests.support.postgres_server import NEWEST, Servers, execute, fresh_database, query
from tests.support.postgres_world import all_columns, connected, make_world
from tests.support.world import World

from rlg_backup.sources.postgres.address import Address

DEFINITIONS = [
    "CREATE EXTENSION citext",
    "CREATE TABLE padded (code char(8) PRIMARY KEY)",
    "CREATE TABLE of_padded (code varchar, words text)",
    "INSERT INTO padded VALUES ('ab'), ('cd')",
    "INSERT INTO of_padded VALUES ('ab', 'of ab'), ('cd', 'of cd')",
    "CREATE TABLE counted (nr numeric(9,2) PRIMARY KEY)",
    "CREATE TABLE of_counted (nr int)",
    "INSERT INTO counted VALUES (7.00), (70), (7.50)",
    "INSERT INTO of_counted VALUES (7), (70)",
    "CREATE TABLE named (name citext PRIMARY KEY)",
    "CREATE TABLE of_named (name citext, names text[], plain text)",
    "INSERT INTO named VALUES ('Ann@x.org'), ('bob@x.org')",
    "INSERT INTO of_named VALUES ('ANN@x.org'), ('bob@x.org')",
    "CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    "CREATE TABLE collated (name text COLLATE caseless PRIMARY KEY)",
    "CREATE TABLE of_collated (name text COLLATE caseless, words text)",
    "INSERT INTO collated VALUES ('Ann@x.org'), ('bob@x.org')",
    "INSERT INTO of_collated VALUES ('ANN@x.org', 'of ann'), ('bob@x.org', 'of bob')",
    "CREATE TABLE parted (id int, at int) PARTITION BY LIST (at)",
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1)",
    "CREATE TABLE parted_2 PARTITION OF parted DEFAULT",
    "CREATE TABLE tight (id int PRIMARY KEY, code varchar(8) NOT NULL UNIQUE)",
    "CREATE TABLE sold (id int PRIMARY KEY, code char(8) REFERENCES padded)",
    "ALTER TABLE sold ADD by char(8), ADD FOREIGN KEY (by) REFERENCES padded NOT VALID",
]


@pytest.fixture(scope="module")
def source(servers: Servers) -> Iterator[Address]:
    with fresh_database(servers[NEWEST]) as address:
        execute(address, *DEFINITIONS)
        yield address


def restore(
    source: Address, path: Path, subject: str, rule: dict[str, Any], normalise: str = "none"
) -> tuple[Any, Address]:
    world: World = make_world(path / "world", source, personal_text_allowed=all_columns(source))
    sold = {"sold": [{"through": "code"}, {"through": "by"}]} if rule["table"] == "padded" else {}
    rule = rule | {"tables": sold | rule.get("tables", {})}
    world.settings["erasure"] = {
        "key": "file:keys/shared/erasure.key",
        "normalise": {"person": normalise},
        "subjects": {"person": {"app": rule}},
    }
    world.save()
    with connected(app=source):
        world.back_up()
        erased(world, subject)
        execute(source, "DROP DATABASE IF EXISTS typed_back")
        return world.run("restore", "latest", "--to", "postgres:app/typed_back", "--json"), source.of("typed_back")


@pytest.mark.parametrize(
    ("table", "column", "subject", "normalise", "left"),
    [
        ("padded", "code", "ab", "none", [("cd",)]),
        ("counted", "nr", "7", "none", [(70,)]),
        ("named", "name", "ann@X.org", "email", [("bob@x.org",)]),
        ("collated", "name", "ann@X.org", "email", [("bob@x.org",)]),
    ],
)
def test_keys_that_the_database_holds_for_equal_are_found(
    source: Address, tmp_path: Path, table: str, column: str, subject: str, normalise: str, left: list[object]
) -> None:
    rule = {"table": table, "column": column, "tables": {f"of_{table}": {"through": column}}}
    done, place = restore(source, tmp_path, subject, rule, normalise)
    assert done.code == 0, done.out
    assert query(place, f"SELECT {column} FROM of_{table}") == left
    assert done.json["erased"][table]["deleted"] == 1


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            {"table": "named", "column": "name"},
            "named.name': case does not count in it, and does in requests of the kind 'person'",
        ),
        (
            {"table": "collated", "column": "name"},
            "collated.name': case does not count in it, and does in requests of the kind 'person'",
        ),
        ({"table": "of_named", "column": "names"}, "of_named.names': a value of it is no single key"),
        (
            {"table": "tight", "column": "id", "action": "anonymize", "columns": ["code"]},
            "tight.code': no two rows may hold the same in it, and it is too short for texts that differ",
        ),
        ({"table": "parted_1", "column": "id"}, "parted_1': it is a part of 'parted'"),
        (
            {"table": "padded", "column": "code", "tables": {"sold": {"through": "code"}}},
            "sold': its column 'by' refers to rows of 'padded' that are deleted",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_refused(source: Address, tmp_path: Path, rule: dict[str, Any], text: str) -> None:
    done, _ = restore(source, tmp_path, "ab", rule)
    assert (done.code, done.json["error"]) == (2, "ErasureUndecided"), done.out
    assert done.json["message"] == f"unable to erase in '{text}"
