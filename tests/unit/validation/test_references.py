"""Configuration files and the profile become tables, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlg_backup.core.errors import InvalidSetting, ValidationUnavailable
from rlg_backup.validation.references import load_references, profile_rows
from rlg_backup.validation.suites import Reference, Suite

PRICES = Reference(
    "p.yaml", "prices", {"plan": "text", "cents": "integer", "locked": "boolean", "v": "integer"}, ("v",)
)
MEMBERS = Reference("r.yaml", "regions", {"code": "text", "country": "text"}, each=("countries", "country"))


def suite(name: str = "s", **references: Reference) -> Suite:
    return Suite(name, "d", (), references=references)


def test_a_list_becomes_typed_rows_with_the_shared_columns_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("v: 3\nprices: [{plan: pro, cents: 100, locked: true}]\n", "utf-8")
    (relation,) = load_references([suite(rlg_p=PRICES), suite("t", rlg_p=PRICES)], tmp_path)
    assert relation.name == "rlg_p"
    assert relation.rows == (("pro", 100, True, 3),)


def test_each_gives_one_row_for_each_item_and_none_where_there_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text('regions: [{code: a, countries: ["NO", "DE"]}, {code: b}]\n', "utf-8")
    (relation,) = load_references([suite(rlg_m=MEMBERS)], tmp_path)
    assert relation.rows == (("a", "NO"), ("a", "DE"))


def test_norway_without_quotes_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("regions: [{code: a, countries: [NO]}]\n", "utf-8")
    with pytest.raises(InvalidSetting) as caught:
        load_references([suite(rlg_m=MEMBERS)], tmp_path)
    hint = "YAML reads NO and ON as truth values: put such codes in quotes"
    assert str(caught.value) == f"unable to load reference 'r.yaml: country': a value is no text\nhint: {hint}"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("v: 3\nprices: [{plan: pro, cents: '1', locked: true}]", "p.yaml: cents': a value is no integer"),
        ("v: 3\nprices: [{plan: pro, locked: true}]", "p.yaml: cents': a value is no integer"),
        ("prices: [{plan: pro, cents: 1, locked: true}]", "p.yaml: v': a value is no integer"),
        ("v: 3\nprices: []", "p.yaml': 'prices' gives 'rlg_p' no row"),
        ("v: 3\nprices: {pro: 1}", "p.yaml': 'prices' is not a list of mappings"),
        ("- 1", "p.yaml': 'prices' is not a list of mappings"),
    ],
)
def test_a_file_that_does_not_hold_what_the_suite_says_is_refused(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "p.yaml").write_text(content, "utf-8")
    with pytest.raises(InvalidSetting) as caught:
        load_references([suite(rlg_p=PRICES)], tmp_path)
    assert str(caught.value) == f"unable to load reference '{text}"


@pytest.mark.parametrize(
    ("content", "cause"),
    [(None, "No such file or directory"), (b"\xff", "it is not UTF-8 text"), (b"a: [", "it is not YAML")],
)
def test_a_file_that_cannot_be_read_makes_verification_unavailable(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    if content is not None:
        (tmp_path / "p.yaml").write_bytes(content)
    with pytest.raises(ValidationUnavailable) as caught:
        load_references([suite(rlg_p=PRICES)], tmp_path)
    assert str(caught.value) == f"unable to load reference 'p.yaml': {cause}"


def test_one_name_with_two_meanings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load_references([suite(rlg_p=PRICES), suite("t", rlg_p=MEMBERS)], tmp_path)
    assert str(caught.value) == "unable to load reference 'rlg_p': two suites define it differently"


def table(name: str, geography: object, schema: str = "main") -> dict[str, object]:
    return {"schema": schema, "name": name, "rows": 3, "geography": geography}


def test_the_profile_becomes_one_row_for_each_table_level_and_code() -> None:
    found = profile_rows({"tables": [table("a", {"region": {"eu": 2, "": 1}, "country": {"": 3}}), table("b", None)]})
    assert found.relation.rows == (("a", "region", "eu", 2), ("a", "region", "", 1), ("a", "country", "", 3))
    assert found.levels == {("a", "region"), ("a", "country")}
    assert found.tables == {"a"}


def test_a_name_that_two_schemas_share_is_left_out_of_the_profile() -> None:
    same = {"region": {"eu": 3}}
    assert profile_rows({"tables": [table("a", same), table("a", same, "other")]}).tables == frozenset()


def test_rows_of_a_part_count_for_the_tables_it_is_within_too() -> None:
    """Which of them need a count by a suite are those that are no part: ``log``, and ``a`` beside it."""
    parts = [
        {**table(f"log_{year}", {"region": {"eu": year}}), "within": [["main", "logs_of_a_year"], ["main", "log"]]}
        for year in (1, 2)
    ]
    found = profile_rows({"tables": [*parts, table("a", {"region": {"eu": 9}})]})
    assert {(name, count) for name, _, _, count in found.relation.rows} == {
        ("log_1", 1), ("log_2", 2), ("logs_of_a_year", 3), ("log", 3), ("a", 9),
    }  # fmt: skip
    assert found.tables == {"log", "a"}


def test_parts_of_two_tables_of_one_name_are_not_added_up() -> None:
    parts = [{**table(f"{of}_log", {"region": {"eu": 1}}), "within": [[of, "log"]]} for of in ("north", "south")]
    found = profile_rows({"tables": parts})
    assert {name for name, _, _, _ in found.relation.rows} == {"north_log", "south_log"}
    assert found.tables == frozenset()


def test_no_profile_gives_no_rows() -> None:
    assert profile_rows(None).relation.rows == ()


@pytest.mark.parametrize("profile", [{"tables": 3}, {"tables": [{}]}, {"tables": [table("a", [1])]}])
def test_what_is_not_a_profile_makes_verification_unavailable(profile: dict[str, object]) -> None:
    with pytest.raises(ValidationUnavailable) as caught:
        profile_rows(profile)
    assert str(caught.value) == "unable to read 'profile': it has not the shape of a profile"
