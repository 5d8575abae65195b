"""The platform in PostgreSQL has the rows of the SQLite one, in a PostgreSQL user's types, under the same locks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.postgres_platform import DATABASES, OF_POSTGRES, connected, rows_beside, rows_of, serve_platform

from rlg_backup.core.errors import ConfigurationError, DestinationUnsuitable
from rlg_backup.demo import generate, mutate
from rlg_backup.demo.server import Server

from .conftest import INCLUDE, SIZE

LOCKED = "Special Region prices are hard locked"
ISRAEL, GERMANY = "country_code = 'IL'", "country_code = 'DE'"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """Made with the seed and size of ``made``; nobody changes it but in a transaction that is rolled back."""
    with serve_platform(tmp_path_factory.mktemp("postgres"), seed=7, size=SIZE) as found:
        yield found


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("other")) as found:
        yield found


@pytest.fixture
def empty(other: Server) -> Server:
    """A server without a platform."""
    with psycopg.connect(other.url(), autocommit=True) as database:
        for name in DATABASES:
            database.execute(f"DROP DATABASE IF EXISTS {name}")
    return other


@pytest.fixture
def server(platform: tuple[Server, Path]) -> Server:
    return platform[0]


def test_every_table_has_the_rows_of_the_sqlite_platform(server: Server, made: Path) -> None:
    for name in DATABASES:
        found, expected = rows_of(server, name), rows_beside(made / f"{name}.db", server, name)
        assert set(found) == set(expected) | OF_POSTGRES
        for table, rows in expected.items():
            assert len(found[table]) == len(rows) > 0, table
            assert found[table] == rows, table


def test_the_tree_is_that_of_the_sqlite_platform(platform: tuple[Server, Path], made: Path) -> None:
    def contents(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    assert contents(platform[1] / "files") == contents(made / "files")


def test_the_summary_and_the_progress_count_every_table(empty: Server, tmp_path: Path) -> None:
    """The rows that the definitions bring along are in the summary alone."""
    told: dict[str, int] = {}
    summary = generate(tmp_path / "p", include=INCLUDE, size=1, server=empty.url(), progress=told.__setitem__)
    brought = {f"{name}.{table}": 3 for name in DATABASES for table in OF_POSTGRES}
    assert {**told, **brought} == {**summary.tables, "files": summary.entries}


def test_equal_changes_leave_equal_rows_in_both_kinds_round_after_round(
    empty: Server, tmp_path: Path, made: Path
) -> None:
    sqlite = Path(shutil.copytree(made, tmp_path / "sqlite", symlinks=True))
    generate(tmp_path / "p", include=INCLUDE, seed=7, size=SIZE, server=empty.url())
    for _ in range(2):
        inside = mutate(tmp_path / "p", seed=3, changes=300, server=empty.url())
        beside = mutate(sqlite, seed=3, changes=300)
        assert inside.operations == beside.operations
        for name in DATABASES:
            found, expected = rows_of(empty, name), rows_beside(sqlite / f"{name}.db", empty, name)
            assert {table: found[table] for table in expected} == expected
        assert dangling(empty) == []


def test_references_hold(server: Server) -> None:
    assert dangling(server) == []


def test_a_reference_that_does_not_hold_is_seen(empty: Server, tmp_path: Path) -> None:
    """The check of these tests can fail: the generator silences what the server would refuse."""
    generate(tmp_path / "p", include=INCLUDE, size=9, server=empty.url())
    with connected(empty, "rlg_data") as database:
        database.execute("SET session_replication_role = replica")
        database.execute("UPDATE payments SET account_id = -1 WHERE id = 1")
    assert dangling(empty) == ["rlg_data.payments_account_id_fkey"]


def dangling(server: Server) -> list[str]:
    """The references of both databases that lead nowhere for some row, each reference having one column."""
    query = """
        SELECT conname, conrelid::regclass::text, a.attname, confrelid::regclass::text, f.attname FROM pg_constraint
        JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = conkey[1]
        JOIN pg_attribute AS f ON f.attrelid = confrelid AND f.attnum = confkey[1]
        WHERE contype = 'f' AND cardinality(conkey) = 1"""
    found = []
    for name in DATABASES:
        with connected(server, name) as database:
            for reference, table, column, other, key in database.execute(query).fetchall():
                lost = f"SELECT FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {other}) LIMIT 1"
                found += [f"{name}.{reference}"] if database.execute(lost).fetchone() is not None else []
    return found


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        (f"UPDATE prices SET amount_cents = 1 WHERE {ISRAEL}", LOCKED),
        (f"UPDATE prices SET locked = false WHERE {ISRAEL}", LOCKED),
        (f"UPDATE prices SET country_code = 'IL' WHERE {GERMANY}", LOCKED),
        (f"UPDATE prices SET locked = true WHERE {GERMANY} AND plan = 'media_pack'", LOCKED),
        (f"UPDATE prices SET country_code = 'DE', locked = false WHERE {ISRAEL}", LOCKED),
        (f"DELETE FROM prices WHERE {ISRAEL}", LOCKED),
        ("INSERT INTO prices VALUES ('media_pack', 'IL', 'weekly', 'global', 1, 'USD', false, 1)", LOCKED),
        (
            f"INSERT INTO prices SELECT * FROM prices WHERE {ISRAEL} "
            "ON CONFLICT (plan, country_code, period) DO UPDATE SET amount_cents = 1",
            LOCKED,
        ),
        ("TRUNCATE prices", LOCKED),
        ("TRUNCATE geo_countries CASCADE", LOCKED),
        ("UPDATE geo_countries SET region_code = 'asia' WHERE code = 'IL'", "the Special Region is hard locked"),
        ("UPDATE geo_countries SET region_code = 'special' WHERE code = 'DE'", "the Special Region is hard locked"),
    ],
)
def test_no_statement_changes_what_the_special_region_pays(server: Server, statement: str, refused: str) -> None:
    for name in DATABASES:
        with connected(server, name) as database, pytest.raises(psycopg.errors.CheckViolation) as raised:
            database.execute(statement)
        assert raised.value.diag.message_primary == refused


def test_other_prices_and_countries_can_be_changed(server: Server) -> None:
    with connected(server, "rlg_data") as database, database.transaction(force_rollback=True):
        for statement in (
            f"UPDATE prices SET amount_cents = amount_cents + 1 WHERE {GERMANY}",
            f"DELETE FROM prices WHERE {GERMANY} AND period = 'weekly'",
            "INSERT INTO prices VALUES ('media_pack', 'DE', 'weekly', 'global', 1, 'USD', false, 1)",
            "UPDATE geo_countries SET region_code = 'africa' WHERE code = 'DE'",
        ):
            assert database.execute(statement).rowcount > 0


def test_keys_go_on_after_the_last_one(server: Server) -> None:
    with connected(server, "rlg_data") as database, database.transaction(force_rollback=True):
        ((last,),) = database.execute("SELECT max(id) FROM scrape_results").fetchall()
        added = database.execute(
            "INSERT INTO scrape_results (job_id, url, title, content, sha256, scraped_at) "
            "SELECT 1, 'u', 't', '{}', 's', now() RETURNING id"
        ).fetchone()
    assert added == (last + 1,)


def test_the_schema_has_what_makes_a_backup_hard(server: Server) -> None:
    with connected(server, "rlg_data") as database:
        columns = "pg_attribute JOIN pg_class AS c ON c.oid = attrelid AND relnamespace = 'public'::regnamespace"
        kinds = {kind for (kind,) in database.execute(f"SELECT DISTINCT atttypid::regtype::text FROM {columns}")}
        assert {"boolean", "bytea", "date", "inet", "jsonb", "numeric", "real", "text[]", "uuid"} <= kinds
        partitions = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'"
        assert database.execute(partitions).fetchone() == (37,)
        assert database.execute("SELECT count(*) FROM event_log_later").fetchone() == (0,)
        repeated = "SELECT count(*) FROM (SELECT FROM event_log GROUP BY event_log HAVING count(*) > 1)"
        assert database.execute(repeated).fetchone() > (0,)
        documents = {kind for (kind,) in database.execute("SELECT DISTINCT jsonb_typeof(detail) FROM event_log")}
        assert documents == {"number", "object", "string", None}


def test_a_platform_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DestinationUnsuitable) as raised:
        generate(tmp_path / "p", include=INCLUDE, size=1, server=server.url())
    assert str(raised.value) == (
        f"unable to generate '127.0.0.1:{server.port}': it already holds database rlg_data\nhint: name an empty server"
    )


def test_leftovers_of_a_run_that_failed_are_replaced(empty: Server, server: Server, tmp_path: Path) -> None:
    with psycopg.connect(empty.url(), autocommit=True) as database:
        database.execute("CREATE DATABASE rlg_data_unfinished")
        generate(tmp_path / "p", include=INCLUDE, seed=7, size=SIZE, server=empty.url())
        left = database.execute("SELECT count(*) FROM pg_database WHERE datname ~ 'unfinished'").fetchone()
    assert left == (0,)
    assert rows_of(empty, "rlg_data") == rows_of(server, "rlg_data")


def test_a_server_that_is_not_there_is_an_error_of_ours_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        generate(tmp_path / "p", include=INCLUDE, size=1, server="postgresql://postgres:sesame@127.0.0.1:1/postgres")
    assert type(raised.value) is ConfigurationError
    assert str(raised.value) == "unable to generate '127.0.0.1:1': PostgreSQL does not let us in there"


def test_a_server_without_a_platform_is_refused(platform: tuple[Server, Path], empty: Server) -> None:
    with pytest.raises(ConfigurationError) as raised:
        mutate(platform[1], seed=1, changes=1, server=empty.url())
    assert str(raised.value) == (
        f"unable to change '127.0.0.1:{empty.port}': it has no database rlg_data\nhint: generate a platform there first"
    )
