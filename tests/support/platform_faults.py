"""Faults for the databases of ``platform_db``, and the checks of the shipped suites that must find each.

Their SQL is SQLite's and PostgreSQL's: a truth value is written as text, which both read.
"""

from __future__ import annotations

NOWHERE = "(SELECT id FROM accounts WHERE town_id IS NULL)"  # its rows have no region, before and after
MOVED = "prices: rows by region equal those of the profile", "prices: rows by country equal those of the profile"
SPECIAL, SADC, GLOBAL = "country_code = 'IL'", "country_code = 'ZA'", "country_code = 'DE'"
PRICE = "plan = 'pro' AND period = 'monthly'"

FAULTS: list[tuple[str, str, set[str]]] = [
    # geography
    (
        "geography",
        "INSERT INTO geo_regions VALUES (NULL, 'x', 'global')",
        {"every region has a code", "regions and their price tiers are those of the configuration"},
    ),
    (
        "geography",
        "INSERT INTO geo_regions SELECT * FROM geo_regions WHERE code = 'asia'",
        {"codes of regions are unique"},
    ),
    (
        "geography",
        "UPDATE geo_regions SET pricing_tier = 'none' WHERE code = 'asia'",
        {"every region has a known price tier", "regions and their price tiers are those of the configuration"},
    ),
    (
        "geography",
        "UPDATE geo_regions SET pricing_tier = 'sadc' WHERE code = 'asia'",
        {"regions and their price tiers are those of the configuration"},
    ),
    (
        "geography",
        "DELETE FROM geo_regions WHERE code = 'asia'",
        {"regions and their price tiers are those of the configuration"},
    ),
    ("geography", "INSERT INTO geo_countries VALUES (NULL, 'x', 'asia')", {"every country has a code"}),
    (
        "geography",
        "INSERT INTO geo_countries SELECT * FROM geo_countries WHERE code = 'DE'",
        {"codes of countries are unique"},
    ),
    ("geography", "INSERT INTO geo_countries VALUES ('XYZ', 'x', 'asia')", {"codes of countries have two letters"}),
    ("geography", "UPDATE geo_countries SET region_code = NULL WHERE code = 'DE'", {"every country is in a region"}),
    (
        "geography",
        "UPDATE geo_countries SET region_code = 'atlantis' WHERE code = 'DE'",
        {"every geo_countries.region_code is a known geo_regions.code"},
    ),
    (
        "geography",
        "UPDATE geo_countries SET region_code = CASE code WHEN 'ZA' THEN 'africa' ELSE 'sadc' END "
        "WHERE code IN ('ZA', 'NG')",
        {"SADC has exactly the member states of the configuration"},
    ),
    (
        "geography",
        "UPDATE geo_countries SET region_code = 'africa' WHERE code = 'ZA'",
        {"SADC has exactly the member states of the configuration", "SADC has 16 member states"},
    ),
    (
        "geography",
        "UPDATE geo_countries SET region_code = 'special' WHERE code = 'DE'",
        {"the Special Region is Israel alone"},
    ),
    (
        "geography",
        "UPDATE geo_countries SET region_code = 'asia' WHERE code = 'IL'",
        {"the Special Region is Israel alone"},
    ),
    ("geography", "INSERT INTO geo_cities (name, country_code) VALUES ('x', 'DE')", {"every city has an id"}),
    ("geography", "INSERT INTO geo_cities SELECT * FROM geo_cities WHERE id = 1", {"ids of cities are unique"}),
    ("geography", "INSERT INTO geo_cities (id, name) VALUES (999, 'x')", {"every city is in a country"}),
    (
        "geography",
        "INSERT INTO geo_cities (id, name, country_code) VALUES (999, 'x', 'XX')",
        {"every geo_cities.country_code is a known geo_countries.code"},
    ),
    (
        "geography",
        "UPDATE geo_cities SET country_code = 'DE' WHERE country_code = 'ZA'",
        {"every SADC state and Israel have a city"},
    ),
    ("geography", "INSERT INTO geo_towns (name, city_id) VALUES ('x', 1)", {"every town has an id"}),
    ("geography", "INSERT INTO geo_towns SELECT * FROM geo_towns WHERE id = 100", {"ids of towns are unique"}),
    ("geography", "UPDATE geo_towns SET city_id = NULL WHERE id = 100", {"every town is in a city"}),
    (
        "geography",
        "UPDATE geo_towns SET city_id = 999 WHERE id = 100",
        {"every geo_towns.city_id is a known geo_cities.id"},
    ),
    # prices
    (
        "prices",
        f"INSERT INTO prices SELECT * FROM prices WHERE {GLOBAL} AND {PRICE}",
        {"a plan has one price by country and period"},
    ),
    (
        "prices",
        f"UPDATE prices SET amount_cents = 0 WHERE {GLOBAL} AND {PRICE}",
        {"every price is above zero", "no global price is different"},
    ),
    ("prices", f"DELETE FROM prices WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is missing"}),
    ("prices", f"DELETE FROM prices WHERE {SADC} AND {PRICE}", {"no SADC price is missing"}),
    ("prices", f"DELETE FROM prices WHERE {GLOBAL} AND {PRICE}", {"no global price is missing"}),
    (
        "prices",
        "INSERT INTO prices VALUES ('gift', 'IL', 'weekly', 'special', 1, 'USD', '1', 1)",
        {"no Special Region price is extra"},
    ),
    (
        "prices",
        "INSERT INTO prices VALUES ('gift', 'ZA', 'weekly', 'sadc', 1, 'USD', '0', 1)",
        {"no SADC price is extra"},
    ),
    (
        "prices",
        "INSERT INTO prices VALUES ('gift', 'DE', 'weekly', 'global', 1, 'USD', '0', 1)",
        {"no global price is extra"},
    ),
    (
        "prices",
        f"UPDATE prices SET amount_cents = amount_cents + 1 WHERE {SPECIAL} AND {PRICE}",
        {"no Special Region price is different"},
    ),
    (
        "prices",
        f"UPDATE prices SET currency = 'EUR' WHERE {SPECIAL} AND {PRICE}",
        {"no Special Region price is different"},
    ),
    ("prices", f"UPDATE prices SET amount_cents = 9900 WHERE {SADC} AND {PRICE}", {"no SADC price is different"}),
    ("prices", f"UPDATE prices SET amount_cents = 4900 WHERE {GLOBAL} AND {PRICE}", {"no global price is different"}),
    ("prices", f"UPDATE prices SET locked = '0' WHERE {SPECIAL} AND {PRICE}", {"every Special Region price is locked"}),
    (
        "prices",
        f"UPDATE prices SET locked = '1' WHERE {GLOBAL} AND {PRICE}",
        {"no price outside the Special Region is locked"},
    ),
    (
        "prices",
        f"UPDATE prices SET tier = 'sadc' WHERE {GLOBAL} AND {PRICE}",
        {"SADC prices are for SADC states and only for them"},
    ),
    (
        "prices",
        f"UPDATE prices SET tier = 'special' WHERE {GLOBAL} AND {PRICE}",
        {"Special Region prices are for Israel and only for it"},
    ),
    (
        "prices",
        f"UPDATE prices SET table_version = 0 WHERE {GLOBAL} AND {PRICE}",
        {"prices come from the version of the price table in the configuration"},
    ),
    (
        "prices",
        "INSERT INTO prices VALUES ('pro', 'XX', 'monthly', 'global', 9900, 'USD', '0', 1)",
        {"every prices.country_code is a known geo_countries.code"},
    ),
]

ROWS_BY = [
    (
        "rlg_data",
        "accounts",
        "UPDATE accounts SET town_id = 100 WHERE town_id = (SELECT MAX(id) FROM geo_towns WHERE city_id = "
        "(SELECT id FROM geo_cities WHERE country_code = 'DE'))",
    ),
    ("rlg_data", "subscriptions", "DELETE FROM subscriptions WHERE id = 1"),
    ("rlg_data", "payments", "INSERT INTO payments VALUES (999, 1, 1, 5900)"),
    ("rlg_data", "prices", f"DELETE FROM prices WHERE {SPECIAL}"),
    ("rlg_fans", "fan_accounts", "UPDATE fan_accounts SET town_id = NULL WHERE id = 1"),
    ("rlg_fans", "creators", "DELETE FROM creators WHERE id = 1"),
    ("rlg_fans", "prices", f"DELETE FROM prices WHERE {SADC}"),
]
