"""A suite of one's own over any database: what is shown, what is refused, what is left alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlg_backup.core.errors import BackupError, InvalidSetting, ValidationUnavailable
from rlg_backup.core.model import Check, Verdict
from rlg_backup.validation import run_suites

UNIQUE: dict[str, Any] = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "description": "ids"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database with one table of 45 orders in two countries."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE orders (id INTEGER, country TEXT)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [(n, "DE" if n < 40 else None) for n in range(1, 46)])
    database.close()
    return file


def run(shop: Path, *checks: dict[str, Any], profile: dict[str, object] | None = None, **more: Any) -> list[Check]:
    suites = shop.parent / "suites"
    suites.mkdir()
    suite = {"name": "own", "description": "d", "tables": {"orders": list(checks)} if checks else {}, **more}
    (suites / "own.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    return run_suites(f"sqlite:///{shop}", suites, profile=profile, references=shop.parent)


def test_table_counts_are_shown_and_other_observed_values_are_not(shop: Path) -> None:
    checks = run(
        shop,
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "id", "max_value": 1}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "id", "value_set": [1], "mostly": 0.5}},
    )
    assert [(check.group, check.verdict, check.measured, check.expected) for check in checks] == [
        ("own", Verdict.PASS, "45", "table row count to be between"),
        ("own", Verdict.FAIL, "not as expected, 45 rows looked at", "column max to be between"),
        ("own", Verdict.FAIL, "44 unexpected values, 45 looked at", "at least 50.00% as expected"),
    ]


def test_nulls_are_not_counted_as_looked_at(shop: Path) -> None:
    check = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "country", "value_set": ["DE"]}}
    (found,) = run(shop, check)
    assert (found.verdict, found.measured) == (Verdict.PASS, "0 unexpected values, 39 looked at")


def test_a_check_that_holds_for_no_row_is_no_pass(shop: Path) -> None:
    check = {
        "type": "expect_column_max_to_be_between",
        "kwargs": {"column": "id", "max_value": 100},
        "meta": {"considers": "SELECT COUNT(country) FROM orders WHERE id > 40"},
    }
    (found,) = run(shop, check)
    assert (found.verdict, found.measured) == (Verdict.COULD_NOT_VERIFY, "there is nothing to look at: no row")


def test_a_reference_of_the_configuration_can_be_joined_with(shop: Path) -> None:
    (shop.parent / "countries.yaml").write_text('countries: [{code: "NO"}, {code: DE}]\n', "utf-8")
    reference = {"file": "countries.yaml", "rows": "countries", "columns": {"code": "text"}}
    query = "SELECT 1 FROM rlg_countries AS c LEFT JOIN orders AS o ON o.country = c.code WHERE o.id IS NULL"
    sql = {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": query}, "description": "sold"}
    (found,) = run(shop, sql, references={"rlg_countries": reference})
    assert (found.verdict, found.measured) == (Verdict.FAIL, "1 unexpected row, 45 looked at")


def test_rows_by_country_count_rows_without_one_under_the_empty_code(shop: Path) -> None:
    rows_by = {"levels": ["country"], "tables": {"orders": "SELECT country FROM orders"}}
    tables = [{"schema": "main", "name": "orders", "rows": 45, "geography": {"country": {"DE": 39, "": 6}}}]
    equal, counted = run(shop, rows_by=rows_by, profile={"tables": tables})
    assert (equal.verdict, equal.measured) == (Verdict.PASS, "0 unexpected countries, 2 looked at")
    assert counted.verdict is Verdict.PASS


def test_a_row_that_lost_its_country_differs_in_two_countries(shop: Path) -> None:
    rows_by = {"levels": ["country"], "tables": {"orders": "SELECT country FROM orders"}}
    tables = [{"schema": "main", "name": "orders", "rows": 45, "geography": {"country": {"DE": 40, "": 5}}}]
    different, _ = run(shop, rows_by=rows_by, profile={"tables": tables})
    assert (different.verdict, different.measured) == (Verdict.FAIL, "2 unexpected countries, 2 looked at")


def test_an_expectation_type_nobody_knows_is_refused_with_the_nearest(shop: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        run(shop, {**UNIQUE, "type": "expect_column_values_to_be_uniqe"})
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
    shop: Path, kwargs: dict[str, str], text: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        run(shop, {**UNIQUE, "kwargs": kwargs})
    assert str(caught.value) == f"unable to read suite 'own: ids': 'expect_column_values_to_be_unique' {text}"


def test_a_view_that_would_hide_a_table_of_the_database_is_refused(shop: Path) -> None:
    database = sqlite3.connect(shop)
    database.execute("CREATE TABLE rlg_mine (id INTEGER)")
    database.close()
    with pytest.raises(InvalidSetting) as caught:
        run(shop, UNIQUE, views={"rlg_mine": "SELECT 1"})
    assert str(caught.value) == "unable to validate 'shop.db': the database has a table 'rlg_mine' of its own"


@pytest.mark.parametrize("query", ["DROP TABLE orders", "DELETE FROM orders WHERE id = 1 RETURNING 1"])
def test_a_suite_cannot_write_to_the_database(shop: Path, query: str) -> None:
    (found,) = run(shop, {**UNIQUE, "meta": {"considers": query}})
    assert (found.verdict, found.measured) == (Verdict.COULD_NOT_VERIFY, "the database could not evaluate it")
    database = sqlite3.connect(shop)
    assert database.execute("SELECT COUNT(*) FROM orders").fetchone() == (45,)
    database.close()


def test_a_check_whose_sql_is_wrong_could_not_be_verified_and_the_next_is(shop: Path) -> None:
    wrong = {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELEKT 1"}, "description": "w"}
    checks = run(shop, wrong, UNIQUE)
    assert [(check.verdict, check.measured) for check in checks] == [
        (Verdict.COULD_NOT_VERIFY, "the database could not evaluate it"),
        (Verdict.PASS, "0 unexpected values, 45 looked at"),
    ]


def test_a_password_in_the_url_is_never_repeated(shop: Path) -> None:
    run(shop, UNIQUE)
    with pytest.raises(ValidationUnavailable) as caught:
        run_suites(
            "postgresql://someone:pa$$word@127.0.0.1:1/shop",
            shop.parent / "suites",
            profile=None,
            references=shop.parent,
        )
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
def test_a_database_that_is_not_there_is_never_made(shop: Path, url: str, error: type[BackupError], text: str) -> None:
    run(shop, UNIQUE)
    with pytest.raises(error) as caught:
        run_suites(url, shop.parent / "suites", profile=None, references=shop.parent)
    assert str(caught.value) == text
    assert not Path("/nowhere").exists()


def test_importing_the_package_does_not_import_great_expectations() -> None:
    heavy = "('great_expectations', 'sqlalchemy', 'pyarrow')"
    code = f"import sys, rlg_backup.validation; print([name for name in {heavy} if name in sys.modules])"
    plugins = Path(__file__).parents[3] / "plugins"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": str(plugins)}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
