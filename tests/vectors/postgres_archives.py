"""Golden archives of PostgreSQL databases."""

from __future__ import annotations

from tests.support.postgres_server import OLDEST, Servers, execute, fresh_database
from tests.support.postgres_world import connected
from tests.vectors import listing
from tests.vectors.golden import Golden, feature

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
