"""Golden archives of SQLite databases."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import Any

from tests.vectors import listing
from tests.vectors.golden import Golden, feature

SEVENTY_THOUSAND = 70_000  # rows: more than a batch and a row group hold
INVALID_TEXT = (b"\xff\xfe", b"abc\xc3", b"\xed\xa0\x80", b"ok\0\xff")


@feature
def x25519(golden: Golden) -> None:
    golden.database("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)", "INSERT INTO notes VALUES (1, 'x')")
    golden.back_up(manifest={"fidelity": "recoverable", "kind": "full", "parent": None, "tokenization_key": None})


@feature
def post_quantum(golden: Golden) -> None:
    x25519(golden)


@feature
def values(golden: Golden) -> None:
    connection = golden.database(
        "PRAGMA page_size = 1024",
        "PRAGMA user_version = -77",
        "PRAGMA application_id = 1380730673",
        "CREATE TABLE forms (i INTEGER, r REAL, t TEXT, b BLOB, n, v)",
        "CREATE TABLE mixed (v)",
        "CREATE TABLE invalid (v TEXT)",
        "CREATE TABLE gaps (v)",
        "CREATE TABLE keyed (a TEXT COLLATE NOCASE, b, PRIMARY KEY (b DESC, a)) WITHOUT ROWID",
        "CREATE INDEX by_length ON mixed (length(v))",
        "CREATE VIEW seen AS SELECT v FROM mixed",
        "CREATE TRIGGER kept AFTER DELETE ON mixed BEGIN SELECT 1; END",
    )
    mixed = (
        None,
        2**63 - 1,
        -(2**63),
        0.1,
        -0.5,
        5e-324,
        1e308,
        float("inf"),
        "",
        "nul\0inside",
        "ünïcode 😀",
        b"",
        b"\0",
    )
    connection.executemany("INSERT INTO forms VALUES (?, ?, ?, ?, NULL, ?)", [(7, 0.5, "t", b"\xff", v) for v in mixed])
    connection.executemany("INSERT INTO mixed VALUES (?)", [(v,) for v in mixed])
    connection.executemany("INSERT INTO invalid VALUES (CAST(? AS TEXT))", [(raw,) for raw in INVALID_TEXT])
    connection.executemany("INSERT INTO gaps (rowid, v) VALUES (?, 'x')", [(n,) for n in (-(2**63), -5, 0, 2**63 - 1)])
    connection.execute("INSERT INTO keyed VALUES ('B', 1), ('a', 1), ('C', 2), ('d', 'x'), ('e', x'00')")
    connection.close()
    golden.back_up(manifest={"contents.tables": 5})


@feature
def parts(golden: Golden) -> None:
    """A column that is of one class for 65,536 rows and then of another begins a new part."""
    connection = golden.database("CREATE TABLE late (id INTEGER PRIMARY KEY, v)")
    several = ((n, 0 if n < SEVENTY_THOUSAND - 9 else "text") for n in range(SEVENTY_THOUSAND))
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO late VALUES (?, ?)", several)
    connection.execute("COMMIT")
    connection.close()
    both = [f"data/main.late/part-0000{number}.parquet" for number in (0, 1)]
    golden.back_up(profile={"tables.late.rows": SEVENTY_THOUSAND, "tables.late.members": both})


@feature
def utf16(golden: Golden) -> None:
    connection = golden.database(
        "PRAGMA encoding = 'UTF-16le'",
        "CREATE TABLE halves (v)",
        "INSERT INTO halves VALUES (CAST(x'00d8' AS TEXT)), (CAST(x'3dd800de' AS TEXT)), ('plain ü'), (x'00d8'), (7)",
    )
    connection.close()
    golden.back_up()


@feature
def odd_names(golden: Golden) -> None:
    connection = golden.database()
    names = (
        'qu"ote',
        "with space",
        "naïve 表",
        "select",
        "new\nline",
        "slash/../up",
        "a.b",
        "..",
        "per%cent",
        "x" * 300,
    )
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        connection.execute(f'CREATE TABLE {quoted} ({quoted} TEXT, "$rowid" INTEGER)')
        connection.execute(f"INSERT INTO {quoted} VALUES ('of its own', 1)")
    connection.close()
    cut = f"data/main.{'x' * 200}%{hashlib.sha256(b'x' * 300).hexdigest()[:32]}/part-00000.parquet"
    golden.back_up(
        profile={
            f"tables.{'x' * 300}.members": [cut],
            "tables.slash/../up.members": ["data/main.slash%2F..%2Fup/part-00000.parquet"],
            "tables.naïve 表.members": ["data/main.na%C3%AFve%20%E8%A1%A8/part-00000.parquet"],
        }
    )


@feature
def geography(golden: Golden) -> None:
    levels = {
        "region": {"table": "regions", "key": "code"},
        "country": {"table": "countries", "key": "code", "parent": "region"},
        "city": {"table": "cities", "key": "id", "parent": "country"},
        "town": {"table": "towns", "key": "id", "parent": "city"},
    }
    tables = {"people": {"town": "town"}, "payments": {"through": "person", "of": "people", "key": "id"}}
    connection = golden.database(
        "CREATE TABLE regions (code TEXT PRIMARY KEY)",
        "CREATE TABLE countries (code TEXT PRIMARY KEY, region TEXT)",
        "CREATE TABLE cities (id INTEGER PRIMARY KEY, country TEXT)",
        "CREATE TABLE towns (id INTEGER PRIMARY KEY, city INTEGER)",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, town INTEGER)",
        "CREATE TABLE payments (id INTEGER PRIMARY KEY, person INTEGER, cents INTEGER)",
        "INSERT INTO regions VALUES ('sadc'), ('special')",
        "INSERT INTO countries VALUES ('ZA', 'sadc'), ('BW', 'sadc'), ('IL', 'special')",
        "INSERT INTO cities VALUES (1, 'ZA'), (2, 'BW'), (3, 'IL')",
        "INSERT INTO towns VALUES (10, 1), (20, 2), (30, 3)",
        "INSERT INTO people VALUES (1, 30), (2, 10), (3, 10), (4, NULL), (5, 20)",
        "INSERT INTO payments VALUES (1, 1, 100), (2, 2, 250), (3, 5, -50), (4, 4, 9007199254740993)",
        datasets={"money": ["payments"]},
        geography={"levels": levels, "tables": tables},
        totals={"payments": ["cents"]},
    )
    connection.close()
    golden.back_up(
        profile={
            "tables.people.geography": {
                "region": {"special": 1, "sadc": 3, "": 1},
                "country": {"IL": 1, "ZA": 2, "BW": 1, "": 1},
                "city": {"3": 1, "1": 2, "2": 1, "": 1},
                "town": {"30": 1, "10": 2, "20": 1, "": 1},
            },
            "tables.payments.totals": {
                "cents": {
                    "all": "9007199254741293",
                    "region": {"special": "100", "sadc": "200", "": "9007199254740993"},
                    "country": {"IL": "100", "ZA": "250", "BW": "-50", "": "9007199254740993"},
                }
            },
            "tables.payments.dataset": "money",
            "tables.people.dataset": "unassigned",
        }
    )


@feature
def left_out(golden: Golden) -> None:
    connection = golden.database(
        "CREATE TABLE kept (v)",
        "INSERT INTO kept VALUES ('kept')",
        "CREATE TABLE cache_of_pages (v)",
        exclude=["cache_*", "nothing_like_this_*"],
    )
    content = {"database": listing.database(golden.source)}  # a table that is left out comes back empty
    connection.execute("INSERT INTO cache_of_pages VALUES ('not saved')")
    connection.close()
    golden.back_up(
        content=content,
        manifest={"contents.excluded": 1, "contents.warnings": 2, "contents.tables": 1, "contents.names": None},
        profile={
            "excluded": [{"name": "cache_of_pages", "reason": "excluded by the configuration: cache_*"}],
            "warnings": [
                "the database is not in WAL mode: whoever writes to it waits until the backup has read it",
                "exclude: the pattern 'nothing_like_this_*' matches no table",
            ],
        },
    )


@feature
def empty_table(golden: Golden) -> None:
    golden.database("CREATE TABLE hollow (a INTEGER, b TEXT)").close()
    golden.back_up(profile={"tables.hollow.rows": 0, "tables.hollow.members": ["data/main.hollow/part-00000.parquet"]})


@feature
def empty_database(golden: Golden) -> None:
    golden.database("CREATE TABLE gone (a)", "DROP TABLE gone").close()
    golden.back_up(profile={"tables": []}, manifest={"contents.tables": 0, "contents.rows": 0})


@feature
def names_in_clear(golden: Golden) -> None:
    golden.database(
        "CREATE TABLE b (v)", "CREATE TABLE a (v)", "CREATE TABLE cache (v)", exclude=["cache"], names_in_clear=True
    ).close()
    golden.back_up(manifest={"contents.names": {"tables": ["a", "b"], "excluded": ["cache"]}})


@feature
def catalog_chain(golden: Golden) -> None:
    """Three backups on two targets; each later record tells the other target's head."""
    golden.world.settings["targets"]["second"] = {"type": "local", "path": "backups-second"}
    golden.database("CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT)").close()
    for number in range(3):
        with closing(sqlite3.connect(golden.source, isolation_level=None)) as connection:
            connection.execute("INSERT INTO notes (note) VALUES (?)", (f"backup {number}",))
        golden.back_up()


@feature
def table_changes(golden: Golden) -> None:
    """Rows of every form that come, change, go and come back, over a chain of every kind of backup."""
    connection = golden.database(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, secret, note TEXT)",
        "CREATE TABLE forms (v, w TEXT)",
        "CREATE TABLE keyed (k TEXT PRIMARY KEY, r REAL) WITHOUT ROWID",
        "CREATE TABLE stays (v)",
        "CREATE TABLE altered (v)",
        "CREATE TABLE dropped (v)",
        "CREATE TABLE hollow (v)",
        "INSERT INTO people (secret, note) VALUES ('one', 'a'), (2, 'b'), (x'03', 'c'), (NULL, 'd')",
        "INSERT INTO forms VALUES (NULL, 'x'), (1, 'x'), (-9223372036854775808, 'y')",
        "INSERT INTO forms VALUES (0.5, ''), ('t', NULL), (x'00ff', 'z')",
        "INSERT INTO keyed VALUES ('a', 1), ('b', -0.5), ('c', NULL)",
        "INSERT INTO stays VALUES (1), (2)",
        "INSERT INTO altered VALUES ('before')",
        "INSERT INTO dropped VALUES ('gone')",
        policies={"people.secret": "tokenize"},
    )
    nothing = {"rows": 0, "removed": [], "removed_rows": 0}

    def changed(table: str, rows: int, removed: int) -> dict[str, Any]:
        return {"rows": rows, "removed": [f"removed/main.{table}/part-00000.parquet"], "removed_rows": removed}

    with closing(connection):
        golden.back_up(manifest={"kind": "full", "parent": None}, profile={"tables.people.change": None})
        connection.execute("UPDATE people SET secret = 'changed' WHERE id = 1")
        connection.execute("DELETE FROM people WHERE id = 2")
        connection.execute("DELETE FROM forms WHERE rowid < 4")
        connection.execute("INSERT INTO hollow VALUES ('came')")
        connection.execute("UPDATE keyed SET k = 'd' WHERE k = 'a'")
        says = {
            "tables.people.change": changed("people", 1, 2),
            "tables.people.rows": 3,
            "tables.forms.change": changed("forms", 0, 3),
            "tables.hollow.change": {**nothing, "rows": 1},
            "tables.keyed.change": changed("keyed", 1, 1),
            "tables.stays.change": nothing,
        }
        golden.back_up(kind="incremental", manifest={"kind": "incremental"}, profile=says)
        connection.execute("INSERT INTO people VALUES (2, 2, 'b')")  # which was there before
        connection.execute("INSERT INTO forms (rowid, v, w) VALUES (2, 1, 'x'), (9, 'new', 'x')")
        connection.execute("ALTER TABLE altered ADD COLUMN w DEFAULT 'added'")
        connection.execute("DROP TABLE dropped")
        connection.execute("CREATE TABLE made (v)")
        connection.execute("INSERT INTO made VALUES (1)")
        says = {
            "tables.people.change": {**nothing, "rows": 1},
            "tables.forms.change": {**nothing, "rows": 2},
            "tables.altered.change": None,
            "tables.made.change": None,
        }
        golden.back_up(kind="incremental", manifest={"kind": "incremental"}, profile=says)
        says = {
            "tables.people.change": changed("people", 1, 1),
            "tables.forms.change": changed("forms", 1, 2),
            "tables.altered.change": None,
        }
        golden.back_up(kind="differential", manifest={"kind": "differential"}, profile=says)
