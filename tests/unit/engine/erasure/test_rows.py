"""Rows are told by what they hold, however a database stores it, and what is left equals the profile less them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from tests.support.compare import assert_databases_equal
from tests.support.forgotten import erased, execute, restored, rows, with_erasures
from tests.support.world import World

from rlg_backup.engine.erasure.rows import own_values
from rlg_backup.engine.erasure.subjects import Subjects, texts_of
from rlg_backup.format.erasure import hashed, spellings_of, subject_of, subjects_of
from rlg_backup.format.forms import from_python
from rlg_backup.format.keys import ErasureKey


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1, None, -(2**63)], pa.int64()), ["1", None, str(-(2**63))]),
        (pa.array(["a", None, " b "]), ["a", None, " b "]),
        (pa.array([2.0, 2.5, None]), ["2", "2.5", None]),
        (pa.array([b"\x00\xff", None]), ["00ff", None]),
        (pa.nulls(2), [None, None]),
        (from_python([7, "7", 7.0, None, b"\x07", bytearray(b"\xff")]), ["7", "7", "7", None, "07", "ff"]),
    ],
)
def test_values_have_one_text_however_they_are_stored(column: pa.Array, texts: list[str | None]) -> None:
    assert texts_of(column).to_list() == pl.Series(texts, dtype=pl.String).to_list()


def test_a_subjects_key_has_one_spelling() -> None:
    key = ErasureKey.generate()
    subjects = Subjects("account", [(key, frozenset({subject_of(key, "account", "Zo\u00eb").sha256}))])
    assert [subjects.has(text) for text in ("Zoe\u0308", " Zo\u00eb\n", "zo\u00eb", "Zoe")] == [
        True,
        True,
        False,
        False,
    ]
    assert hashed(key, "account", "1") != hashed(key, "fan", "1")


def test_of_several_things_that_befall_a_row_deleting_is_the_last_and_emptying_adds_up(
    tmp_path: Path,
) -> None:
    """More rows than a batch, in several parts; keys of several classes in one column."""
    world = World.make(tmp_path / "world")
    world.source["policies"] = {}
    world.source["personal_text_allowed"] = ["people.email", "people.phone"]
    execute(
        world.root / "app.db",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, writer, reader, a TEXT, b TEXT, c TEXT)",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) INSERT INTO notes"
        " SELECT i, CASE i % 3 WHEN 0 THEN i % 7 WHEN 1 THEN CAST(i % 7 AS TEXT) ELSE i % 7 + 0.0 END, i % 5,"
        " 'a', 'b', 'c' FROM n",
    )
    rules = {
        "notes": [
            {"through": "writer", "action": "anonymize", "columns": ["a"]},
            {"through": "reader", "action": "anonymize", "columns": ["b"]},
        ]
    }
    with_erasures(world, action="anonymize", columns=["phone"], tables={"orders": {"through": "person"}, **rules})
    world.back_up()
    erased(world, "2")
    done = restored(world, "latest")
    assert done.code == 0, done.out
    found = rows(
        world.root / "back.db",
        "SELECT a, b, count(*), min(CAST(writer AS INTEGER) = 2), min(reader = 2), count(c) FROM notes"
        " GROUP BY 1, 2 ORDER BY 1, 2",
    )
    assert found == [
        (None, None, 2000, 1, 1, 2000),
        (None, "b", 8000, 1, 0, 8000),
        ("a", None, 12000, 0, 1, 12000),
        ("a", "b", 48000, 0, 0, 48000),
    ]
    assert done.json["erased"]["notes"] == {"deleted": 0, "anonymized": 22000, "places": {}}
    with_erasures(world, tables={"orders": {"through": "person"}, "notes": {"through": "writer"}})
    assert restored(world, "latest", "again.db").code == 0
    execute(world.root / "app.db", "DELETE FROM notes WHERE CAST(writer AS INTEGER) = 2")
    execute(world.root / "app.db", "DELETE FROM orders WHERE person = 2", "DELETE FROM people WHERE id = 2")
    assert_databases_equal(world.root / "app.db", world.root / "again.db")


def test_a_value_in_place_of_one_fits_its_column() -> None:
    column = pa.array(["a@x.org", "b@x.org", "a@x.org"])
    long, short = (own_values(b"k" * 32, column, of).to_pylist() for of in ("text", "character varying(12)"))
    assert [len(text) for text in long + short] == [23] * 3 + [12] * 3
    assert long[0] == long[2] != long[1]
    assert (short[0] == short[2], short[0] == short[1]) == (True, False)
    assert own_values(b"l" * 32, column, "text").to_pylist()[0] != long[0]


def test_a_null_that_was_there_before_its_column_took_none_stays() -> None:
    """PostgreSQL 18 takes NOT NULL ... NOT VALID."""
    found = own_values(b"k" * 32, pa.array(["a@x.org", None, "a@x.org"]), "text").to_pylist()
    assert (found[0], found[1]) == (found[2], None)
    assert own_values(b"k" * 32, pa.array([None], pa.string()), "text").to_pylist() == [None]


UUID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
DIGITS = UUID.replace("-", "")


def test_a_uuid_has_one_spelling_and_what_is_none_keeps_its_own() -> None:
    assert {spellings_of(text)[0] for text in (UUID, UUID.upper(), DIGITS, f" {DIGITS.upper()}")} == {UUID}
    for text in (UUID[:-1], UUID.replace("-", "", 1), f"{UUID}0", f"{{{UUID}}}", "Ann"):
        assert spellings_of(text) == [text]


@pytest.mark.parametrize("asked", [UUID, UUID.upper(), DIGITS])
def test_a_uuid_is_found_however_it_is_written_or_stored(tmp_path: Path, asked: str) -> None:
    world = World.make(tmp_path / "world")
    columns = f"(1, '{UUID.upper()}'), (2, '{DIGITS}'), (3, x'{DIGITS}'), (4, '{UUID[:-1]}e'), (5, x'{DIGITS[:-1]}e')"
    execute(
        world.root / "app.db",
        "CREATE TABLE devices (id INTEGER PRIMARY KEY, uuid)",
        f"INSERT INTO devices VALUES {columns}",
    )
    world.source["personal_text_allowed"] = ["devices.uuid"]
    with_erasures(world, table="devices", column="uuid", tables={})
    world.back_up()
    erased(world, asked)
    done = restored(world, "latest")
    assert done.code == 0, done.out
    assert rows(world.root / "back.db", "SELECT id FROM devices") == [(4,), (5,)]


def test_entries_from_before_uuids_had_one_spelling_are_found_and_answered() -> None:
    key = ErasureKey.generate()
    for old in (UUID.upper(), DIGITS):
        subjects = Subjects("account", [(key, frozenset({hashed(key, "account", old)}))])
        assert subjects.has(old)
        assert [one.sha256 for one in subjects_of(key, "account", old)].count(hashed(key, "account", old)) == 1
    assert Subjects("account", [(key, frozenset({hashed(key, "account", DIGITS)}))]).has(UUID)
