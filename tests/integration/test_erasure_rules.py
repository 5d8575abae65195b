"""Rules find the rows of erased people, and of nobody else, in schemas as applications have them; where they cannot, a
restore is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.forgotten import erased, execute, restored, rows, with_erasures
from tests.support.world import World

ACCOUNTS = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, code TEXT UNIQUE, via INTEGER REFERENCES accounts)"
THREE = "INSERT INTO accounts VALUES (1, 'a', NULL), (2, 'b', 1), (3, 'c', 2)"
VIA = {"through": "via", "action": "anonymize", "columns": ["via"]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.make(tmp_path / "world")
    execute(world.root / "app.db", "DROP TABLE orders")
    return world


def ask(world: World, subject: str, statements: list[str], **rules: Any) -> None:
    """A backup of a database made so, then a request."""
    execute(world.root / "app.db", *statements)
    with_erasures(world, **{"table": "accounts", "tables": {}} | rules)
    world.back_up()
    erased(world, subject)


def left(world: World, *queries: str) -> list[Any]:
    done = restored(world, "latest")
    assert done.code == 0, done.out
    return [rows(world.root / "back.db", query) for query in queries]


def refused(world: World, *more: str) -> str:
    done = restored(world, "latest", "back.db", *more)
    assert (done.code, done.json["error"]) == (2, "ErasureUndecided"), done.out
    assert not (world.root / "back.db").exists()
    return str(done.json["message"]).removeprefix("unable to erase in ")


def test_rows_that_refer_to_others_of_their_table_are_told_by_the_key_of_these(world: World) -> None:
    """The subject is found by its code, invitations are by id."""
    ask(world, "b", [ACCOUNTS, THREE], column="code", tables={"accounts": VIA})
    assert left(world, "SELECT * FROM accounts") == [[(1, "a", None), (3, "c", None)]]


def test_replies_to_deleted_rows_stay_and_answer_nobody(world: World) -> None:
    comments = "id INTEGER PRIMARY KEY, by INTEGER NOT NULL REFERENCES accounts, answers INTEGER REFERENCES comments"
    statements = [
        ACCOUNTS,
        THREE,
        f"CREATE TABLE comments ({comments})",
        "INSERT INTO comments VALUES (10, 2, 12), (11, 3, 10), (12, 1, 11), (2, 1, NULL), (13, 3, 2)",
    ]
    replies = {"through": "answers", "of": "comments", "action": "anonymize", "columns": ["answers"]}
    ask(world, "2", statements, column="id", tables={"accounts": VIA, "comments": [{"through": "by"}, replies]})
    assert left(world, "SELECT * FROM comments") == [[(2, 1, None), (11, 3, None), (12, 1, 11), (13, 3, 2)]]


CIRCLE = [
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, home INTEGER REFERENCES addresses)",
    "CREATE TABLE addresses (id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts)",
    "INSERT INTO accounts VALUES (1, 101), (2, 102), (3, 2), (4, 102)",
    "INSERT INTO addresses VALUES (101, 1), (102, 2), (2, 3)",
]
HOME = {"through": "home", "action": "anonymize", "columns": ["home"]}


def test_tables_that_refer_to_each_other_are_found_before_they_are_loaded(world: World) -> None:
    tables = {"addresses": {"through": "account"}, "accounts": HOME | {"of": "addresses"}}
    ask(world, "2", CIRCLE, column="id", tables=tables)
    found = left(world, "SELECT * FROM accounts", "SELECT * FROM addresses")
    assert found == [[(1, 101), (3, 2), (4, None)], [(2, 3), (101, 1)]]


def test_a_reference_to_another_table_is_not_taken_for_one_to_its_own(world: World) -> None:
    """Account 3 lives at address 2, and has nothing to do with the erased account 2."""
    statements = [statement.replace(" REFERENCES accounts", "") for statement in CIRCLE]
    ask(world, "2", statements, column="id", tables={"accounts": HOME})
    assert refused(world) == "'accounts.home': it refers to rows of 'addresses', not of its own table"


ONE = ", and rows are followed by one column"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("PRIMARY KEY (tenant, id)", "'accounts': its key is 'tenant', 'id' together" + ONE),
        (
            "UNIQUE (tenant, id)",
            "'bills': 'tenant', 'account' together refer to rows of 'accounts'" + ONE,
        ),
    ],
)
def test_keys_of_several_columns_are_not_followed_by_one_of_them(world: World, key: str, text: str) -> None:
    """It would delete the other tenant's bills."""
    statements = [
        f"CREATE TABLE accounts (tenant INTEGER, id INTEGER, code TEXT, {key})",
        "CREATE TABLE bills (tenant INTEGER, account INTEGER,"
        " FOREIGN KEY (tenant, account) REFERENCES accounts (tenant, id))",
        "INSERT INTO accounts VALUES (1, 7, 'a'), (2, 7, 'b')",
        "INSERT INTO bills VALUES (1, 7), (2, 7)",
    ]
    ask(world, "a", statements, column="code", tables={"bills": {"through": "account", "key": "id"}})
    assert refused(world) == text


SALES = [
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, email TEXT)",
    "CREATE TABLE sales (id INTEGER PRIMARY KEY, buyer REFERENCES accounts, seller REFERENCES accounts)",
    "INSERT INTO accounts VALUES (1, 'a@x.org'), (2, 'b@x.org'), (3, 'c@x.org')",
    "INSERT INTO sales VALUES (1, 1, 3), (2, 3, 2), (3, 2, 1)",
]


@pytest.mark.parametrize("fidelity", ["recoverable", "masked copy", "masked backup"])
def test_each_reference_to_deleted_rows_is_decided_on_its_own(world: World, fidelity: str) -> None:
    policy = "hash" if fidelity == "masked backup" else "tokenize"
    world.source["policies"] = {"accounts.email": policy, "people.email": policy, "people.phone": policy}
    ask(world, "2", SALES, column="id", tables={"sales": {"through": "buyer"}})
    more = {"recoverable": [], "masked copy": ["--fidelity", "masked"], "masked backup": ["--accept-masked"]}[fidelity]
    undecided = "its column 'seller' refers to rows of 'accounts' that are deleted"
    broken = "without what was to be erased, its rows break other foreign keys than in the source"
    assert refused(world, *more) == f"'sales': {broken if fidelity == 'recoverable' else undecided}"


def test_a_broken_reference_of_an_erased_row_makes_no_room_for_another(world: World) -> None:
    ask(
        world, "2", [*SALES, "INSERT INTO sales VALUES (9, 2, 99)"], column="id", tables={"sales": {"through": "buyer"}}
    )
    assert refused(world) == "'sales': its column 'seller' refers to rows of 'accounts' that are deleted"
