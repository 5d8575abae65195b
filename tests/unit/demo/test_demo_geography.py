"""Places are real and nested; prices are those of the price table, and locked where they must be."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from math import acos, cos, radians, sin
from pathlib import Path

import pytest
import yaml

from rlg_backup.core.errors import ConfigurationError
from rlg_backup.demo import generate
from rlg_backup.demo.geography import known_places

from .conftest import DATABASES, INCLUDE, wrong_prices

SADC = {
    *("Angola", "Botswana", "Comoros", "Democratic Republic of the Congo", "Eswatini", "Lesotho", "Madagascar"),
    *("Malawi", "Mauritius", "Mozambique", "Namibia", "Seychelles", "South Africa", "Tanzania", "Zambia", "Zimbabwe"),
}
# (plan, weekly, monthly) in US dollars; None where it is not sold.
AGREED = {
    "special": [("creator", 35, 99), ("pro", 99, 499), ("enterprise", None, 699), ("media_pack", None, 2500)],
    "sadc": [("creator", 8, 30), ("pro", 12, 49), ("enterprise", None, 199), ("media_pack", None, 999)],
    "global": [("creator", 15, 59), ("pro", 35, 99), ("enterprise", None, 299), ("media_pack", None, 1500)],
}


def test_the_price_file_says_what_was_agreed() -> None:
    written = yaml.safe_load((INCLUDE / "config" / "pricing.yaml").read_text())
    found = {(p["tier"], p["plan"], p["period"]): (p["amount_cents"], p["locked"]) for p in written["prices"]}
    expected = {
        (tier, plan, period): (100 * dollars, tier == "special")
        for tier, rows in AGREED.items()
        for plan, *amounts in rows
        for period, dollars in zip(("weekly", "monthly"), amounts, strict=True)
        if dollars
    }
    assert found == expected
    assert len(written["prices"]) == len(expected)
    assert written["currency"] == "USD"


@pytest.mark.parametrize("name", DATABASES)
def test_every_country_has_exactly_the_prices_of_its_tier(made: Path, name: str) -> None:
    written = yaml.safe_load((INCLUDE / "config" / "pricing.yaml").read_text())["prices"]
    with closing(sqlite3.connect(made / f"{name}.db")) as database:
        tiers = dict(
            database.execute(
                "SELECT c.code, r.pricing_tier FROM geo_countries c JOIN geo_regions r ON r.code = c.region_code"
            )
        )
        stored = database.execute("SELECT country_code, plan, tier, period, amount_cents, locked FROM prices")
        expected = {
            (code, p["plan"], tier, p["period"], p["amount_cents"], int(p["locked"]))
            for code, tier in tiers.items()
            for p in written
            if p["tier"] == tier
        }
        assert set(stored.fetchall()) == expected
        assert len(tiers) == 250


def test_the_sadc_is_its_16_members_and_the_special_region_is_israel(data: sqlite3.Connection) -> None:
    members = {row[0] for row in data.execute("SELECT name FROM geo_countries WHERE region_code = 'sadc'")}
    assert len(members) == 16
    assert members == SADC
    special = "SELECT c.code, r.name FROM geo_countries c JOIN geo_regions r ON r.code = c.region_code"
    assert data.execute(f"{special} WHERE r.pricing_tier = 'special'").fetchall() == [("IL", "Special Region")]


def test_israel_and_every_sadc_state_have_cities_towns_and_customers(data: sqlite3.Connection) -> None:
    counted = data.execute(
        """
        SELECT c.code, (SELECT count(*) FROM geo_cities WHERE country_code = c.code),
               (SELECT count(*) FROM places WHERE country_code = c.code),
               (SELECT count(*) FROM accounts JOIN places USING (town_id) WHERE country_code = c.code)
        FROM geo_countries c JOIN geo_regions r ON r.code = c.region_code WHERE r.pricing_tier <> 'global'
        """
    ).fetchall()
    assert len(counted) == 17
    assert all(cities >= 3 and towns >= 3 and people >= 1 for _, cities, towns, people in counted)


def test_a_town_belongs_to_the_nearest_city_of_its_country(data: sqlite3.Connection) -> None:
    """By the great circle, computed here another way; a flat map may be wrong by a few per cent."""
    known = {place.id: place for places in known_places().values() for place in places}
    cities: dict[str, list[tuple[int, float, float]]] = {}
    for key, country, lat, lon in data.execute("SELECT id, country_code, lat, lon FROM geo_cities"):
        cities.setdefault(country, []).append((key, lat, lon))
    for town, city, country in data.execute("SELECT town_id, city_id, country_code FROM places"):
        place = known[town]
        assert place.country == country
        distance = {key: great_circle(place.lat, place.lon, lat, lon) for key, lat, lon in cities[country]}
        assert distance[city] <= 1.25 * min(distance.values()) + 0.001, place


def great_circle(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """The angle between two places, in radians."""
    one, other, between = radians(lat), radians(other_lat), radians(other_lon - lon)
    return acos(min(1.0, sin(one) * sin(other) + cos(one) * cos(other) * cos(between)))


def test_some_customers_have_no_known_place_and_no_city_is_a_town(data: sqlite3.Connection) -> None:
    assert data.execute("SELECT count(*) FROM accounts WHERE town_id IS NULL").fetchone()[0] > 0
    assert data.execute("SELECT count(*) FROM geo_towns WHERE id IN (SELECT id FROM geo_cities)").fetchone() == (0,)


def test_each_subscription_costs_what_its_place_pays(made: Path) -> None:
    """And the global price where the place is unknown."""
    holders = {
        "rlg_data": ("subscriptions", "accounts", "account_id"),
        "rlg_fans": ("fan_subscriptions", "fan_accounts", "fan_id"),
    }
    for name, (table, holder, key) in holders.items():
        with closing(sqlite3.connect(made / f"{name}.db")) as database:
            assert wrong_prices(database, table, holder, key) == 0


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE prices SET amount_cents = 1 WHERE country_code = 'IL' AND plan = 'pro'",
        "UPDATE prices SET locked = 0 WHERE country_code = 'IL'",
        "UPDATE OR REPLACE prices SET country_code = 'IL' WHERE country_code = 'ZA'",
        "DELETE FROM prices WHERE country_code = 'IL'",
        "INSERT OR REPLACE INTO prices VALUES ('pro', 'IL', 'weekly', 'special', 1, 'USD', 0, 1)",
        "INSERT INTO prices VALUES ('enterprise', 'IL', 'weekly', 'special', 1, 'USD', 0, 1)",
    ],
)
def test_prices_of_the_special_region_cannot_be_changed(copy: Path, name: str, statement: str) -> None:
    with closing(sqlite3.connect(copy / f"{name}.db")) as database:
        before = database.execute("SELECT * FROM prices").fetchall()
        with pytest.raises(sqlite3.IntegrityError, match=r"^Special Region prices are hard locked$"):
            database.execute(statement)
        database.rollback()
        assert database.execute("SELECT * FROM prices").fetchall() == before


@pytest.mark.parametrize(
    "change", ["region_code = 'asia' WHERE code = 'IL'", "region_code = 'special' WHERE code = 'ZA'"]
)
def test_no_country_enters_or_leaves_the_special_region(copy: Path, change: str) -> None:
    with (
        closing(sqlite3.connect(copy / "rlg_data.db")) as database,
        pytest.raises(sqlite3.IntegrityError, match=r"^the Special Region is hard locked$"),
    ):
        database.execute(f"UPDATE geo_countries SET {change}")


def test_other_prices_can_be_changed(copy: Path) -> None:
    with closing(sqlite3.connect(copy / "rlg_data.db")) as database:
        done = database.execute("UPDATE prices SET amount_cents = amount_cents + 1 WHERE country_code = 'ZA'")
        assert done.rowcount == 6


def broken(include: Path, name: str, text: str | None) -> None:
    file = include / name
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "config/pricing.yaml",
            None,
            "unable to read '{0}/config/pricing.yaml': the demo platform's fixed data cannot be read\n"
            "hint: name the project's include folder",
        ),
        ("config/regions.yaml", "a: [", "unable to read '{0}/config/regions.yaml': it is not YAML"),
        ("demo/people.yaml", "- 1", "unable to read '{0}/demo/people.yaml': it holds no mapping"),
        (
            "config/pricing.yaml",
            "{version: 1, currency: USD}",
            "unable to read 'include/config': pricing.yaml or regions.yaml has another shape (KeyError)",
        ),
        (
            "config/pricing.yaml",
            "{version: 1, currency: USD, prices: []}",
            "unable to read 'include/config/pricing.yaml': tier global has no price",
        ),
    ],
)
def test_wrong_fixed_data_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    include = Path(shutil.copytree(INCLUDE, tmp_path / "include"))
    broken(include, name, text)
    with pytest.raises(ConfigurationError) as raised:
        generate(tmp_path / "p", include=include, size=1)
    assert type(raised.value) is ConfigurationError
    assert str(raised.value) == message.format(include)


def test_a_region_that_names_no_country_is_refused(tmp_path: Path) -> None:
    include = Path(shutil.copytree(INCLUDE, tmp_path / "include"))
    regions = include / "config" / "regions.yaml"
    regions.write_text(regions.read_text().replace('"ZW"', '"QQ"'))
    with pytest.raises(ConfigurationError) as raised:
        generate(tmp_path / "p", include=include, size=1)
    assert str(raised.value) == "unable to read 'include/config/regions.yaml': no country has the code QQ"
