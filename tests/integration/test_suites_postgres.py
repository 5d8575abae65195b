"""The shipped suites over PostgreSQL: sound data passes, and a fault is found by the checks that speak of it.

That each fault fails exactly its own checks is shown over SQLite (test_suites.py). Here the same SQL meets the other
database: several faults are planted together, as many as do not hide one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
import yaml
from tests.support.platform_db import CONFIG, build, geography_of, profile_of
from tests.support.platform_faults import FAULTS, ROWS_BY
from tests.support.postgres_copy import copy_to_postgres
from tests.support.postgres_platform import DATABASES, INCLUDE

from rlg_backup.core.errors import ValidationUnavailable
from rlg_backup.core.model import Check, Verdict
from rlg_backup.demo import generate
from rlg_backup.demo.server import Server
from rlg_backup.validation import run_suites

TURNS = 8
EXPECTATIONS = INCLUDE / "expectations"
Profile = dict[str, object]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def profiles(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Profile]:
    """The profile of each sound database, which is made as ``sound_<product>``."""
    folder, found = tmp_path_factory.mktemp("sound"), {}
    for product in DATABASES:
        file = build(folder, product)
        command(server, f"CREATE DATABASE sound_{product}")
        copy_to_postgres(file, server.url(f"sound_{product}"))
        found[product] = profile_of(file)
    return found


def command(server: Server, statement: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as database:
        database.execute(statement)


def plant(server: Server, product: str, faults: Sequence[str]) -> str:
    """A copy of the sound database with the faults, in place of the copy before; returns its name."""
    command(server, "DROP DATABASE IF EXISTS faulty")
    command(server, f"CREATE DATABASE faulty TEMPLATE sound_{product}")
    with psycopg.connect(server.url("faulty")) as database:
        for fault in faults:
            assert database.execute(fault).rowcount != 0, f"the fault plants nothing: {fault}"
    return "faulty"


def run(
    server: Server, name: str, product: str, profile: Profile, only: Sequence[str] | None = None
) -> dict[Verdict, set[str]]:
    """The names of the checks, by verdict."""
    url = server.url(name).replace("postgresql://", "postgresql+psycopg://")
    found: dict[Verdict, set[str]] = {verdict: set() for verdict in Verdict}
    for check in run_suites(url, EXPECTATIONS / product, profile=profile, references=CONFIG, only=only):
        assert isinstance(check, Check)
        found[check.verdict].add(check.name)
    return found


def rows_by(tables: Sequence[str]) -> set[str]:
    return {
        f"{table}: rows by {level} equal those of the profile" for table in tables for level in ("region", "country")
    }


def references_of(product: str) -> dict[str, str]:
    return dict(yaml.safe_load((EXPECTATIONS / product / "rows.yaml").read_text("utf-8"))["resolves"])


def test_the_generated_platform_passes_every_check(server: Server, tmp_path: Path) -> None:
    """Its rows are those of the SQLite platform, so that one has the profile."""
    generate(tmp_path / "here", include=INCLUDE, seed=7, size=60, server=server.url())
    generate(tmp_path / "there", include=INCLUDE, seed=7, size=60)
    for product in DATABASES:
        found = run(server, product, product, profile_of(tmp_path / "there" / f"{product}.db"))
        assert (found[Verdict.FAIL], found[Verdict.COULD_NOT_VERIFY]) == (set(), set())
        assert len(found[Verdict.PASS]) > 80


@pytest.mark.parametrize("product", DATABASES)
def test_a_sound_database_passes_every_check_and_is_not_changed(
    server: Server, profiles: dict[str, Profile], product: str
) -> None:
    sound = f"sound_{product}"
    found = run(server, sound, product, profiles[product])
    assert (found[Verdict.FAIL], found[Verdict.COULD_NOT_VERIFY]) == (set(), set())
    with psycopg.connect(server.url(sound)) as database:
        left = database.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'rlg%'").fetchone()
    assert left == (0,)


@pytest.mark.parametrize("suite", ["geography", "prices"])
@pytest.mark.parametrize("turn", range(TURNS))
def test_planted_faults_fail_exactly_the_checks_that_speak_of_them(
    server: Server, profiles: dict[str, Profile], suite: str, turn: int
) -> None:
    planted = [(fault, names) for of, fault, names in FAULTS if of == suite][turn::TURNS]
    name = plant(server, "rlg_data", [fault for fault, _ in planted])
    found = run(server, name, "rlg_data", profiles["rlg_data"], only=[suite])
    assert found[Verdict.FAIL] == set().union(*(names for _, names in planted))
    assert found[Verdict.COULD_NOT_VERIFY] == set()


@pytest.mark.parametrize("product", DATABASES)
@pytest.mark.parametrize("half", [0, 1])
def test_a_reference_that_leads_nowhere_fails_its_own_check_and_no_other(
    server: Server, profiles: dict[str, Profile], product: str, half: int
) -> None:
    broken = list(references_of(product).items())[half::2]
    faults = []
    for origin, _ in broken:
        table, column = origin.split(".")
        faults.append(f"UPDATE {table} SET {column} = '-1' WHERE ctid = (SELECT max(ctid) FROM {table})")
    found = run(server, plant(server, product, faults), product, profiles[product], only=["rows"])
    failed = {name for name in found[Verdict.FAIL] if "rows by" not in name}
    assert failed == {f"every {origin} is a known {goal}" for origin, goal in broken}


@pytest.mark.parametrize("product", DATABASES)
def test_one_row_gained_in_every_table_fails_every_count_of_rows(
    server: Server, profiles: dict[str, Profile], product: str
) -> None:
    tables = list(geography_of(product))
    name = plant(server, product, [f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1" for table in tables])
    failed = run(server, name, product, profiles[product], only=["rows"])[Verdict.FAIL]
    assert {name for name in failed if "rows by" in name} == rows_by(tables)


@pytest.mark.parametrize("product", DATABASES)
def test_rows_in_another_region_than_at_the_snapshot_fail_by_region_and_country(
    server: Server, profiles: dict[str, Profile], product: str
) -> None:
    planted = [(table, fault) for of, table, fault in ROWS_BY if of == product]
    name = plant(server, product, [fault for _, fault in planted])
    failed = run(server, name, product, profiles[product], only=["rows"])[Verdict.FAIL]
    assert rows_by([table for table, _ in planted]) <= failed


def test_a_missing_table_or_column_could_not_be_verified(server: Server, profiles: dict[str, Profile]) -> None:
    name = plant(server, "rlg_data", [])
    with psycopg.connect(server.url(name)) as database:
        database.execute("DROP TABLE payments; ALTER TABLE prices DROP COLUMN locked")
    url = server.url(name).replace("postgresql://", "postgresql+psycopg://")
    checks = run_suites(url, EXPECTATIONS / "rlg_data", profile=profiles["rlg_data"], references=CONFIG)
    found = {check.name: (check.verdict, check.measured) for check in checks}
    lost = Verdict.COULD_NOT_VERIFY
    assert found["every payments.account_id is a known accounts.id"] == (lost, "the table 'payments' is missing")
    # A view over what is missing cannot be made there; SQLite makes it and says so when it is read.
    assert found["every Special Region price is locked"] == (lost, "the table 'rlg_charged_prices' is missing")


def test_a_server_that_is_not_there_makes_verification_unavailable_without_the_password() -> None:
    url = "postgresql+psycopg://postgres:sesame@127.0.0.1:1/gone"
    with pytest.raises(ValidationUnavailable) as raised:
        run_suites(url, EXPECTATIONS / "rlg_data", profile=None, references=CONFIG)
    assert "sesame" not in f"{raised.value}{raised.value.__cause__}"
    assert str(raised.value).startswith("unable to open 'gone': the database refuses (")
