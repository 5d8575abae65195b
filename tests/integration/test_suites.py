"""The shipped suites, under Great Expectations: each check passes on sound data and fails for its fault."""

from __future__ import annotations

import hashlib
import logging
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
import yaml

from rlg_backup.core.errors import BackupError, InvalidSetting, ValidationUnavailable
from rlg_backup.core.model import Check, Verdict
from rlg_backup.validation import run_suites
from rlg_backup.validation.suites import load_suites
from tests.support.platform_db import CONFIG, build, plant, profile_of

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
        counted = [table for suite in load_suites(EXPECTATIONS / product) for table in suite.counted]
        file = build(folder, product)
        found[product] = Sound(file, product, profile_of(file, counted))
    return found


def url_of(file: Path) -> str:
    return sa.URL.create("sqlite", database=str(file)).render_as_string()


def run(file: Path, sound: Sound, only: Sequence[str] | None = None, **change: Any) -> list[Check]:
    arguments: dict[str, Any] = {"profile": sound.profile, "references": CONFIG, "only": only, **change}
    return run_suites(url_of(file), EXPECTATIONS / sound.product, **arguments)


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

_NOWHERE = "(SELECT id FROM accounts WHERE town_id IS NULL)"  # its rows have no region, before and after
_FANS_NOWHERE = "(SELECT id FROM fan_accounts WHERE town_id IS NULL)"
_MOVED = "prices: rows by region equal those of the profile", "prices: rows by country equal those of the profile"
SPECIAL, SADC, GLOBAL = "country_code = 'IL'", "country_code = 'ZA'", "country_code = 'DE'"
PRICE = "plan = 'pro' AND period = 'monthly'"

FAULTS: list[tuple[str, str, set[str]]] = [
    # geography
    ("geography", "INSERT INTO geo_regions VALUES (NULL, 'x', 'global')",
     {"every region has a code", "regions and their price tiers are those of the configuration"}),
    ("geography", "INSERT INTO geo_regions SELECT * FROM geo_regions WHERE code = 'asia'", {"codes of regions are unique"}),
    ("geography", "UPDATE geo_regions SET pricing_tier = 'none' WHERE code = 'asia'",
     {"every region has a known price tier", "regions and their price tiers are those of the configuration"}),
    ("geography", "UPDATE geo_regions SET pricing_tier = 'sadc' WHERE code = 'asia'",
     {"regions and their price tiers are those of the configuration"}),
    ("geography", "DELETE FROM geo_regions WHERE code = 'asia'",
     {"regions and their price tiers are those of the configuration"}),
    ("geography", "INSERT INTO geo_countries VALUES (NULL, 'x', 'asia')", {"every country has a code"}),
    ("geography", "INSERT INTO geo_countries SELECT * FROM geo_countries WHERE code = 'DE'", {"codes of countries are unique"}),
    ("geography", "INSERT INTO geo_countries VALUES ('XYZ', 'x', 'asia')", {"codes of countries have two letters"}),
    ("geography", "UPDATE geo_countries SET region_code = NULL WHERE code = 'DE'", {"every country is in a region"}),
    ("geography", "UPDATE geo_countries SET region_code = 'atlantis' WHERE code = 'DE'",
     {"every geo_countries.region_code is a known geo_regions.code"}),
    ("geography", "UPDATE geo_countries SET region_code = CASE code WHEN 'ZA' THEN 'africa' ELSE 'sadc' END "
     "WHERE code IN ('ZA', 'NG')", {"SADC has exactly the member states of the configuration"}),
    ("geography", "UPDATE geo_countries SET region_code = 'africa' WHERE code = 'ZA'",
     {"SADC has exactly the member states of the configuration", "SADC has 16 member states"}),
    ("geography", "UPDATE geo_countries SET region_code = 'special' WHERE code = 'DE'", {"the Special Region is Israel alone"}),
    ("geography", "UPDATE geo_countries SET region_code = 'asia' WHERE code = 'IL'", {"the Special Region is Israel alone"}),
    ("geography", "INSERT INTO geo_cities (name, country_code) VALUES ('x', 'DE')", {"every city has an id"}),
    ("geography", "INSERT INTO geo_cities SELECT * FROM geo_cities WHERE id = 1", {"ids of cities are unique"}),
    ("geography", "INSERT INTO geo_cities (id, name) VALUES (999, 'x')", {"every city is in a country"}),
    ("geography", "INSERT INTO geo_cities (id, name, country_code) VALUES (999, 'x', 'XX')",
     {"every geo_cities.country_code is a known geo_countries.code"}),
    ("geography", "UPDATE geo_cities SET country_code = 'DE' WHERE country_code = 'ZA'", {"every SADC state and Israel have a city"}),
    ("geography", "INSERT INTO geo_towns (name, city_id) VALUES ('x', 1)", {"every town has an id"}),
    ("geography", "INSERT INTO geo_towns SELECT * FROM geo_towns WHERE id = 100", {"ids of towns are unique"}),
    ("geography", "UPDATE geo_towns SET city_id = NULL WHERE id = 100", {"every town is in a city"}),
    ("geography", "UPDATE geo_towns SET city_id = 999 WHERE id = 100", {"every geo_towns.city_id is a known geo_cities.id"}),
    # prices
    ("prices", f"INSERT INTO prices SELECT * FROM prices WHERE {GLOBAL} AND {PRICE}",
     {"a plan has one price by country and period"}),
    ("prices", f"UPDATE prices SET amount_cents = 0 WHERE {GLOBAL} AND {PRICE}",
     {"every price is above zero", "no global price is different"}),
    ("prices", f"DELETE FROM prices WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is missing"}),
    ("prices", f"DELETE FROM prices WHERE {SADC} AND {PRICE}", {"no SADC price is missing"}),
    ("prices", f"DELETE FROM prices WHERE {GLOBAL} AND {PRICE}", {"no global price is missing"}),
    ("prices", "INSERT INTO prices VALUES ('gift', 'IL', 'weekly', 'special', 1, 'USD', 1, 1)", {"no Special Region price is extra"}),
    ("prices", "INSERT INTO prices VALUES ('gift', 'ZA', 'weekly', 'sadc', 1, 'USD', 0, 1)", {"no SADC price is extra"}),
    ("prices", "INSERT INTO prices VALUES ('gift', 'DE', 'weekly', 'global', 1, 'USD', 0, 1)", {"no global price is extra"}),
    ("prices", f"UPDATE prices SET amount_cents = amount_cents + 1 WHERE {SPECIAL} AND {PRICE}",
     {"no Special Region price is different"}),
    ("prices", f"UPDATE prices SET currency = 'EUR' WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is different"}),
    ("prices", f"UPDATE prices SET amount_cents = 9900 WHERE {SADC} AND {PRICE}", {"no SADC price is different"}),
    ("prices", f"UPDATE prices SET amount_cents = 4900 WHERE {GLOBAL} AND {PRICE}", {"no global price is different"}),
    ("prices", f"UPDATE prices SET locked = 0 WHERE {SPECIAL} AND {PRICE}", {"every Special Region price is locked"}),
    ("prices", f"UPDATE prices SET locked = 1 WHERE {GLOBAL} AND {PRICE}", {"no price outside the Special Region is locked"}),
    ("prices", f"UPDATE prices SET tier = 'sadc' WHERE {GLOBAL} AND {PRICE}", {"SADC prices are for SADC states and only for them"}),
    ("prices", f"UPDATE prices SET tier = 'special' WHERE {GLOBAL} AND {PRICE}",
     {"Special Region prices are for Israel and only for it"}),
    ("prices", f"UPDATE prices SET table_version = 0 WHERE {GLOBAL} AND {PRICE}",
     {"prices come from the version of the price table in the configuration"}),
    ("prices", "INSERT INTO prices VALUES ('pro', 'XX', 'monthly', 'global', 9900, 'USD', 0, 1)",
     {"every prices.country_code is a known geo_countries.code"}),
]  # fmt: skip


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


ROWS_BY = [
    ("rlg_data", "accounts", "UPDATE accounts SET town_id = 100 WHERE town_id = (SELECT MAX(id) FROM geo_towns WHERE city_id = "
     "(SELECT id FROM geo_cities WHERE country_code = 'DE'))"),
    ("rlg_data", "subscriptions", "DELETE FROM subscriptions WHERE id = 1"),
    ("rlg_data", "payments", "INSERT INTO payments VALUES (999, 1, 1, 5900)"),
    ("rlg_data", "prices", f"DELETE FROM prices WHERE {SPECIAL}"),
    ("rlg_fans", "fan_accounts", "UPDATE fan_accounts SET town_id = NULL WHERE id = 1"),
    ("rlg_fans", "creators", "DELETE FROM creators WHERE id = 1"),
    ("rlg_fans", "prices", f"DELETE FROM prices WHERE {SADC}"),
]  # fmt: skip


@pytest.mark.parametrize(("product", "table", "fault"), ROWS_BY)
def test_rows_in_another_region_than_at_the_snapshot_fail_by_region_and_country(
    sound: dict[str, Sound], tmp_path: Path, product: str, table: str, fault: str
) -> None:
    file = sound[product].copy(tmp_path)
    plant(file, fault)
    failed = named(run(file, sound[product], only=["rows"]), Verdict.FAIL)
    assert {f"{table}: rows by {level} equal those of the profile" for level in ("region", "country")} <= failed


def test_every_check_shipped_has_a_planted_fault_that_makes_it_fail() -> None:
    failing = set().union(*(names for _, _, names in FAULTS))
    failing |= {f"every {origin} is a known {goal}" for _, origin, goal in (*_dangling("rlg_data"), *_dangling("rlg_fans"))}
    failing |= {f"{table}: rows by {level} equal those of the profile" for _, table, _ in ROWS_BY for level in ("region", "country")}
    shipped = {item.description for each in PRODUCTS for suite in load_suites(EXPECTATIONS / each) for item in suite.expectations}
    assert shipped == failing


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (f"UPDATE prices SET amount_cents = 1 WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is different"}),
        (f"UPDATE prices SET locked = 0 WHERE {SPECIAL} AND {PRICE}", {"every Special Region price is locked"}),
        (f"DELETE FROM prices WHERE {SPECIAL} AND {PRICE}", {"no Special Region price is missing", *_MOVED}),
        (f"UPDATE accounts SET town_id = 99999 WHERE id = {_NOWHERE}", {"every accounts.town_id is a known geo_towns.id"}),
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
        ("DROP TABLE payments", "rows", "every payments.account_id is a known accounts.id", "the table 'payments' is missing"),
        ("DROP TABLE geo_towns", "rows", "every accounts.town_id is a known geo_towns.id", "the table 'geo_towns' is missing"),
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


def test_without_a_profile_rows_by_region_could_not_be_verified_and_the_rest_is_checked(sound: dict[str, Sound]) -> None:
    checks = run(sound["rlg_data"].file, sound["rlg_data"], profile=None)
    left = {check.name: check.measured for check in checks if check.verdict is Verdict.COULD_NOT_VERIFY}
    assert len(left) == 9
    expected = "there is no profile of 'accounts' by region to compare with"
    assert left["accounts: rows by region equal those of the profile"] == expected
    assert left["every table with geography is counted"] == "the profile names no table with geography"
    assert named(checks, Verdict.FAIL) == set()


def test_a_table_with_geography_that_no_suite_counts_could_not_be_verified(sound: dict[str, Sound]) -> None:
    tables = [*sound["rlg_data"].profile["tables"], {"schema": "main", "name": "leads", "geography": {"region": {"asia": 1}}}]  # type: ignore[misc]
    *_, check = run(sound["rlg_data"].file, sound["rlg_data"], profile={"tables": tables})
    assert (check.verdict, check.measured) == (Verdict.COULD_NOT_VERIFY, "no suite counts: leads")


# --- a suite of one's own -------------------------------------------------------------------------


def own(folder: Path, *checks: dict[str, Any], **more: Any) -> Path:
    suites = folder / "shop"
    suites.mkdir()
    suite = {"name": "own", "description": "d", "tables": {"accounts": list(checks)}, **more}
    (suites / "own.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    return suites


def test_an_expectation_type_nobody_knows_is_refused_with_the_nearest(sound: dict[str, Sound], tmp_path: Path) -> None:
    suites = own(tmp_path, {"type": "expect_column_values_to_be_uniqe", "kwargs": {"column": "id"}, "description": "ids"})
    with pytest.raises(InvalidSetting) as caught:
        run_suites(url_of(sound["rlg_data"].file), suites, profile=None, references=CONFIG)
    cause = "there is no type 'expect_column_values_to_be_uniqe'"
    hint = "did you mean 'expect_column_values_to_be_unique'?"
    assert str(caught.value) == f"unable to read suite 'own: ids': {cause}\nhint: {hint}"


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"colum": "id"}, "has no argument 'colum'\nhint: did you mean 'column'?"),
        ({"column": "id", "mostly": "secret value"}, "refuses its argument 'mostly'"),
    ],
)
def test_an_argument_the_expectation_does_not_take_is_refused_without_its_value(
    sound: dict[str, Sound], tmp_path: Path, kwargs: dict[str, str], text: str
) -> None:
    suites = own(tmp_path, {"type": "expect_column_values_to_be_unique", "kwargs": kwargs, "description": "ids"})
    with pytest.raises(InvalidSetting) as caught:
        run_suites(url_of(sound["rlg_data"].file), suites, profile=None, references=CONFIG)
    assert str(caught.value) == f"unable to read suite 'own: ids': 'expect_column_values_to_be_unique' {text}"


def test_table_counts_are_shown_and_other_observed_values_are_not(sound: dict[str, Sound], tmp_path: Path) -> None:
    suites = own(
        tmp_path,
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "id", "max_value": 1}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "id", "value_set": [1], "mostly": 0.5}},
    )
    checks = run_suites(url_of(sound["rlg_data"].file), suites, profile=None, references=CONFIG)
    assert [(check.measured, check.expected) for check in checks] == [
        ("45", "table row count to be between"),
        ("not as expected, 45 rows looked at", "column max to be between"),
        ("44 unexpected values, 45 looked at", "at least 50.00% as expected"),
    ]


def test_a_reference_that_would_hide_a_table_of_the_database_is_refused(sound: dict[str, Sound], tmp_path: Path) -> None:
    check = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}}
    file = sound["rlg_data"].copy(tmp_path)
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE rlg_mine (id INTEGER)")
    database.close()
    with pytest.raises(InvalidSetting) as caught:
        suites = own(tmp_path, check, views={"rlg_mine": "SELECT 1"})
        run_suites(url_of(file), suites, profile=None, references=CONFIG)
    assert str(caught.value) == "unable to validate 'rlg_data.db': the database has a table 'rlg_mine' of its own"


def test_a_suite_cannot_write_to_the_database(sound: dict[str, Sound], tmp_path: Path) -> None:
    file = sound["rlg_data"].copy(tmp_path)
    check = {
        "type": "expect_column_values_to_be_unique",
        "kwargs": {"column": "id"},
        "meta": {"considers": "DELETE FROM accounts RETURNING 1"},
    }
    (found,) = run_suites(url_of(file), own(tmp_path, check), profile=None, references=CONFIG)
    assert (found.verdict, found.measured) == (Verdict.COULD_NOT_VERIFY, "the database could not evaluate it")
    database = sqlite3.connect(file)
    assert database.execute("SELECT COUNT(*) FROM accounts").fetchone() == (45,)
    database.close()


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


def test_a_password_in_the_url_is_never_repeated(tmp_path: Path) -> None:
    with pytest.raises(ValidationUnavailable) as caught:
        url = "postgresql://someone:pa$$word@127.0.0.1:1/shop"
        run_suites(url, EXPECTATIONS / "rlg_data", profile=None, references=CONFIG)
    assert str(caught.value).startswith("unable to open 'shop': the database refuses (")
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("sqlite:////nowhere/none.db", ValidationUnavailable, "unable to open 'none.db': there is no such file"),
        ("sqlite://", ValidationUnavailable, "unable to open 'database': there is no such file"),
        ("not a url", InvalidSetting, "unable to validate 'database': its URL does not parse"),
    ],
)
def test_a_database_that_is_not_there_is_never_made(url: str, error: type[BackupError], text: str) -> None:
    with pytest.raises(error) as caught:
        run_suites(url, EXPECTATIONS / "rlg_data", profile=None, references=CONFIG)
    assert str(caught.value) == text
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_database_is_never_green_and_never_a_traceback(sound: dict[str, Sound], tmp_path: Path, share: float) -> None:
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


def test_importing_the_package_does_not_import_great_expectations() -> None:
    code = "import sys, rlg_backup.validation; print([m for m in ('great_expectations', 'sqlalchemy') if m in sys.modules])"
    plugins = Path(__file__).parents[2] / "plugins"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(plugins)}, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0)
