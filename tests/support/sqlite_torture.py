"""Databases with everything SQLite allows that a copy can get wrong."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

ODD_NAMES = (
    'qu"ote', "apo'strophe", "back`tick", "[brackets]", "with space", " lead and trail ", "naïve ünïcode", "表", "😀",
    "select", "table", "semi;colon", "--comment", "per%cent", "new\nline", "slash/../up", "$rowid", "a.b", "?", "0",
)  # fmt: skip
ODD_VALUES = (
    None, 0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 0.0, -0.0, 1.0, 0.1, 1e308, 5e-324, math.inf, -math.inf, 1e15,
    "", "text", "nul\0inside", "\0", "ünïcode 😀", "12", "1.0", "1e5", " 7 ", "NULL", "﻿bom", "\u0301combining",
    b"", b"\0", b"\xff\xfe", b"text", bytes(range(256)),
)  # fmt: skip
INVALID_TEXT = (b"\xff\xfe", b"abc\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"ok\0\xff")


def make_torture(path: Path, *, encoding: str = "UTF-8", wal: bool = True) -> Path:
    """Makes the whole of it at ``path``; returns ``path``."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA page_size = 1024")
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA user_version = -77")
    connection.execute("PRAGMA application_id = 1380730673")
    connection.execute("BEGIN")
    _values(connection)
    _names(connection)
    _tables(connection)
    _definitions(connection)
    connection.execute("COMMIT")
    _search(connection)
    connection.execute("ANALYZE")
    _edited(connection)
    connection.close()
    return path


def _values(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE mixed (v, note TEXT)")
    connection.executemany("INSERT INTO mixed VALUES (?, 'n')", [(value,) for value in ODD_VALUES])
    for kind in ("TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "DATETIME"):
        connection.execute(f"CREATE TABLE typed_{kind} (v {kind})")
        connection.executemany(f"INSERT INTO typed_{kind} VALUES (?)", [(value,) for value in ODD_VALUES])
    connection.execute("CREATE TABLE invalid (v TEXT, w TEXT)")
    for raw in INVALID_TEXT:
        connection.execute("INSERT INTO invalid VALUES (CAST(? AS TEXT), 'valid')", (raw,))
    # A literal's bytes are text of the database's encoding: in UTF-16 halves of surrogate pairs, and a whole one.
    connection.execute("CREATE TABLE halves (v)")
    connection.execute(
        "INSERT INTO halves VALUES (CAST(x'00d8' AS TEXT)), (CAST(x'd800' AS TEXT)), (CAST(x'41003dd8' AS TEXT))"
    )
    connection.execute("INSERT INTO halves VALUES ('plain'), (CAST(x'3dd800de' AS TEXT)), (x'00d8'), (7), (NULL)")
    connection.execute("CREATE TABLE large (b BLOB, t TEXT)")
    connection.execute("INSERT INTO large VALUES (randomblob(300000), hex(randomblob(100000)))")
    connection.execute("CREATE TABLE gaps (v)")
    rowids = (-(2**63), -5, 0, 7, 2**31, 2**63 - 1)
    connection.executemany("INSERT INTO gaps (rowid, v) VALUES (?, ?)", [(rowid, str(rowid)) for rowid in rowids])
    connection.execute("CREATE TABLE empty (a INTEGER, b TEXT)")
    connection.execute("CREATE TABLE late (a)")
    connection.execute("INSERT INTO late VALUES (1)")
    connection.execute("ALTER TABLE late ADD COLUMN b TEXT NOT NULL DEFAULT 'later'")
    connection.execute("ALTER TABLE late ADD COLUMN c REAL DEFAULT 1.5")
    columns = ", ".join(f"c{number}" for number in range(2000))
    connection.execute(f"CREATE TABLE wide ({columns})")
    # The index lists the rows of its column in the other order: read side by side they would be mixed up.
    connection.execute(f"INSERT INTO wide VALUES ({', '.join('?' * 2000)})", [str(number) for number in range(2000)])
    connection.execute(f"INSERT INTO wide VALUES ({', '.join('?' * 2000)})", list(range(2000)))
    connection.execute("CREATE INDEX on_wide ON wide (c1999)")


def _names(connection: sqlite3.Connection) -> None:
    for number, name in enumerate(ODD_NAMES):
        table = '"' + name.replace('"', '""') + '"'
        other = '"' + ODD_NAMES[number - 1].replace('"', '""') + '"'
        connection.execute(f"CREATE TABLE {table} ({other} TEXT, {table} INTEGER, UNIQUE ({other}))")
        connection.execute(f"INSERT INTO {table} VALUES ('x', ?)", (number,))
        connection.execute(f'CREATE INDEX "ix {number}" ON {table} ({table})')
    connection.execute("CREATE TABLE nocase (v)")
    connection.execute('CREATE INDEX "binary" ON nocase (v)')


def _tables(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE alias (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
        "CREATE TABLE no_alias (id INTEGER PRIMARY KEY DESC, v)",
        "CREATE TABLE int_key (id INT PRIMARY KEY, v)",
        "CREATE TABLE shadowed (rowid TEXT, v)",
        "CREATE TABLE shadowed_all (rowid TEXT, _rowid_ TEXT, OID TEXT)",
        "CREATE TABLE without_rowid (a TEXT COLLATE NOCASE, b INTEGER, c BLOB, d REAL,"
        " PRIMARY KEY (c DESC, a)) WITHOUT ROWID",
        "CREATE TABLE without_index (a TEXT COLLATE NOCASE, b, PRIMARY KEY (b DESC, a)) WITHOUT ROWID",
        "CREATE TABLE strict_any (i INTEGER, r REAL, t TEXT, b BLOB, a ANY) STRICT",
        "CREATE TABLE generated (a INTEGER, v AS (a * 2) VIRTUAL, s TEXT AS ('s' || a) STORED, b TEXT, UNIQUE (s))",
        "CREATE TABLE documents (d TEXT CHECK (json_valid(d)), kind AS (json_extract(d, '$.kind')) STORED,"
        " size AS (json_array_length(d, '$.all')) VIRTUAL)",
        "CREATE TABLE checked (a CHECK (a > 0), b NOT NULL ON CONFLICT REPLACE DEFAULT 'd')",
        "CREATE TABLE uniques (a UNIQUE, b COLLATE RTRIM UNIQUE, c, UNIQUE (a, c), PRIMARY KEY (b, c))",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT UNIQUE)",
        "CREATE TABLE child (p REFERENCES parent ON DELETE CASCADE, c TEXT REFERENCES parent (code), g REFERENCES no)",
    ):
        connection.execute(statement)
    connection.executemany("INSERT INTO alias VALUES (?, ?)", [(-(2**63), "a"), (0, None), (2**63 - 1, b"b")])
    connection.execute("INSERT INTO counted VALUES (5, 'x'), (900, 'gone')")
    connection.execute("DELETE FROM counted WHERE id = 900")
    connection.execute("INSERT INTO no_alias VALUES (3, 'x'), (NULL, 'y'), (1, 'z')")
    connection.execute("INSERT INTO int_key VALUES (1, 2), (NULL, 3), ('text', 4)")
    connection.execute("INSERT INTO shadowed (_rowid_, rowid, v) VALUES (41, 'not me', 1)")
    connection.execute("INSERT INTO shadowed_all VALUES ('a', 'b', 'c'), ('d', 'e', 'f')")
    connection.execute(
        "INSERT INTO without_rowid VALUES ('B', 1, x'01', 1), ('a', 2, x'01', 2.5), ('a', '3', x'02', 'r')"
    )
    connection.execute("INSERT INTO without_index VALUES ('B', 1), ('a', 1), ('C', 2), ('d', 'x'), ('e', x'00')")
    connection.execute(
        "INSERT INTO strict_any VALUES (1, 2, 't', x'00', 1), (2, 2.5, '', x'', '1'), (3, 1, 'u', x'01', 1.0)"
    )
    connection.executemany("INSERT INTO generated (a, b) VALUES (?, ?)", [(number, str(number)) for number in range(9)])
    connection.execute('INSERT INTO documents VALUES (\'{"kind": "a", "all": [1, 2]}\'), (\'{}\')')
    connection.execute("INSERT INTO checked VALUES (1, 'b')")
    connection.execute("INSERT INTO uniques VALUES (1, 'x ', 2), (2, 'y', 2), (NULL, 'z', NULL)")
    connection.execute("INSERT INTO parent VALUES (1, 'one'), (2, 'two')")
    connection.execute("INSERT INTO child VALUES (1, 'two', NULL), (99, 'nowhere', NULL), (2, NULL, 5)")


def _definitions(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE log (what TEXT)",
        "CREATE TRIGGER noisy AFTER INSERT ON alias BEGIN INSERT INTO log VALUES ('fired; ' || new.id); END",
        "CREATE TRIGGER locked BEFORE INSERT ON parent BEGIN SELECT RAISE(ABORT, 'locked'); END",
        "CREATE VIEW broken AS SELECT * FROM table_that_never_was",
        "CREATE VIEW twice AS SELECT id, v /* a comment; here */ FROM alias",
        "CREATE TRIGGER instead INSTEAD OF INSERT ON twice BEGIN SELECT 1; END",
        "CREATE INDEX partial ON alias (v) WHERE id > 0",
        "CREATE INDEX expression ON mixed (length(v), note COLLATE NOCASE DESC)",
        "CREATE UNIQUE INDEX unique_expression ON counted (abs(id))",
        "CREATE INDEX json_expression ON documents (json(d))",
        "CREATE INDEX on_without_rowid ON without_rowid (d, b DESC)",
        "CREATE INDEX on_generated ON generated (v)",
        "CREATE TABLE made_as AS SELECT 1 AS one, 'x' AS \"two words\"",
    ):
        connection.execute(statement)


def _search(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIRTUAL TABLE search USING fts5(title, body, tokenize = 'porter')")
    connection.executemany(
        "INSERT INTO search VALUES (?, ?)", [(f"title {n}", "running words " * n) for n in range(20)]
    )
    connection.execute("CREATE VIRTUAL TABLE area USING rtree(id, x0, x1)")
    connection.execute("INSERT INTO area VALUES (1, 0.5, 2.5), (2, 10, 20)")


def _edited(connection: sqlite3.Connection) -> None:
    """What no statement can make: values against their column's affinity and constraints, definitions that
    are not UTF-8 and that only the application can run."""
    connection.execute("CREATE TABLE affinity (t, i, r, n, k)")
    rows = [(1, "12", "1.5", "007", None), (1.5, 1.0, b"1", "1e3", None), (b"x", "x", "x", "0x1", None)]
    connection.executemany("INSERT INTO affinity VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute("CREATE TABLE latin (a)")
    connection.execute("INSERT INTO latin VALUES (1)")
    connection.execute("CREATE TABLE foreign_function (a)")
    connection.execute("INSERT INTO foreign_function VALUES (-1)")
    connection.execute("PRAGMA writable_schema = ON")
    change = "UPDATE sqlite_schema SET sql = CAST(? AS TEXT) WHERE name = ?"
    new = "CREATE TABLE affinity (t TEXT, i INTEGER, r REAL, n NUMERIC, k NOT NULL CHECK (k > 9))"
    connection.execute(change, (new, "affinity"))
    new = "CREATE TABLE foreign_function (a CHECK (only_in_the_application(a)))"
    connection.execute(change, (new, "foreign_function"))
    if connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8":
        connection.execute(change, ("CREATE TABLE latin (a DEFAULT 'é' /* é */)".encode("latin-1"), "latin"))
    connection.execute("PRAGMA writable_schema = OFF")
