"""Rules find the rows of erased people, and of nobody else, in schemas as applications have them; where they cannot, a
restore is refused."""

from __future__ import annotations

import time
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


RENAMED = [
    "CREATE TABLE users (id INTEGER PRIMARY KEY)",
    "CREATE TABLE logins (user INTEGER)",
    "CREATE TABLE crm (user INTEGER, name TEXT)",
    "INSERT INTO users VALUES (1), (2)",
    "INSERT INTO logins VALUES (1), (2)",
    "INSERT INTO crm VALUES (2, 'x')",
]
OF_TODAY: dict[str, Any] = {"table": "accounts", "column": "id", "tables": {"logins": {"through": "user"}}}
CRM: dict[str, Any] = {"table": "crm", "column": "user"}


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([OF_TODAY, CRM], "'accounts': the backup has no such table for 'person'"),
        (
            [OF_TODAY | {"optional": True}, CRM],
            "'logins': the backup has no table 'accounts' that its rows belong to",
        ),
        (
            [CRM | {"tables": {"subscribers": {"through": "user", "key": "user"}}}],
            "'subscribers': the backup has no such table",
        ),
    ],
)
def test_a_table_that_had_another_name_is_not_passed_over(world: World, rules: list[dict[str, Any]], text: str) -> None:
    execute(world.root / "app.db", *RENAMED)
    with_erasures(world)
    world.settings["erasure"]["subjects"]["person"]["app"] = rules
    world.save()
    world.back_up()
    erased(world, "2")
    assert refused(world) == text


def test_a_table_may_be_said_to_be_in_some_backups_only(world: World) -> None:
    execute(world.root / "app.db", *RENAMED)
    with_erasures(world)
    then = OF_TODAY | {"table": "users", "tables": {"logins": {"through": "user"}}}
    children = {"subscribers": {"through": "user", "key": "user", "optional": True}}
    rules = [OF_TODAY | {"optional": True}, then | {"optional": True}, CRM | {"tables": children}]
    world.settings["erasure"]["subjects"]["person"]["app"] = rules
    world.save()
    world.back_up()
    erased(world, "2")
    found = left(world, "SELECT * FROM users", "SELECT * FROM logins", "SELECT * FROM crm")
    assert found == [[(1,)], [(1,)], []]


def test_in_email_addresses_case_does_not_count_where_that_is_said(world: World) -> None:
    """Also for a request from before it was said, and for those that name the address in other tables."""
    statements = [
        "CREATE TABLE accounts (email TEXT PRIMARY KEY)",
        "CREATE TABLE letters (sent_to TEXT)",
        "INSERT INTO accounts VALUES ('Ann@x.org'), ('Bob@x.org'), ('cy@x.org')",
        "INSERT INTO letters VALUES ('ann@x.org'), ('BOB@x.org'), ('cy@x.org')",
    ]
    world.source["personal_text_allowed"] = ["accounts.email", "letters.sent_to"]
    ask(world, "Bob@x.org", statements, column="email", tables={"letters": {"through": "sent_to"}})
    world.settings["erasure"]["normalise"] = {"person": "email"}
    world.save()
    erased(world, "aNN@x.org")
    assert left(world, "SELECT * FROM accounts", "SELECT * FROM letters") == [[("cy@x.org",)], [("cy@x.org",)]]


def test_what_must_be_unique_and_not_null_is_emptied_to_a_value_of_its_own(world: World) -> None:
    statements = [
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE)",
        "INSERT INTO accounts VALUES (1, 'a@x.org'), (2, 'b@x.org'), (3, 'c@x.org')",
    ]
    world.source["personal_text_allowed"] = ["accounts.email"]
    ask(world, "2", statements, column="id", action="anonymize", columns=["email"])
    erased(world, "3")
    found = left(world, "SELECT count(DISTINCT email), sum(email LIKE 'erased-%') FROM accounts")
    assert found == [[(3, 2)]]


def test_a_key_that_is_there_in_a_backup_after_its_request_is_told(world: World) -> None:
    ask(
        world,
        "3",
        ["CREATE TABLE accounts (id INTEGER PRIMARY KEY)", "INSERT INTO accounts VALUES (1), (3)"],
        column="id",
    )
    told = "erasures: 1 of kind 'person' asked before this backup was made: "
    told += "their live data was not erased, or their key was given again to somebody who is left out now"
    assert told not in restored(world, "latest", "before.db").json["warnings"]
    time.sleep(2.1)  # requests and backups have times in seconds
    world.back_up()
    assert told in restored(world, "latest", "after.db").json["warnings"]


NAMED = [
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE, boss REFERENCES accounts (name))",
    "CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT REFERENCES accounts (name))",
    "INSERT INTO accounts VALUES (1, 'Ann', NULL), (2, 'bob', 'ANN'), (3, 'Cyril', 'Bob')",
    "INSERT INTO posts VALUES (1, 'ann'), (2, 'BOB'), (3, 'ANN'), (4, 'cyril')",
]
BOSS = {"through": "boss", "key": "name", "action": "anonymize", "columns": ["boss"]}
BY_NAME = {"accounts": BOSS, "posts": {"through": "author", "key": "name"}}


def test_where_a_columns_case_does_not_count_requests_must_say_so_too(world: World) -> None:
    ask(world, "ann", NAMED, column="name", tables=BY_NAME)
    assert refused(world) == "'accounts.name': case does not count in it, and does in requests of the kind 'person'"


def test_keys_that_differ_in_case_alone_are_one_where_the_column_says_so(world: World) -> None:
    """Of the subject, found by another column, and of what refers to them by the one whose case does not count."""
    ask(world, "1", NAMED, column="id", tables=BY_NAME)
    found = left(world, "SELECT id, boss FROM accounts", "SELECT id FROM posts")
    assert found == [[(2, None), (3, "Bob")], [(2,), (4,)]]


def test_a_request_finds_a_name_whatever_its_case(world: World) -> None:
    execute(world.root / "app.db", *NAMED)
    with_erasures(world, table="accounts", column="name", tables=BY_NAME)
    world.settings["erasure"]["normalise"] = {"person": "email"}
    world.save()
    world.back_up()
    erased(world, "bOB")
    found = left(world, "SELECT id, boss FROM accounts", "SELECT id FROM posts")
    assert found == [[(1, None), (3, None)], [(1,), (3,), (4,)]]
