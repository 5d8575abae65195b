"""A column that looks personal and that nobody decided about is not saved in clear."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from tests.support.world import World, dump

from rlg_backup.core.errors import ColumnUnclassified, InvalidSetting, KeyUnavailable
from rlg_backup.core.model import Kind
from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.backup import BackupResult, backup
from rlg_backup.engine.restore import restore
from rlg_backup.engine.restore_points import choose
from rlg_backup.format.profile import TableProfile

TOKENIZED = "tokenized without a policy: "
ADDED = "ALTER TABLE people ADD COLUMN contact TEXT"
FILLED = "UPDATE people SET contact = 'c' || id || '@mail.example.org'"
NEW = ("c1@mail.example.org", "c2@mail.example.org", "c3@mail.example.org")
WAY_OUT = "give it a policy, or keep it by name"
TOLD = (
    f"{TOKENIZED}people.contact (email, confidence 0.99); {WAY_OUT}",
    f"{TOKENIZED}people.contact (email, found by the run before); {WAY_OUT}",
)


def change(world: World, *statements: str) -> None:
    connection = sqlite3.connect(world.root / "app.db", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def configured(world: World, **settings: Any) -> World:
    world.source.update(settings)
    world.save()
    return world


def people(world: World, done: BackupResult) -> TableProfile:
    wiring = world.wiring()
    profile = open_remote(wiring, choose(wiring, "app", done.backup_id), wiring.identities()).profile()
    return next(table for table in profile.tables if table.name == "people")


def policy(table: TableProfile, column: str) -> str:
    return next(one.policy for one in table.columns if one.name == column)


def told(done: BackupResult) -> list[str]:
    """What alerts say of it."""
    return [warning for warning in done.warnings if warning.startswith(TOKENIZED)]


def stored_text(world: World, done: BackupResult) -> bytes:
    """All that the archive of a backup holds of rows, decrypted, as Parquet has it."""
    wiring = world.wiring()
    archive = open_remote(wiring, choose(wiring, "app", done.backup_id), wiring.identities())
    names = [name for name in archive.names if name.startswith("data/")]
    return b"".join(archive.open(name).read() for name in names)


def assert_restored(world: World, done: BackupResult) -> None:
    place = world.root / f"back-{done.backup_id}.db"
    restore(world.wiring(), "app", done.backup_id, str(place))
    assert dump(place) == dump(world.root / "app.db")


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.INCREMENTAL])
def test_a_column_added_overnight_is_tokenized_told_and_comes_back(world: World, kind: Kind) -> None:
    backup(world.wiring(), "app", Kind.FULL)
    change(world, ADDED, FILLED)
    done = backup(world.wiring(), "app", kind)
    assert (done.kind, told(done)) == (kind.value, [TOLD[0]])
    table = people(world, done)
    assert (policy(table, "contact"), dict(table.detected), table.change) == ("tokenize", {"contact": "email"}, None)
    assert not [value for value in NEW if value.encode() in stored_text(world, done)]
    assert_restored(world, done)


def test_it_stays_tokenized_in_the_chain_when_its_values_are_gone_until_somebody_decides(world: World) -> None:
    change(world, ADDED, FILLED)
    backup(world.wiring(), "app", Kind.FULL)
    change(world, "UPDATE people SET contact = NULL", "INSERT INTO people (email, note) VALUES ('n@example.org', 'n')")
    done = backup(world.wiring(), "app", Kind.INCREMENTAL)
    table = people(world, done)
    assert (table.change is not None, policy(table, "contact"), told(done)) == (True, "tokenize", [TOLD[1]])
    assert_restored(world, done)
    configured(world, policies={**world.source["policies"], "people.contact": "tokenize"})
    done = backup(world.wiring(), "app", Kind.INCREMENTAL)
    table = people(world, done)
    assert (table.change is not None, dict(table.detected), told(done)) == (True, {}, [])
    configured(world, policies={**world.source["policies"], "people.contact": "keep"})
    done = backup(world.wiring(), "app", Kind.INCREMENTAL)
    table = people(world, done)
    assert (table.change, policy(table, "contact"), told(done)) == (None, "keep", [])
    assert_restored(world, done)


def test_a_run_stops_where_the_configuration_says_so(world: World) -> None:
    change(world, ADDED, FILLED)
    configured(world, unclassified="fail")
    with pytest.raises(ColumnUnclassified) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert str(caught.value) == (
        "unable to back up 'app': columns look personal and have no policy: "
        "people.contact (email, confidence 0.99)\n"
        "hint: give each a policy (rlg-backup privacy scan proposes some), or keep it by name"
    )
    assert (world.objects(), world.staged()) == ({}, [])


def test_without_a_key_to_tokenize_with_the_run_stops(world: World) -> None:
    del world.source["policies"], world.settings["tokenization"]
    world.save()
    with pytest.raises(KeyUnavailable) as caught:
        backup(world.wiring(), "app", Kind.FULL)
    assert str(caught.value) == (
        "unable to back up 'app': columns look personal, have no policy, and there is no key to tokenize them with: "
        "people.email (email, confidence 1.00); people.phone (phone, confidence 0.99)\n"
        "hint: set 'tokenization.key', or give each a policy (rlg-backup privacy scan proposes some), "
        "or keep it by name"
    )
    assert world.objects() == {}


@pytest.mark.parametrize(
    "decided",
    [
        {"personal_text_allowed": ["people.contact"]},
        {"policies": {"people.email": "tokenize", "people.phone": "tokenize", "people.cont*": "keep"}},
    ],
)
def test_what_its_owner_keeps_by_name_is_kept(world: World, decided: dict[str, Any]) -> None:
    change(world, ADDED, FILLED)
    done = backup(configured(world, unclassified="fail", **decided).wiring(), "app", Kind.FULL)
    assert policy(people(world, done), "contact") == "keep"


@pytest.mark.parametrize(
    "blanket",
    [
        {"policies": {"people.email": "tokenize", "people.phone": "tokenize", "people.*": "keep"}},
        {"classes": {"*.*": "plain"}},
    ],
)
def test_a_pattern_that_names_no_column_keeps_no_new_one(world: World, blanket: dict[str, Any]) -> None:
    change(world, ADDED, FILLED)
    done = backup(configured(world, **blanket).wiring(), "app", Kind.FULL)
    assert policy(people(world, done), "contact") == "tokenize"


def test_a_class_of_the_configuration_goes_before_what_the_detectors_say(world: World) -> None:
    change(world, "ALTER TABLE people ADD COLUMN email2 TEXT")
    configured(world, classes={"people.email2": "plain", "orders.cents": "personal"})
    done = backup(world.wiring(), "app", Kind.FULL)
    assert policy(people(world, done), "email2") == "keep"
    assert told(done) == [f"{TOKENIZED}orders.cents (by 'classes', confidence 1.00); {WAY_OUT}"]
    assert_restored(world, done)


def test_a_column_that_may_hold_personal_text_and_is_not_there_is_told(world: World) -> None:
    """Misspelt, it is no leave for the column that was meant."""
    change(world, ADDED, FILLED)
    allowed = ["people.contact", "people.contcat", "people.*"]
    done = backup(configured(world, personal_text_allowed=allowed).wiring(), "app", Kind.FULL)
    assert [warning for warning in done.warnings if "personal_text_allowed" in warning] == [
        "personal_text_allowed: 'people.*' is no column that is saved",
        "personal_text_allowed: 'people.contcat' is no column that is saved",
    ]
    assert policy(people(world, done), "contact") == "keep"
    done = backup(configured(world, personal_text_allowed=allowed[1:]).wiring(), "app", Kind.FULL)
    assert policy(people(world, done), "contact") == "tokenize"


def test_a_class_of_no_column_is_an_error(world: World) -> None:
    with pytest.raises(InvalidSetting) as caught:
        backup(configured(world, classes={"people.gone": "plain"}).wiring(), "app", Kind.FULL)
    assert str(caught.value) == (
        "unable to apply 'classes.people.gone': it matches no column of the source\n"
        "hint: correct the name, or take the line out"
    )


def test_the_sample_sees_the_last_rows_of_a_large_table(world: World) -> None:
    change(
        world,
        "CREATE TABLE large (id INTEGER PRIMARY KEY, stuff TEXT)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO large "
        "SELECT i, CASE WHEN i > 19800 THEN 'u' || i || '@mail.example.org' ELSE 'x' || i END FROM n",
    )
    done = backup(world.wiring(), "app", Kind.FULL)
    assert [line.split(" (")[0] for line in told(done)] == [f"{TOKENIZED}large.stuff"]
