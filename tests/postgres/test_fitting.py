"""What a policy leaves for ever loads again, or the backup is refused before a row is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres_server import NEWEST, OLDEST, Servers, execute, fresh_database
from tests.support.postgres_world import connected, make_world
from tests.support.world import World

from rlg_backup.core.errors import MISCONFIGURED
from rlg_backup.sources.postgres.address import Address

INSTEAD = "hint: tokenize it, or change the column\n"
SAME = "hint: give both columns the same policy, or tokenize them\n"
ROWS = "INSERT INTO t (email, other) VALUES ('hippo', '1'), ('rhino', '2'), (NULL, '3')"
FULL = "INSERT INTO t (email, other) VALUES ('hippo', '1'), ('rhino', '2')"
REFERRING = (
    "CREATE TABLE u (email text PRIMARY KEY)",
    "INSERT INTO u VALUES ('hippo'), ('rhino')",
    "CREATE TABLE t (email text REFERENCES u, other text)",
    ROWS,
)
DRILL = "drill this backup, or tokenize the column"


def in_world(tmp_path: Path, address: Address, statements: tuple[str, ...], policies: dict[str, Any]) -> World:
    execute(address, *statements)
    return make_world(tmp_path / "world", address, policies=policies)


@pytest.mark.parametrize(
    ("statements", "policies", "said"),
    [
        pytest.param(
            (
                "CREATE TABLE t (email text, other text) PARTITION BY LIST (email)",
                "CREATE TABLE p PARTITION OF t DEFAULT",
            ),
            {"t.email": "hash"},
            f"'p.email': it decides of its partition, and 'hash' makes another value of it\n{INSTEAD}",
            id="partition",
        ),
        pytest.param(
            (
                "CREATE TABLE t (email text, other text) PARTITION BY RANGE (other)",
                "CREATE TABLE t1 PARTITION OF t DEFAULT PARTITION BY RANGE (lower(email))",
                "CREATE TABLE p (other text, email text)",
                "ALTER TABLE t1 ATTACH PARTITION p FOR VALUES FROM ('a') TO ('z')",
            ),
            {"t.email": "redact"},
            f"'p.email': it decides of its partition, and 'redact' makes another value of it\n{INSTEAD}",
            id="expression-above",
        ),
        pytest.param(
            ("CREATE TABLE t (email text NOT NULL, other text)", "CREATE UNIQUE INDEX one ON t (lower(email))"),
            {"t.email": "redact"},
            f"'t.email': every row would hold the same, and the unique index one takes it once\n{INSTEAD}",
            id="unique",
        ),
        pytest.param(
            ("CREATE TABLE t (email text, other text, PRIMARY KEY (email, other))",),
            {"t.*": "redact"},
            f"'t.email': every row would hold the same, and the unique index t_pkey takes it once\n{INSTEAD}",
            id="unique-of-two",
        ),
        pytest.param(
            ("CREATE TABLE u (email text PRIMARY KEY)", "CREATE TABLE t (email text REFERENCES u)"),
            {"t.email": "hash"},
            "'t.email': it refers to u.email, which has no such policy, and it has 'hash': they would differ\n" + SAME,
            id="reference-from",
        ),
        pytest.param(
            ("CREATE TABLE u (email text PRIMARY KEY)", "CREATE TABLE t (email text REFERENCES u)"),
            {"u.email": "hash", "t.email": "tokenize"},
            "'t.email': it refers to u.email, which has 'hash', and it has no such policy: they would differ\n" + SAME,
            id="reference-to",
        ),
        pytest.param(
            ("CREATE TABLE t (cents numeric(5,-2))",),
            {"t.cents": {"policy": "generalize", "bucket": 250}},
            "'t.cents': a column of the type numeric(5,-2) does not take what 'generalize' makes of it\n" + INSTEAD,
            id="rounded",
        ),
        pytest.param(
            ("CREATE DOMAIN full_text AS text NOT NULL", "CREATE TABLE t (email full_text)"),
            {"t.email": "redact"},
            "'t.email': a column of the type public.full_text does not take what 'redact' makes of it\n" + INSTEAD,
            id="domain-without-null",
        ),
    ],
)
def test_what_no_restore_could_load_is_refused(
    database: Address, tmp_path: Path, statements: tuple[str, ...], policies: dict[str, Any], said: str
) -> None:
    world = in_world(tmp_path, database, statements, policies)
    with connected(app=database):
        done = world.run("backup", "--source", "app")
    assert (done.code, done.err) == (MISCONFIGURED, f"error: unable to anonymize {said}")
    assert (world.staged(), world.objects()) == ([], {})


@pytest.mark.parametrize(
    ("statements", "policies"),
    [
        pytest.param(
            ("CREATE TABLE t (email text UNIQUE, other text CHECK (other <> ''))", ROWS),
            {"t.email": "redact"},
            id="null",
        ),
        pytest.param(
            ("CREATE TABLE t (email text NOT NULL UNIQUE, other text)", FULL), {"t.email": "hash"}, id="hashes-differ"
        ),
        pytest.param(
            REFERRING,
            {"*.email": "hash"},
            id="both-sides",
        ),
        pytest.param(
            REFERRING,
            {"t.email": "redact", "u.email": "keep"},
            id="refers-to-nothing",
        ),
        pytest.param(
            (
                "CREATE TABLE t (email text, other text)",
                ROWS,
                "ALTER TABLE t ADD CONSTRAINT later CHECK (length(email) < 9) NOT VALID",
            ),
            {"t.email": "hash"},
            id="never-proved",
        ),
    ],
)
def test_what_fits_is_saved_without_a_word_and_restored(
    database: Address, tmp_path: Path, statements: tuple[str, ...], policies: dict[str, str]
) -> None:
    world = in_world(tmp_path, database, statements, policies)
    world.source["allow_breaking"] = ["t.email"] + (["u.email"] if "*.email" in policies else [])  # a key, in some
    world.save()
    assert warned_and_restored(world, database) == ([], True)


def test_a_key_is_changed_for_ever_only_where_it_is_named(database: Address, tmp_path: Path) -> None:
    world = in_world(tmp_path, database, REFERRING, {"*.email": "hash"})
    said = {
        "t.email": "it refers to u.email, and 'hash' changes it for ever",
        "u.email": "it is part of the primary key, and 'hash' changes it for ever",
    }
    with connected(app=database):
        for column, cause in said.items():
            done = world.run("backup", "--source", "app")
            hint = f"hint: tokenize it, or add '{column}' to 'allow_breaking'\n"
            assert (done.code, done.err) == (MISCONFIGURED, f"error: unable to anonymize '{column}': {cause}\n{hint}")
            world.source.setdefault("allow_breaking", []).append(column)
            world.save()
        assert world.run("backup", "--source", "app").code == 0


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    ("definition", "policies", "warnings", "restored"),
    [
        pytest.param(
            "email text CHECK (length(email) < 9), other text",
            {"t.email": "hash"},
            ["the check t_email_check may not take what 'hash' leaves there"],
            False,
            id="check",
        ),
        pytest.param(
            "email text CHECK (email <> ''), other text",
            {"t.email": "hash"},
            ["the check t_email_check may not take what 'hash' leaves there"],
            True,
            id="check-that-takes-it",
        ),
        pytest.param(
            "other text, email text, n int GENERATED ALWAYS AS (length(email)) STORED",
            {"t.email": "hash"},
            ["the generated column n may not take what 'hash' leaves there"],
            True,
            id="generated",
        ),
        pytest.param(
            "other text NOT NULL, email text, c text DEFAULT 'c', UNIQUE (other, c)",
            {"t.other": "redact"},
            ["the unique index t_other_c_key may not take what 'redact' leaves there"],
            False,
            id="unique-with-another",
        ),
    ],
)
def test_what_may_not_fit_is_told_with_what_may_refuse_it(
    servers: Servers,
    tmp_path: Path,
    version: int,
    definition: str,
    policies: dict[str, str],
    warnings: list[str],
    restored: bool,
) -> None:
    (column,) = policies
    with fresh_database(servers[version]) as address:
        world = in_world(tmp_path, address, (f"CREATE TABLE t ({definition})", FULL), {"t.email": "keep", **policies})
        told = [f"table 't': column '{column[2:]}': {one}: a restore would fail; {DRILL}" for one in warnings]
        assert warned_and_restored(world, address) == (told, restored)


def test_nothing_in_a_unique_index_that_takes_nothing_once_is_told(database: Address, tmp_path: Path) -> None:
    statements = ("CREATE TABLE t (other text UNIQUE, email text UNIQUE NULLS NOT DISTINCT)", FULL)
    world = in_world(tmp_path, database, statements, {"t.email": "redact"})
    index = "the unique index t_email_key (of NULL, too) may not take what 'redact' leaves there"
    told = f"table 't': column 'email': {index}: a restore would fail; {DRILL}"
    assert warned_and_restored(world, database) == ([told], False)


def test_a_reference_whose_case_does_not_count_is_told_and_left_out(database: Address, tmp_path: Path) -> None:
    statements = (
        "CREATE EXTENSION citext",
        "CREATE TABLE u (email citext PRIMARY KEY)",
        "INSERT INTO u VALUES ('Hippo')",
        "CREATE TABLE t (email citext REFERENCES u)",
        "INSERT INTO t VALUES ('hippo')",
    )
    world = in_world(tmp_path, database, statements, {"*.email": "hash"})
    world.source["allow_breaking"] = ["t.email", "u.email"]
    world.save()
    what = "it may refer to u.email in another case, of which 'hash' makes another value"
    told = f"table 't': column 'email': {what}: a restore would leave the reference out"
    assert warned_and_restored(world, database) == ([told], True)


def test_references_to_a_partitioned_table_have_the_policy_that_its_dataset_gives(
    database: Address, tmp_path: Path
) -> None:
    statements = (
        "CREATE TABLE u (k int, email text, PRIMARY KEY (k, email)) PARTITION BY LIST (k)",
        "CREATE TABLE u1 PARTITION OF u FOR VALUES IN (1)",
        "INSERT INTO u VALUES (1, 'hippo')",
        "CREATE TABLE t (k int, email text, FOREIGN KEY (k, email) REFERENCES u)",
        "INSERT INTO t VALUES (1, 'hippo')",
    )
    world = in_world(tmp_path, database, statements, {"*.k": "keep"})
    world.source.update(datasets={"all": ["t", "u"]}, dataset_policies={"all": "hash"})
    world.source["allow_breaking"] = ["t.email", "u.email"]
    world.save()
    assert warned_and_restored(world, database) == ([], True)


def warned_and_restored(world: World, address: Address) -> tuple[list[str], bool]:
    """What the backup warns of, and whether it can be restored beside its source."""
    with connected(app=address):
        made = world.run("backup", "--json", "--source", "app")
        assert made.code == 0, made.err
        done = world.run(
            "restore", "latest", "--source", "app", "--to", f"postgres:app/{address.database}_2", "--accept-masked"
        )
    execute(address, f'DROP DATABASE IF EXISTS "{address.database}_2"')
    return list(made.json[0]["warnings"]), done.code == 0
