"""The shipped suites, under Great Expectations: each check passes on sound data and fails for its fault."""

from __future__ import annotations

import hashlib
import logging
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from tests.support.platform_db import CONFIG, build, geography_of, plant, profile_of
from tests.support.platform_faults import FAULTS, MOVED, NOWHERE, PRICE, ROWS_BY, SPECIAL

from rlg_backup.core.errors import BackupError, ValidationUnavailable
from rlg_backup.core.model import Check, Verdict
from rlg_backup.validation import run_suites, sqlite_url
from rlg_backup.validation.suites import load_suites

EXPECTATIONS = CONFIG.parent / "expectations"
PRODUCTS = ("rlg_data", "rlg_fans")


@dataclass(frozen=True)
class Sound:
    """A sound database and its profile: copied, never changed."""

    file: Path
    product: str
    profile: dict[str, object]

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copy(self.file, folder / self.file.name))


@pytest.fixture(scope="module", autouse=True)
def no_network() -> Iterator[None]:
    """Nothing here may reach out: a look-up or a connection ends the test."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was used")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket.socket, "connect", refuse)
        yield


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sound]:
    folder = tmp_path_factory.mktemp("sound")
    found = {}
    for product in PRODUCTS:
        file = build(folder, product)
        found[product] = Sound(file, product, profile_of(file))
    return found


def run(file: Path, sound: Sound, only: Sequence[str] | None = None, **change: Any) -> list[Check]:
    arguments: dict[str, Any] = {"profile": sound.profile, "references": CONFIG, "only": only, **change}
    return run_suites(sqlite_url(file), EXPECTATIONS / sound.product, **arguments)


def rows_by(table: str, level: str) -> str:
    return f"{table}: rows by {level} equal those of the profile"


def named(checks: Sequence[Check], verdict: Verdict) -> set[str]:
    return {check.name for check in checks if check.verdict is verdict}


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_sound_database_passes_every_check_of_every_suite(sound: dict[str, Sound], product: str) -> None:
    checks = run(sound[product].file, sound[product])
    assert {check.group for check in checks} == {"geography", "prices", "rows"}
    assert {check.verdict for check in checks} == {Verdict.PASS}


@pytest.mark.parametrize("product", PRODUCTS)
def test_validation_changes_no_byte_and_leaves_no_file_behind(
    sound: dict[str, Sound], product: str, tmp_path: Path
) -> None:
    file = sound[product].copy(tmp_path)
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    run(file, sound[product])
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


# --- planted faults -------------------------------------------------------------------------------


@pytest.mark.parametrize(("suite", "fault", "failing"), FAULTS, ids=[fault for _, fault, _ in FAULTS])
def test_a_planted_fault_fails_exactly_the_checks_that_speak_of_it(
    sound: dict[str, Sound], tmp_path: Path, suite: str, fault: str, failing: set[str]
) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    plant(file, fault)
    checks = run(file, sound["rlg_data"], only=[suite])
    assert named(checks, Verdict.FAIL) == failing
    assert named(checks, Verdict.COULD_NOT_VERIFY) == set()


def _dangling(product: str) -> list[tuple[str, str, str]]:
    """Each reference of the suite ``rows``, with the owner without a place left pointing nowhere."""
    resolves = yaml.safe_load((EXPECTATIONS / product / "rows.yaml").read_text("utf-8"))["resolves"]
    return [(product, origin, goal) for origin, goal in resolves.items()]


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("half", [0, 1])
def test_a_reference_that_leads_nowhere_fails_its_own_check_and_no_other(
    sound: dict[str, Sound], tmp_path: Path, product: str, half: int
) -> None:
    """Every other reference is broken, then the rest: a check that looked elsewhere would be seen in either."""
    file = sound[product].copy(tmp_path)
    broken = _dangling(product)[half::2]
    for _, origin, _ in broken:
        table, column = origin.split(".")
        plant(file, f"UPDATE {table} SET {column} = 'nowhere' WHERE rowid = (SELECT MAX(rowid) FROM {table})")
    failed = {name for name in named(run(file, sound[product], only=["rows"]), Verdict.FAIL) if "rows by" not in name}
    assert failed == {f"every {origin} is a known {goal}" for _, origin, goal in broken}


@pytest.mark.parametrize(("product", "table", "fault"), ROWS_BY)
def test_rows_in_another_region_than_at_the_snapshot_fail_by_region_and_country(
    sound: dict[str, Sound], tmp_path: Path, product: str, table: str, fault: str
) -> None:
    file = sound[product].copy(tmp_path)
    plant(file, fault)
    failed = named(run(file, sound[product], only=["rows"]), Verdict.FAIL)
    assert {rows_by(table, level) for level in ("region", "country")} <= failed


@pytest.mark.parametrize("product", PRODUCTS)
def test_one_row_gained_in_every_table_fails_every_count_of_rows(
    sound: dict[str, Sound], tmp_path: Path, product: str
) -> None:
    file = sound[product].copy(tmp_path)
    tables = geography_of(product)
    plant(file, *(f"INSERT INTO {table} SELECT * FROM {table} WHERE rowid = 1" for table in tables))
    failed = {name for name in named(run(file, sound[product], only=["rows"]), Verdict.FAIL) if "rows by" in name}
    assert failed == {rows_by(table, level) for table in tables for level in ("region", "country")}


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_table_that_the_configuration_gives_a_geography_is_counted(product: str) -> None:
    (suite,) = load_suites(EXPECTATIONS / product, ["rows"])
    assert set(suite.counted) == set(geography_of(product))


def test_every_check_shipped_has_a_planted_fault_that_makes_it_fail() -> None:
    failing = set().union(*(names for _, _, names in FAULTS))
    for product in PRODUCTS:
        failing |= {f"every {origin} is a known {goal}" for _, origin, goal in _dangling(product)}
        failing |= {rows_by(table, level) for table in geography_of(product) for level in ("region", "country")}
    suites = [suite for product in PRODUCTS for suite in load_suites(EXPECTATIONS / product)]
    assert {item.description for suite in suites for item in suite.expectations} == failing


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (f"UPDATE prices SET amount_cents = 1 WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is different"}),
        (f"UPDATE prices SET locked = 0 WHERE {SPECIAL} AND {PRICE}", {"every Special Region price is locked"}),
        (f"DELETE FROM prices WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is missing", *MOVED}),
        (
            f"UPDATE accounts SET town_id = 99999 WHERE id = {NOWHERE}",
            {"every accounts.town_id is a known geo_towns.id"},
        ),
    ],
)
def test_of_all_suites_together_only_the_checks_of_the_fault_fail(
    sound: dict[str, Sound], tmp_path: Path, fault: str, failing: set[str]
) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    plant(file, fault)
    assert named(run(file, sound["rlg_data"]), Verdict.FAIL) == failing


# --- what could not be checked is never green -----------------------------------------------------


@pytest.mark.parametrize("product", PRODUCTS)
def test_over_empty_tables_nothing_passes(sound: dict[str, Sound], tmp_path: Path, product: str) -> None:
    file = sound[product].copy(tmp_path)
    tables = {item.table for suite in load_suites(EXPECTATIONS / product) for item in suite.expectations}
    plant(file, *(f"DELETE FROM {table}" for table in sorted(tables)))
    checks = [check for check in run(file, sound[product]) if check.name != "every table with geography is counted"]
    assert named(checks, Verdict.PASS) == set()
    unique = next(check for check in checks if check.name == "ids of towns are unique")
    assert (unique.verdict, unique.measured) == (Verdict.COULD_NOT_VERIFY, "there is nothing to look at: no row")


@pytest.mark.parametrize("table", ["geo_regions", "geo_countries", "geo_cities", "geo_towns", "prices", "accounts"])
def test_no_check_of_one_empty_table_passes(sound: dict[str, Sound], tmp_path: Path, table: str) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    plant(file, f"DELETE FROM {table}")
    suites = load_suites(EXPECTATIONS / "rlg_data")
    about = {item.description for suite in suites for item in suite.expectations if item.table == table}
    assert named(run(file, sound["rlg_data"]), Verdict.PASS) & about == set()


def test_a_column_with_no_value_at_all_could_not_be_verified(sound: dict[str, Sound], tmp_path: Path) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    plant(file, "UPDATE accounts SET town_id = NULL")
    checks = {check.name: check for check in run(file, sound["rlg_data"], only=["rows"])}
    check = checks["every accounts.town_id is a known geo_towns.id"]
    assert (check.verdict, check.measured) == (Verdict.COULD_NOT_VERIFY, "there is nothing to look at: no row")


@pytest.mark.parametrize(
    ("fault", "suite", "name", "measured"),
    [
        ("DROP TABLE payments", "rows", "every payments.account_id is a known accounts.id",
         "the table 'payments' is missing"),
        ("DROP TABLE geo_towns", "rows", "every accounts.town_id is a known geo_towns.id",
         "the table 'geo_towns' is missing"),
        ("ALTER TABLE geo_countries DROP COLUMN region_code", "geography", "every country is in a region",
         "the column 'region_code' is missing"),
        ("ALTER TABLE prices DROP COLUMN locked", "prices", "every Special Region price is locked",
         "the column 'p.locked' is missing"),
    ],
)  # fmt: skip
def test_what_is_missing_from_the_schema_could_not_be_verified(
    sound: dict[str, Sound], tmp_path: Path, fault: str, suite: str, name: str, measured: str
) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    plant(file, fault)
    checks = {check.name: check for check in run(file, sound["rlg_data"], only=[suite])}
    assert (checks[name].verdict, checks[name].measured) == (Verdict.COULD_NOT_VERIFY, measured)


def test_without_a_profile_rows_by_region_could_not_be_verified_and_the_rest_is_checked(
    sound: dict[str, Sound],
) -> None:
    checks = run(sound["rlg_data"].file, sound["rlg_data"], profile=None)
    left = {check.name: check.measured for check in checks if check.verdict is Verdict.COULD_NOT_VERIFY}
    assert len(left) == 1 + 2 * len(geography_of("rlg_data"))
    expected = "there is no profile of 'accounts' by region to compare with"
    assert left["accounts: rows by region equal those of the profile"] == expected
    assert left["every table with geography is counted"] == "the profile names no table with geography"
    assert named(checks, Verdict.FAIL) == set()


def test_a_table_with_geography_that_no_suite_counts_could_not_be_verified(sound: dict[str, Sound]) -> None:
    tables = [
        *sound["rlg_data"].profile["tables"],
        {"schema": "main", "name": "leads", "geography": {"region": {"asia": 1}}},
    ]  # type: ignore[misc]
    *_, check = run(sound["rlg_data"].file, sound["rlg_data"], profile={"tables": tables})
    assert (check.verdict, check.measured) == (Verdict.COULD_NOT_VERIFY, "no suite counts: leads")


# --- quiet, and no traceback ----------------------------------------------------------------------


def test_no_row_value_appears_in_a_check_a_log_or_the_output(
    sound: dict[str, Sound], tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    file = sound["rlg_data"].copy(tmp_path)
    plant(
        file,
        "UPDATE prices SET currency = 'sentinel', tier = 'sentinel', plan = 'sentinel' WHERE country_code = 'IL'",
        "UPDATE geo_countries SET region_code = 'sentinel', code = 'sentinel' WHERE code = 'ZA'",
        "UPDATE subscriptions SET account_id = 'sentinel' WHERE id = 1",
        "UPDATE geo_towns SET id = 'sentinel', city_id = 'sentinel' WHERE id = 100",
    )
    checks = run(file, sound["rlg_data"])
    assert len(named(checks, Verdict.FAIL)) > 8
    output = capfd.readouterr()
    everything = f"{checks}{output.out}{output.err}{caplog.text}"
    assert "sentinel" not in everything
    assert output.out == ""
    assert "great_expectations" not in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_database_is_never_green_and_never_a_traceback(
    sound: dict[str, Sound], tmp_path: Path, share: float
) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    try:
        verdict = Verdict.of(check.verdict for check in run(file, sound["rlg_data"]))
    except BackupError as error:
        assert isinstance(error, ValidationUnavailable)
    else:
        assert verdict is not Verdict.PASS


def test_a_path_with_odd_characters_is_opened(sound: dict[str, Sound], tmp_path: Path) -> None:
    folder = tmp_path / "ünïcode $HOME %41 #1"
    folder.mkdir()
    checks = run(sound["rlg_data"].copy(folder), sound["rlg_data"], only=["geography"])
    assert Verdict.of(check.verdict for check in checks) is Verdict.PASS
