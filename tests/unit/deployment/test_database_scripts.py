"""The SQL that docker-compose.yaml and the runbook run on a server, run on a server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from rlg_backup.demo.server import Server

PROJECT = Path(__file__).parents[3]
SCRIPTS = PROJECT / "include" / "postgres"
PASSWORD = 'it\'s a "secret" \\'  # what a careless script would break on


def run_script(server: Server, script: Path, **variables: str) -> None:
    """As the entry point of the image does (docker-library/postgres, docker-entrypoint.sh)."""
    command = [server.programs / "psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-f", script]
    subprocess.run(command, env={**server.environment(), **variables}, check=True, capture_output=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    platform = folder / "platform.sql"
    definitions = str(PROJECT / "include" / "demo" / "postgres")
    platform.write_text((SCRIPTS / "platform.sql").read_text().replace("/definitions/", f"{definitions}/"))
    with Server(folder / "data") as found:
        run_script(found, platform)
        run_script(found, SCRIPTS / "backup_role.sql", RLG_BACKUP_PASSWORD=PASSWORD)
        yield found


def as_role(server: Server, database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.host, port=server.port, dbname=database, user="rlg_backup", password=PASSWORD, autocommit=True
    )


@pytest.mark.parametrize(("database", "tables"), [("rlg_data", 28), ("rlg_fans", 20)])
def test_the_databases_are_made_with_their_tables_and_the_role_reads_each(
    server: Server, database: str, tables: int
) -> None:
    with as_role(server, database) as connection:
        listed = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
            "AND relnamespace::regnamespace::text IN ('public', 'internal')"
        ).fetchall()
        for (table,) in listed:
            with connection.transaction():
                connection.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
                connection.execute(f"SELECT FROM {table}")
    assert len(listed) == tables


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO feature_flags VALUES ('x')",
        "UPDATE prices SET amount_cents = 1",
        "DELETE FROM accounts",
        "TRUNCATE event_log",
        "DROP TABLE payments",
        "CREATE TABLE mine (a int)",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "SELECT setval('internal.rounds_of_changes', 9)",
        "SET session_replication_role = replica",
        "COPY accounts TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_the_role_changes_nothing(server: Server, statement: str) -> None:
    with as_role(server, "rlg_data") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_role_sees_the_rows_that_row_security_hides(server: Server) -> None:
    with psycopg.connect(server.url("rlg_data"), autocommit=True) as owner:
        owner.execute("ALTER TABLE feature_flags ENABLE ROW LEVEL SECURITY")
    with as_role(server, "rlg_data") as connection:
        connection.execute("SET row_security = off")
        assert connection.execute("SELECT count(*) FROM feature_flags").fetchone() == (3,)
