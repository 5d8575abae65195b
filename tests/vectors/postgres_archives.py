"""Golden archives of PostgreSQL databases."""

from __future__ import annotations

from typing import Any

from tests.support.postgres_server import OLDEST, Servers, execute, fresh_database
from tests.support.postgres_world import connected
from tests.vectors import listing
from tests.vectors.golden import Golden, feature

from rlg_backup.sources.postgres.address import Address

STATEMENTS = (
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    "CREATE SCHEMA other",
    """
    CREATE TABLE forms (
        id serial PRIMARY KEY, b bool, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, t text,
        v varchar(9), c char(5), y bytea, n numeric, at timestamptz, a int[], j jsonb, m mood,
        g int GENERATED ALWAYS AS (i4 * 2) STORED
    )""",
    """
    INSERT INTO forms (b, i2, i4, i8, f4, f8, t, v, c, y, n, at, a, j, m) VALUES
    (true, -32768, -7, -9223372036854775808, 0.1, '-0', '', '', '', '', 'NaN', '-infinity', '{}', '{}', 'sad'),
    (false, 32767, 7, 9223372036854775807, 'NaN', 5e-324, E'\t\n\\N "ü" 😀', 'nine char', 'x', '\\xff00', 1.10,
     '2000-01-01 00:00:00+05:30', '[0:1][3:3]={{1},{NULL}}', '{"b": [1e400, null]}', 'happy'),
    (NULL, NULL, NULL, NULL, '-Infinity', 'Infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    "CREATE TABLE no_columns ()",
    "INSERT INTO no_columns DEFAULT VALUES",
    "INSERT INTO no_columns DEFAULT VALUES",
    "CREATE TABLE hollow (a int)",
    "CREATE TABLE other.people (id int PRIMARY KEY, secret text, number bytea)",
    "INSERT INTO other.people VALUES (1, 'same', '\\x00'), (2, 'same', NULL), (3, '', '')",
    "CREATE TABLE by_country (country text, n int) PARTITION BY LIST (country)",
    "CREATE TABLE of_za PARTITION OF by_country FOR VALUES IN ('ZA')",
    "CREATE TABLE of_others PARTITION OF by_country DEFAULT",
    "INSERT INTO by_country VALUES ('ZA', 1), ('IL', 2), (NULL, 3)",
    "CREATE SEQUENCE other.odd INCREMENT -3 MAXVALUE 100 START 50",
    "SELECT nextval('other.odd')",
    "CREATE INDEX by_words ON forms (lower(t)) WHERE b",
    "CREATE VIEW seen AS SELECT id, m FROM forms",
    "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM forms",
    "COMMENT ON TABLE forms IS 'every form'",
    "SELECT lo_from_bytea(4294967295, 'large object'), lo_create(700001)",
    "SELECT lo_put(700001, 5000, '\\x01')",
)


@feature
def postgres(golden: Golden) -> None:
    """Of the oldest server, so that it can be restored to the most."""
    servers = Servers()
    try:
        with fresh_database(servers[OLDEST]) as source, connected(app=source):
            execute(source, *STATEMENTS)
            policies = {"other.people.secret": "tokenize", "other.people.number": "tokenize"}
            golden.settings(type="postgres", connection="app", policies=policies)
            golden.back_up(
                content={"database": listing.postgres(source)},
                manifest={"fidelity": "recoverable", "contents.tables": 7},
                profile={
                    "tables.of_za.within": [["public", "by_country"]],
                    "tables.no_columns.rows": 2,
                    "tables.pg_largeobject.rows": 2,
                    "tables.hollow.rows": 0,
                },
            )
    finally:
        servers.stop()


@feature
def postgres_changes(golden: Golden) -> None:
    """Rows known by where they lie, equal ones among them, and after a rewrite by their numbers."""
    servers = Servers()
    try:
        with fresh_database(servers[OLDEST]) as source, connected(app=source):
            execute(
                source,
                "CREATE TABLE equal (b bool, t text)",
                "INSERT INTO equal VALUES (true, 'same'), (true, 'same'), (true, 'same'), (NULL, NULL), (NULL, NULL)",
                "CREATE TABLE people (id int PRIMARY KEY, secret text, n numeric, y bytea)",
                "INSERT INTO people VALUES (1, 'one', 1.10, ''), (2, 'two', 2, NULL), (3, NULL, 3, '\\x00ff')",
                "CREATE TABLE rewritten (f double precision)",
                "INSERT INTO rewritten VALUES (0.5), (0.5), (-1)",
                "CREATE TABLE by_country (country text, n int) PARTITION BY LIST (country)",
                "CREATE TABLE of_za PARTITION OF by_country FOR VALUES IN ('ZA')",
                "CREATE TABLE of_others PARTITION OF by_country DEFAULT",
                "INSERT INTO by_country VALUES ('ZA', 1), ('IL', 2)",
                "SELECT lo_from_bytea(700001, 'large object')",
            )
            golden.settings(type="postgres", connection="app", policies={"people.secret": "tokenize"})
            _back_up(golden, source, "full", profile={"tables.equal.change": None})
            execute(
                source,
                "DELETE FROM equal WHERE ctid = (SELECT min(ctid) FROM equal)",
                "INSERT INTO equal VALUES (NULL, NULL)",
                "UPDATE people SET secret = 'changed' WHERE id = 1",
                "UPDATE by_country SET country = 'ZA' WHERE country = 'IL'",
                "SELECT lo_put(700001, 5000, '\\x01')",
                "DELETE FROM rewritten WHERE f < 0",
                "VACUUM FULL rewritten",
            )
            says = {
                "tables.equal.change": _changed("public.equal", 1, 1),
                "tables.people.change": _changed("public.people", 1, 1),
                "tables.rewritten.change": _changed("public.rewritten", 0, 1),
                "tables.of_za.change": _changed("public.of_za", 1, 0),
                "tables.of_others.change": _changed("public.of_others", 0, 1),
            }
            _back_up(golden, source, "incremental", profile=says)
            execute(source, "INSERT INTO equal VALUES (true, 'same')", "DELETE FROM people WHERE id = 2")
            says = {
                "tables.equal.change": _changed("public.equal", 1, 0),
                "tables.people.change": _changed("public.people", 0, 1),
                "tables.rewritten.change": _changed("public.rewritten", 0, 0),
            }
            _back_up(golden, source, "incremental", profile=says)
            says = {"tables.people.change": _changed("public.people", 1, 2)}
            _back_up(golden, source, "differential", profile=says)
    finally:
        servers.stop()


def _back_up(golden: Golden, source: Address, kind: str, *, profile: dict[str, Any]) -> None:
    content = {"database": listing.postgres(source)}
    golden.back_up(kind=kind, content=content, manifest={"kind": kind}, profile=profile)


def _changed(table: str, rows: int, removed: int) -> dict[str, Any]:
    names = [f"removed/{table}/part-00000.parquet"] if removed else []
    return {"rows": rows, "removed": names, "removed_rows": removed}
