"""Tiny databases of the two products, right in every respect until a test plants a fault.

They have no constraints and no triggers: a restored database that has lost those is what the suites are for.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[2] / "include" / "config"
OTHERS = {"DE": "europe", "FR": "europe", "NG": "africa", "NO": "europe", "US": "north_america"}
TOWNS_IN_A_CITY = 2

PLATFORM = """
CREATE TABLE geo_regions (code TEXT, name TEXT, pricing_tier TEXT);
CREATE TABLE geo_countries (code TEXT, name TEXT, region_code TEXT);
CREATE TABLE geo_cities (id INTEGER, name TEXT, country_code TEXT, population INTEGER, lat REAL, lon REAL);
CREATE TABLE geo_towns (id INTEGER, name TEXT, city_id INTEGER, population INTEGER);
CREATE TABLE prices (plan TEXT, country_code TEXT, period TEXT, tier TEXT, amount_cents INTEGER, currency TEXT,
    locked INTEGER, table_version INTEGER);
"""
DATA = """
CREATE TABLE accounts (id INTEGER, email TEXT, town_id INTEGER);
CREATE TABLE subscriptions (id INTEGER, account_id INTEGER);
CREATE TABLE payments (id INTEGER, subscription_id INTEGER, account_id INTEGER, amount_cents INTEGER);
CREATE TABLE login_sessions (token BLOB, account_id INTEGER);
CREATE TABLE scrape_sources (id INTEGER, account_id INTEGER, country_code TEXT);
CREATE TABLE scrape_jobs (id INTEGER, source_id INTEGER);
CREATE TABLE scrape_results (id INTEGER, job_id INTEGER);
CREATE TABLE compliance_rules (code TEXT, country_code TEXT);
CREATE TABLE compliance_checks (id INTEGER, rule_code TEXT, account_id INTEGER);
CREATE TABLE compliance_findings (id INTEGER, check_id INTEGER);
CREATE TABLE ai_analyses (id INTEGER, account_id INTEGER, result_id INTEGER);
CREATE TABLE ai_embeddings (analysis_id INTEGER);
CREATE TABLE reports (id INTEGER, account_id INTEGER);
CREATE TABLE report_runs (id INTEGER, report_id INTEGER);
CREATE TABLE report_recipients (report_id INTEGER, position INTEGER);
CREATE TABLE super_tool_links (id INTEGER, account_id INTEGER);
CREATE TABLE super_tool_calls (id INTEGER, link_id INTEGER);
CREATE TABLE event_log (at TEXT, account_id INTEGER);
"""
FANS = """
CREATE TABLE fan_accounts (id INTEGER, email TEXT, town_id INTEGER);
CREATE TABLE creators (id INTEGER, handle TEXT, city_id INTEGER);
CREATE TABLE fan_subscriptions (fan_id INTEGER, creator_id INTEGER);
CREATE TABLE fan_payments (id INTEGER, fan_id INTEGER, creator_id INTEGER, amount_cents INTEGER);
CREATE TABLE monetization_strategies (id INTEGER, creator_id INTEGER);
CREATE TABLE strategy_results (strategy_id INTEGER, week TEXT);
CREATE TABLE payouts (id INTEGER, creator_id INTEGER);
CREATE TABLE newsletters (slug TEXT, creator_id INTEGER);
CREATE TABLE newsletter_deliveries (id INTEGER, newsletter TEXT, fan_id INTEGER);
CREATE TABLE chat_conversations (id INTEGER, fan_id INTEGER);
CREATE TABLE chat_messages (conversation_id INTEGER, position INTEGER);
CREATE TABLE access_log (at TEXT, fan_id INTEGER);
"""


def build(folder: Path, product: str) -> Path:
    """Make ``rlg_data.db`` or ``rlg_fans.db`` in ``folder``; one owner lives in each town, one nowhere."""
    file = folder / f"{product}.db"
    with sqlite3.connect(file) as database:
        database.executescript(PLATFORM + (DATA if product == "rlg_data" else FANS))
        _geography(database)
        _prices(database)
        (_data if product == "rlg_data" else _fans)(database)
    database.close()
    return file


def plant(file: Path, *statements: str) -> None:
    """Damage a database."""
    with sqlite3.connect(file) as database:
        for statement in statements:
            assert database.execute(statement).rowcount != 0, f"the fault plants nothing: {statement}"
    database.close()


def geography_of(product: str) -> dict[str, dict[str, str]]:
    """The shipped configuration's path from a row to its place, by table; the levels' own tables included."""
    settings = yaml.safe_load((CONFIG / "backup.yaml").read_text("utf-8"))
    (source,) = (source for source, suites in settings["drill"]["suites"].items() if suites == product)
    geography = settings["sources"][source]["geography"]
    own = {level["table"]: {name: level["key"]} for name, level in geography["levels"].items()}
    return {**own, **geography["tables"]}


def profile_of(file: Path) -> dict[str, object]:
    """The profile a backup of an undamaged database would hold, as far as suites read it."""
    database = sqlite3.connect(file)
    paths = geography_of(file.stem)
    region = dict(database.execute("SELECT code, region_code FROM geo_countries"))
    city = dict(database.execute("SELECT id, country_code FROM geo_cities"))
    town = {key: city[of] for key, of in database.execute("SELECT id, city_id FROM geo_towns")}

    def countries(table: str, key: str) -> list[tuple[object, str]]:
        """Of each row the column ``key`` and the country."""
        path = paths[table]
        column = next(path[level] for level in ("through", "town", "city", "country", "region") if level in path)
        if "through" in path:
            known = dict(countries(path["of"], path["key"]))
        else:
            known = town if "town" in path else city if "city" in path else {code: code for code in region}
            known = {} if "region" in path else known
        rows = database.execute(f"SELECT {key}, {column} FROM {table}").fetchall()
        return [(first, known.get(value, "")) for first, value in rows]

    entries = []
    for table in paths:
        found = [country for _, country in countries(table, "1")]
        regions = [region.get(country, "") for country in found]
        if "region" in paths[table]:  # the table of the regions themselves: no row of it is in a country
            regions = [code for (code,) in database.execute(f"SELECT {paths[table]['region']} FROM {table}")]
            found = [""] * len(regions)
        geography = {"region": dict(Counter(regions)), "country": dict(Counter(found))}
        entries.append({"schema": "main", "name": table, "rows": len(found), "geography": geography})
    database.close()
    return {"type": "profile", "version": 1, "tables": entries, "tree": None, "excluded": [], "warnings": []}


def _geography(database: sqlite3.Connection) -> None:
    regions = yaml.safe_load((CONFIG / "regions.yaml").read_text("utf-8"))["regions"]
    database.executemany(
        "INSERT INTO geo_regions VALUES (?, ?, ?)", [(each["code"], each["name"], each["tier"]) for each in regions]
    )
    members = {code: each["code"] for each in regions for code in each.get("countries", [])}
    countries = sorted({**members, **OTHERS}.items())
    database.executemany(
        "INSERT INTO geo_countries VALUES (?, ?, ?)", [(code, f"Land {code}", of) for code, of in countries]
    )
    for number, (code, _) in enumerate(countries, start=1):
        database.execute("INSERT INTO geo_cities VALUES (?, ?, ?, 100000, 0.5, 0.5)", (number, f"City {number}", code))
        towns = [(number * 100 + each, f"Town {each}", number, 1000) for each in range(TOWNS_IN_A_CITY)]
        database.executemany("INSERT INTO geo_towns VALUES (?, ?, ?, ?)", towns)


def _prices(database: sqlite3.Connection) -> None:
    table = yaml.safe_load((CONFIG / "pricing.yaml").read_text("utf-8"))
    tiers = database.execute(
        "SELECT c.code, r.pricing_tier FROM geo_countries AS c JOIN geo_regions AS r ON r.code = c.region_code"
    ).fetchall()
    rows = [
        (
            price["plan"], code, price["period"], tier, price["amount_cents"], table["currency"],
            int(price["locked"]), table["version"],
        )
        for code, tier in tiers
        for price in table["prices"]
        if price["tier"] == tier
    ]  # fmt: skip
    database.executemany("INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _owners(database: sqlite3.Connection, table: str) -> int:
    towns = [town for (town,) in database.execute("SELECT id FROM geo_towns ORDER BY id")]
    owners = [(number, f"person{number}@example.org", town) for number, town in enumerate([*towns, None], start=1)]
    database.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", owners)
    return len(owners)


def _data(database: sqlite3.Connection) -> None:
    for number in range(1, _owners(database, "accounts") + 1):
        for statement in (
            "INSERT INTO subscriptions VALUES (?1, ?1)",
            "INSERT INTO payments VALUES (?1, ?1, ?1, 5900)",
            "INSERT INTO login_sessions VALUES (CAST(?1 AS BLOB), ?1)",
            "INSERT INTO scrape_sources VALUES (?1, ?1, NULLIF('DE', CASE ?1 WHEN 1 THEN 'DE' END))",
            "INSERT INTO scrape_jobs VALUES (?1, ?1)",
            "INSERT INTO scrape_results VALUES (?1, ?1)",
            "INSERT INTO compliance_rules VALUES ('rule' || ?1, 'ZA')",
            "INSERT INTO compliance_checks VALUES (?1, 'rule' || ?1, ?1)",
            "INSERT INTO compliance_findings VALUES (?1, ?1)",
            "INSERT INTO ai_analyses VALUES (?1, ?1, ?1)",
            "INSERT INTO ai_embeddings VALUES (?1)",
            "INSERT INTO reports VALUES (?1, ?1)",
            "INSERT INTO report_runs VALUES (?1, ?1)",
            "INSERT INTO report_recipients VALUES (?1, 1)",
            "INSERT INTO super_tool_links VALUES (?1, ?1)",
            "INSERT INTO super_tool_calls VALUES (?1, ?1)",
            "INSERT INTO event_log VALUES ('2026-01-01', ?1)",
        ):
            database.execute(statement, (number,))


def _fans(database: sqlite3.Connection) -> None:
    owners = _owners(database, "fan_accounts")
    database.execute("INSERT INTO creators SELECT id, 'creator' || id, id FROM geo_cities")
    creators = database.execute("SELECT COUNT(*) FROM creators").fetchone()[0]
    database.execute("INSERT INTO creators VALUES (?, 'nowhere', NULL)", (creators + 1,))
    for number in range(1, owners + 1):
        both = (number, number % creators + 1)
        for statement in (
            "INSERT INTO fan_subscriptions VALUES (?1, ?2)",
            "INSERT INTO fan_payments VALUES (?1, ?1, ?2, 1500)",
            "INSERT INTO monetization_strategies VALUES (?1, ?2)",
            "INSERT INTO strategy_results VALUES (?1, '2026-W01')",
            "INSERT INTO payouts VALUES (?1, ?2)",
            "INSERT INTO newsletters VALUES ('letter' || ?1, ?2)",
            "INSERT INTO newsletter_deliveries VALUES (?1, 'letter' || ?1, ?1)",
            "INSERT INTO chat_conversations VALUES (?1, ?1)",
            "INSERT INTO chat_messages VALUES (?1, 1)",
            "INSERT INTO access_log VALUES ('2026-01-01', ?1)",
        ):
            database.execute(statement, both[: 1 + ("?2" in statement)])
