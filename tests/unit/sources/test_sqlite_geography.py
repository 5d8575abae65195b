"""Geography read inside the snapshot: fields after the columns, no row lost, slow look-ups told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rlg_backup.core.errors import InvalidSetting
from rlg_backup.sources.geography import parse_geography
from rlg_backup.sources.port import ROLE
from rlg_backup.sources.sqlite import SqliteSource

LEVELS = {
    "region": {"table": "regions", "key": "code"},
    "country": {"table": "countries", "key": "code", "parent": "region"},
    "town": {"table": "towns", "key": "id", "parent": "country"},
}


def make_places(path: Path, key: str = "INTEGER PRIMARY KEY") -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE regions (code TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE countries (code TEXT PRIMARY KEY, region TEXT)")
        connection.execute(f"CREATE TABLE towns (id {key}, country TEXT)")
        connection.execute("INSERT INTO countries VALUES ('IL', 'special'), ('ZA', 'sadc')")
        connection.execute("INSERT INTO towns VALUES (1, 'IL'), (2, 'ZA')")
    connection.close()


def test_geography_fields_follow_the_columns_and_a_row_without_one_is_kept(database: Path) -> None:
    make_places(database)
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE accounts SET town_id = CASE id WHEN 0 THEN NULL WHEN 1 THEN 77 ELSE 2 END WHERE id < 3"
        )
        connection.execute("DELETE FROM accounts WHERE id > 3")
    connection.close()
    geography = parse_geography({"levels": LEVELS, "tables": {"accounts": {"town": "town_id"}}})
    with SqliteSource(database, geography=geography).snapshot() as snapshot:
        (batch,) = snapshot.read(snapshot.tables[0])
        assert batch.schema.names == ["id", "name", "town_id", "$region", "$country", "$city", "$town"]
        assert [field.metadata[ROLE] for field in batch.schema if ROLE in field.metadata] == [
            b"region", b"country", b"city", b"town",
        ]  # fmt: skip
        places = [tuple(row.values())[3:] for row in batch.to_pylist()]
        assert places == [
            (None, None, None, None),
            (None, None, None, "77"),
            ("sadc", "ZA", None, "2"),
            ("special", "IL", None, "1"),
        ]
        (plain,) = snapshot.read(snapshot.tables[0], geography=False)
        assert plain.schema.names == ["id", "name", "town_id"]
        assert snapshot.warnings == ()


def test_geography_looked_up_without_an_index_is_a_warning(database: Path) -> None:
    make_places(database, key="INTEGER")
    geography = parse_geography({"levels": LEVELS, "tables": {"accounts": {"town": "town_id"}}})
    with SqliteSource(database, geography=geography).snapshot() as snapshot:
        assert snapshot.warnings == ("table 'accounts': its geography is looked up without an index, which is slow",)


def test_geography_of_a_column_the_source_lacks_is_refused_when_the_snapshot_opens(database: Path) -> None:
    make_places(database)
    geography = parse_geography({"levels": LEVELS, "tables": {"accounts": {"town": "town"}}})
    with pytest.raises(InvalidSetting) as caught, SqliteSource(database, geography=geography).snapshot():
        pass
    assert str(caught.value) == (
        "unable to use 'geography.tables.accounts': the table 'accounts' of the source has no column 'town'\n"
        "hint: did you mean 'town_id'?"
    )
