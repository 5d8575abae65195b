"""A world whose rows belong to zones: Israel's may lie on target ``il`` only, Europe's on ``eu`` only."""

from __future__ import annotations

import copy
import sqlite3
from pathlib import Path
from typing import Any

from tests.support.world import World

from rlg_backup.engine.archives import open_remote
from rlg_backup.engine.residency import archive_name
from rlg_backup.engine.restore_points import choose

NOTES = {"IL": "hippopotamus", "DE": "xylophone", "ZA": "quicksilver", None: "nowhere-man"}
"""A word in each account's row, by its country, that stands nowhere else."""
ZONES = {"IL": "israel", "DE": "europe", "ZA": "default", None: "default"}

RESIDENCY: dict[str, Any] = {
    "jurisdictions": {"EU": ["eu-central-1"], "IL": ["il-central-1"]},
    "zones": {
        "israel": {"jurisdictions": ["IL"], "country": ["IL"]},
        "europe": {"jurisdictions": ["EU"], "region": ["europe"]},
        "world": {"jurisdictions": ["EU", "IL"]},
    },
}
GEOGRAPHY = {
    "levels": {
        "region": {"table": "regions", "key": "code"},
        "country": {"table": "countries", "key": "code", "parent": "region"},
    },
    "tables": {
        "accounts": {"country": "country"},
        "payments": {"through": "account", "of": "accounts", "key": "id"},
    },
}


def zoned_world(root: Path) -> World:
    """``app`` with accounts in four places, each with payments; what no zone names may lie on both targets."""
    world = World.make(root, targets=("eu", "il"))
    (root / "app.db").unlink()
    connection = sqlite3.connect(root / "app.db", isolation_level=None)
    connection.executescript("""
        CREATE TABLE regions (code TEXT PRIMARY KEY);
        CREATE TABLE countries (code TEXT PRIMARY KEY, region TEXT REFERENCES regions);
        CREATE TABLE accounts (id INTEGER PRIMARY KEY, country TEXT REFERENCES countries, note TEXT);
        CREATE TABLE payments (id INTEGER PRIMARY KEY, account INTEGER REFERENCES accounts, cents INTEGER);
        INSERT INTO regions VALUES ('special'), ('europe'), ('sadc');
        INSERT INTO countries VALUES ('IL', 'special'), ('DE', 'europe'), ('ZA', 'sadc');
    """)
    connection.executemany("INSERT INTO accounts (country, note) VALUES (?, ?)", NOTES.items())
    connection.executemany(
        "INSERT INTO payments (account, cents) VALUES (?, ?)", [(n % 4 + 1, n * 7) for n in range(200)]
    )
    connection.close()
    world.settings["residency"] = {**copy.deepcopy(RESIDENCY), "here": "EU"}
    world.settings["targets"]["eu"]["jurisdiction"] = "EU"
    world.settings["targets"]["il"]["jurisdiction"] = "IL"
    world.source["geography"] = copy.deepcopy(GEOGRAPHY)
    world.source["totals"] = {"payments": ["cents"]}
    world.source["zone"] = "world"
    del world.source["policies"]
    world.save()
    return world


def everywhere(world: World) -> None:
    """Restores may be made here: for tests of other things, Europe's and Israel's rows may lie in both."""
    world.settings["residency"]["jurisdictions"]["LAB"] = []
    for zone in world.settings["residency"]["zones"].values():
        zone["jurisdictions"] = [*zone["jurisdictions"], "LAB"]
    world.settings["residency"]["here"] = "LAB"
    world.save()


def archives_on(world: World, target: str, backup_id: str) -> list[str]:
    """The zones whose archives lie on a target."""
    found = (world.target(target) / "app" / backup_id).glob("*.zip.age")
    return sorted(path.name.removesuffix(".zip.age") for path in found if path.name != "state.zip.age")


def read_on(world: World, target: str, backup_id: str, zone: str) -> bytes:
    """All members of one archive, decrypted and, of Parquet, as text."""
    import io

    import pyarrow.parquet as pq

    wiring = world.wiring()
    chosen = choose(wiring, "app", backup_id, target=target)
    assert archive_name(zone) in [path.name for path in (world.target(target) / "app" / backup_id).iterdir()]
    archive = open_remote(wiring, chosen, wiring.identities())
    found = b""
    for reader, entry in archive._parts:
        if entry.zone == zone:
            for name in reader.members:
                data = reader.read(name, limit=1 << 24)
                found += str(pq.read_table(io.BytesIO(data)).to_pydict()).encode() if ".parquet" in name else data
    return found


def change(world: World, script: str) -> None:
    connection = sqlite3.connect(world.root / "app.db", isolation_level=None)
    connection.executescript(script)
    connection.close()
