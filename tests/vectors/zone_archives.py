"""Golden archives of backups whose rows lie in archives of their zones."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from tests.vectors.golden import Golden, feature

ABROAD: dict[str, Any] = {  # a restore needs a place that every zone names
    "jurisdictions": {"EU": ["eu-central-1"], "IL": ["il-central-1"], "LAB": []},
    "zones": {
        "europe": {"jurisdictions": ["EU", "LAB"], "region": ["europe"]},
        "israel": {"jurisdictions": ["IL", "LAB"], "country": ["IL"]},
        "world": {"jurisdictions": ["EU", "IL", "LAB"]},
    },
    "here": "LAB",
}
LEVELS = {
    "region": {"table": "regions", "key": "code"},
    "country": {"table": "countries", "key": "code", "parent": "region"},
}


@feature
def zones(golden: Golden) -> None:
    """Rows of two zones that lie on a target each: some that move between them, change, go, and come."""
    targets = {"eu": {"type": "local", "path": "backups-eu"}, "il": {"type": "local", "path": "backups-il"}}
    jurisdictions = {"eu": {"jurisdiction": "EU"}, "il": {"jurisdiction": "IL"}}
    golden.world.settings["targets"] = {name: targets[name] | jurisdictions[name] for name in targets}
    golden.world.settings["residency"] = ABROAD
    golden.reading = {"residency": ABROAD, "targets": jurisdictions, "sources": {"app": {"zone": "world"}}}
    tables = {"accounts": {"country": "country"}, "payments": {"through": "account", "of": "accounts", "key": "id"}}
    connection = golden.database(
        "CREATE TABLE regions (code TEXT PRIMARY KEY)",
        "CREATE TABLE countries (code TEXT PRIMARY KEY, region TEXT)",
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, country TEXT, email TEXT)",
        "CREATE TABLE payments (id INTEGER PRIMARY KEY, account INTEGER, cents INTEGER)",
        "INSERT INTO regions VALUES ('europe'), ('sadc'), ('special')",
        "INSERT INTO countries VALUES ('DE', 'europe'), ('ZA', 'sadc'), ('IL', 'special')",
        "INSERT INTO accounts VALUES (1, 'DE', 'a@example.org'), (2, 'IL', 'b@example.org')",
        "INSERT INTO accounts VALUES (3, 'ZA', NULL), (4, NULL, 'd@example.org')",
        "INSERT INTO payments VALUES (1, 1, 100), (2, 2, 250), (3, 3, -50), (4, 4, 7), (5, 2, 9007199254740993)",
        zone="world",
        geography={"levels": LEVELS, "tables": tables},
        totals={"payments": ["cents"]},
        policies={"accounts.email": "tokenize"},
    )
    with closing(connection):
        golden.back_up(
            manifest={"kind": "full"},
            profile={
                "tables.accounts.zones": {"europe": {"rows": 1, "stored": 1}, "israel": {"rows": 1, "stored": 1}},
                "tables.payments.zones": {"europe": {"rows": 1, "stored": 1}, "israel": {"rows": 2, "stored": 2}},
                "tables.accounts.geography.country": {"ZA": 1, "": 1},
                "tables.payments.totals.cents.all": "-43",
                "tables.accounts.rows": 4,
            },
        )
        connection.execute("UPDATE accounts SET country = 'IL' WHERE id = 1")
        connection.execute("DELETE FROM payments WHERE id = 2")
        connection.execute("INSERT INTO payments VALUES (6, 1, 60), (7, 2, 70), (8, 3, 80)")
        golden.back_up(
            kind="incremental",
            manifest={"kind": "incremental"},
            profile={
                "tables.accounts.zones": {"israel": {"rows": 2, "stored": 1}},
                "tables.payments.zones": {"israel": {"rows": 4, "stored": 2}},
                "tables.payments.rows": 7,
            },
        )
