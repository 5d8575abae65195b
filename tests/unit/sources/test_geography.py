"""Geography: every row in its place by one scalar expression a level, contradictions refused by name."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import InvalidSetting
from rlg_backup.core.model import LEVELS
from rlg_backup.sources.geography import Geography, parse_geography
from rlg_backup.sources.sqlite_schema import quoted

SETTINGS: dict[str, Any] = {
    "levels": {
        "region": {"table": "geo_regions", "key": "code"},
        "country": {"table": "geo_countries", "key": "code", "parent": "region_code"},
        "city": {"table": "geo_cities", "key": "id", "parent": "country_code"},
        "town": {"table": "geo_towns", "key": "id", "parent": "city_id"},
    },
    "tables": {
        "accounts": {"town": "town_id"},
        "subscriptions": {"through": "account_id", "of": "accounts", "key": "id"},
        "payments": {"through": "subscription_id", "of": "subscriptions", "key": "id"},
        "prices": {"country": "country_code"},
        "visits": {"region": "region_code", "city": "city_id"},
    },
}


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript("""
        CREATE TABLE geo_regions (code TEXT PRIMARY KEY);
        CREATE TABLE geo_countries (code TEXT PRIMARY KEY, region_code TEXT);
        CREATE TABLE geo_cities (id INTEGER PRIMARY KEY, country_code TEXT);
        CREATE TABLE geo_towns (id INTEGER PRIMARY KEY, city_id INTEGER);
        CREATE TABLE accounts (id INTEGER PRIMARY KEY, town_id INTEGER);
        CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, account_id INTEGER);
        CREATE TABLE payments (id INTEGER PRIMARY KEY, subscription_id INTEGER);
        CREATE TABLE prices (id INTEGER PRIMARY KEY, country_code TEXT);
        CREATE TABLE visits (id INTEGER PRIMARY KEY, region_code TEXT, city_id INTEGER);
        INSERT INTO geo_regions VALUES ('sadc'), ('special');
        INSERT INTO geo_countries VALUES ('ZA', 'sadc'), ('IL', 'special'), ('XX', NULL);
        INSERT INTO geo_cities VALUES (10, 'ZA'), (20, 'IL'), (30, 'gone');
        INSERT INTO geo_towns VALUES (100, 10), (200, 20), (300, 30), (400, NULL);
        INSERT INTO accounts VALUES (1, 100), (2, 200), (3, 300), (4, 400), (5, NULL), (6, 999);
        INSERT INTO subscriptions VALUES (1, 2), (2, 2), (3, NULL), (4, 77);
        INSERT INTO payments VALUES (1, 1), (2, 4);
        INSERT INTO prices VALUES (1, 'ZA'), (2, 'XX'), (3, NULL);
        INSERT INTO visits VALUES (1, 'own', 10), (2, NULL, 10), (3, 'own', NULL);
    """)
    return connection


def places(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    expressions = parse_geography(SETTINGS).expressions(table, '"row"', quoted)
    selected = ", ".join(expressions[level] for level in LEVELS)
    return connection.execute(f'SELECT {selected} FROM {quoted(table)} AS "row" ORDER BY "row".rowid').fetchall()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "accounts",
            [
                ("sadc", "ZA", "10", "100"),
                ("special", "IL", "20", "200"),
                (None, "gone", "30", "300"),
                (None, None, None, "400"),
                (None, None, None, None),
                (None, None, None, "999"),
            ],
        ),
        ("subscriptions", [("special", "IL", "20", "200")] * 2 + [(None,) * 4] * 2),
        ("payments", [("special", "IL", "20", "200"), (None,) * 4]),
        ("prices", [("sadc", "ZA", None, None), (None, "XX", None, None), (None,) * 4]),
        ("visits", [("own", "ZA", "10", None), ("sadc", "ZA", "10", None), ("own", None, None, None)]),
        ("geo_regions", [("sadc", None, None, None), ("special", None, None, None)]),
        ("geo_countries", [("sadc", "ZA", None, None), ("special", "IL", None, None), (None, "XX", None, None)]),
        ("geo_cities", [("sadc", "ZA", "10", None), ("special", "IL", "20", None), (None, "gone", "30", None)]),
    ],
)
def test_rows_lie_where_their_finest_level_leads(table: str, expected: list[tuple[Any, ...]]) -> None:
    assert places(database(), table) == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=12))
def test_keys_that_repeat_in_a_level_table_never_multiply_rows(towns: list[tuple[int, int]]) -> None:
    connection = database()
    connection.executescript("DROP TABLE geo_towns; CREATE TABLE geo_towns (id, city_id); DELETE FROM accounts")
    connection.executemany("INSERT INTO geo_towns VALUES (?, ?)", towns)
    connection.executemany("INSERT INTO accounts VALUES (?, ?)", [(number, number) for number in range(5)])
    assert len(places(connection, "accounts")) == 5


def test_every_expression_is_a_text_and_a_table_without_geography_has_none() -> None:
    geography = parse_geography(SETTINGS)
    assert geography.expressions("prices", "r", quoted) == {
        "region": 'CAST((SELECT "geo1"."region_code" FROM "geo_countries" AS "geo1"'
        ' WHERE "geo1"."code" = r."country_code") AS TEXT)',
        "country": 'CAST(r."country_code" AS TEXT)',
        "city": "CAST(NULL AS TEXT)",
        "town": "CAST(NULL AS TEXT)",
    }
    assert geography.expressions("other", "r", quoted) == {}


def test_names_are_quoted_and_tables_by_their_own_rule() -> None:
    odd = 'x" FROM secrets --'
    geography = parse_geography(
        {"levels": {"region": {"table": "t", "key": odd}}, "tables": {"public.a": {"region": odd}}}
    )
    assert geography.expressions("t", "r", quoted)["region"] == 'CAST(r."x"" FROM secrets --" AS TEXT)'
    through = parse_geography(
        {
            "levels": {"region": {"table": "t", "key": "k"}},
            "tables": {"public.a": {"region": "r"}, "b": {"through": "a_id", "of": "public.a", "key": "id"}},
        }
    )
    written = through.expressions("b", "row", quoted, lambda name: ".".join(map(quoted, name.split("."))))["region"]
    assert written == 'CAST((SELECT "geo1"."r" FROM "public"."a" AS "geo1" WHERE "geo1"."id" = row."a_id") AS TEXT)'


COLUMNS = {
    "geo_regions": ["code"],
    "geo_countries": ["code", "region_code"],
    "geo_cities": ["id", "country_code"],
    "geo_towns": ["id", "city_id"],
    "accounts": ["id", "town_id"],
    "subscriptions": ["id", "account_id"],
    "payments": ["id", "subscription_id"],
    "prices": ["id", "country_code"],
    "visits": ["id", "region_code", "city_id"],
}


def test_a_source_that_has_all_that_is_named_passes() -> None:
    parse_geography(SETTINGS).check(COLUMNS)


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_a_table_the_source_lacks_is_named(table: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_geography(SETTINGS).check({name: columns for name, columns in COLUMNS.items() if name != table})
    assert caught.value.cause == f"the source has no table '{table}'"


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("geo_towns", "city_id", "levels.town': the table 'geo_towns' of the source has no column 'city_id'"),
        ("accounts", "town_id", "tables.accounts': the table 'accounts' of the source has no column 'town_id'"),
        ("accounts", "id", "tables.subscriptions': the table 'accounts' of the source has no column 'id'"),
        (
            "payments",
            "subscription_id",
            "tables.payments': the table 'payments' of the source has no column 'subscription_id'",
        ),
    ],
)
def test_a_column_the_source_lacks_is_named(table: str, column: str, message: str) -> None:
    lacking = {name: [one for one in columns if (name, one) != (table, column)] for name, columns in COLUMNS.items()}
    with pytest.raises(InvalidSetting) as caught:
        parse_geography(SETTINGS).check(lacking)
    assert str(caught.value).split("\n")[0] == f"unable to use 'geography.{message}"


LEVEL = {"table": "t", "key": "k"}
HOW = "it needs levels with their columns, or all of through, of and key"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"level": {}}, "level': no setting has this name\nhint: did you mean 'levels'?"),
        ({"levels": []}, "levels': it is not a mapping of names"),
        ({"levels": {"region": {"table": "t", "key": "k", "up": "x"}}}, "levels.region.up': no setting has this name"),
        ({"levels": {"region": {"table": "t"}}}, "levels.region': it needs a table and a key"),
        ({"levels": {"region": {"table": "t", "key": 5}}}, "levels.region.key': it is not a name"),
        (
            {"levels": {"planet": LEVEL}},
            "levels.planet': there is no such level; the levels are region, country, city, town",
        ),
        ({"levels": {"region": {**LEVEL, "parent": "p"}}}, "levels.region.parent': no level above it is configured"),
        (
            {"levels": {"region": LEVEL, "town": {"table": "u", "key": "k"}}},
            "levels.town': it has no parent, so nothing says which region it lies in",
        ),
        (
            {"levels": {"region": LEVEL, "town": {**LEVEL, "parent": "p"}}},
            "levels.town.table': 't' is the table of another level",
        ),
        (
            {"levels": {"region": LEVEL}, "tables": {"a": {"town": "x"}}},
            "tables.a.town': the level 'town' is not configured",
        ),
        ({"levels": {"region": LEVEL}, "tables": {"a": {}}}, f"tables.a': {HOW}"),
        ({"levels": {"region": LEVEL}, "tables": {"a": {"through": "x", "of": "b"}}}, f"tables.a': {HOW}"),
        ({"levels": {"region": LEVEL}, "tables": {"a": {"region": "x", "of": "b"}}}, f"tables.a': {HOW}"),
        (
            {"levels": {"region": LEVEL}, "tables": {"a": {"region": "x", "through": "x", "of": "t", "key": "k"}}},
            f"tables.a': {HOW}",
        ),
        (
            {"levels": {"region": LEVEL}, "tables": {"a": {"through": "x", "of": "b", "key": "k"}}},
            "tables.a.of': the table 'b' has no geography",
        ),
        (
            {"tables": {"a": {"through": "x", "of": "b", "key": "k"}, "b": {"through": "x", "of": "a", "key": "k"}}},
            "tables.a': its way leads in a circle: a > b > a",
        ),
        (
            {"tables": {"a": {"through": "x", "of": "a", "key": "k"}}},
            "tables.a': its way leads in a circle: a > a",
        ),
    ],
)
def test_a_geography_that_contradicts_itself_is_refused_by_name(value: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse_geography(value)
    assert str(caught.value) == f"unable to use 'geography.{message}"


def test_no_geography_at_all_is_fine() -> None:
    assert Geography({}, {}).expressions("t", "r", quoted) == {}
