"""Geography reads a source's columns as text, and runs nothing of its users."""

from __future__ import annotations

import pytest
from tests.support.postgres_server import execute, query

from rlg_backup.core.errors import InvalidSetting
from rlg_backup.sources.geography import Geography, Level, TableGeography
from rlg_backup.sources.postgres.address import Address
from rlg_backup.sources.postgres.source import PostgresSource

CAST = "CREATE CAST (area AS text) WITH FUNCTION said(area) AS IMPLICIT"


@pytest.fixture
def areas(database: Address) -> Address:
    """Regions of a user's own type; the function that could cast it leaves a trace."""
    execute(
        database,
        "CREATE EXTENSION citext",
        "CREATE TYPE area AS ENUM ('north', 'south')",
        "CREATE DOMAIN of_area AS area",
        "CREATE TABLE regions (id of_area PRIMARY KEY)",
        "CREATE TABLE shops (n int, region area, country citext)",
        "CREATE TABLE countries (id citext PRIMARY KEY, region area)",
        "INSERT INTO regions VALUES ('north'), ('south')",
        "INSERT INTO countries VALUES ('Oz', 'south')",
        "INSERT INTO shops VALUES (1, 'north', NULL), (2, NULL, 'Oz')",
        "CREATE SEQUENCE runs",
        "CREATE FUNCTION said(area) RETURNS text LANGUAGE sql AS $$ SELECT 'run ' || nextval('public.runs') $$",
    )
    return database


def places(address: Address) -> dict[str, list[dict[str, object]]]:
    geography = Geography(
        {"region": Level("regions", "id"), "country": Level("countries", "id", "region")},
        {"shops": TableGeography({"region": "region", "country": "country"})},
    )
    with PostgresSource(address, geography=geography).snapshot() as snapshot:
        return {table.name: [row for batch in snapshot.read(table) for row in batch.to_pylist()]
                for table in snapshot.tables}  # fmt: skip


def test_columns_of_a_user_s_type_and_of_an_extension_s_are_read_as_their_text(areas: Address) -> None:
    assert [(row["n"], row["$region"], row["$country"]) for row in places(areas)["shops"]] == [
        (1, "north", None), (2, "south", "Oz"),
    ]  # fmt: skip


def test_a_cast_by_a_function_within_the_server_is_no_user_s(areas: Address) -> None:
    """citext brings one for char(n)."""
    for column in ("shops ALTER country", "countries ALTER id"):
        execute(areas, f"ALTER TABLE {column} TYPE char(2)")
    assert [row["$country"] for row in places(areas)["shops"]] == [None, "Oz"]


def test_a_type_that_a_function_of_a_user_casts_is_refused_before_it_runs(areas: Address) -> None:
    execute(areas, CAST)
    with pytest.raises(InvalidSetting) as caught:
        places(areas)
    assert str(caught.value) == (
        "unable to use 'geography.levels.region': a function of a user casts the type of 'regions.id': "
        "it would run as who backs up\nhint: name a column of another type"
    )
    assert query(areas, "SELECT is_called FROM runs") == [(False,)]


@pytest.mark.parametrize("kind", ["text", "varchar", "varchar(6)", "char(6)", 'text COLLATE "C"'])
def test_places_are_what_a_cast_of_the_columns_gives_whatever_their_type(database: Address, kind: str) -> None:
    """Those of a column of type text come from the column itself; a level that nothing tells is NULL."""
    execute(
        database,
        f"CREATE TABLE regions (id {kind} PRIMARY KEY)",
        f"CREATE TABLE countries (id {kind} PRIMARY KEY, region {kind})",
        f'CREATE TABLE shops (n int, "a country" {kind}, region {kind})',
        "INSERT INTO regions VALUES ('north'), ('')",
        "INSERT INTO countries VALUES ('Oz', 'north'), ('é', '')",
        "INSERT INTO shops VALUES (1, 'Oz', NULL), (2, 'é', NULL), (3, NULL, 'north'), (4, 'Oz', ''), (5, '', NULL)",
    )
    geography = Geography(
        {"region": Level("regions", "id"), "country": Level("countries", "id", "region")},
        {"shops": TableGeography({"country": "a country", "region": "region"})},
    )
    with PostgresSource(database, geography=geography).snapshot() as snapshot:
        table = next(table for table in snapshot.tables if table.name == "shops")
        rows = [row for batch in snapshot.read(table) for row in batch.to_pylist()]
    expected = query(
        database,
        'SELECT n, "a country"::text, coalesce(region, (SELECT region FROM countries WHERE id = "a country"))::text'
        " FROM shops ORDER BY n",
    )
    levels = [(row["n"], row["$country"], row["$region"]) for row in rows]
    assert sorted(levels) == expected
    assert {(row["$city"], row["$town"]) for row in rows} == {(None, None)}
