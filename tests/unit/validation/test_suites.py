"""Suite files are read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rlg_backup.core.errors import BackupError, InvalidSetting, ValidationUnavailable
from rlg_backup.validation.suites import Reference, load_suites

CHECK = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}, "description": "ids are unique"}
MINIMAL: dict[str, Any] = {"name": "tree", "description": "what it proves", "tables": {"towns": [CHECK]}}
REFERENCE = {
    "file": "f.yaml",
    "rows": "r",
    "columns": {"code": "text", "v": "integer"},
    "shared": ["v"],
    "each": {"l": "code"},
}


def folder_with(tmp_path: Path, *suites: dict[str, Any]) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for suite in suites:
        (folder / f"{suite['name']}.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    return folder


def refusal(tmp_path: Path, suite: dict[str, Any]) -> str:
    with pytest.raises(InvalidSetting) as caught:
        load_suites(folder_with(tmp_path, suite))
    return str(caught.value)


def test_a_suite_is_read_as_written_from_yaml_and_from_json(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, MINIMAL)
    (folder / "other.json").write_text(json.dumps({**MINIMAL, "name": "other"}), "utf-8")
    other, tree = load_suites(folder)
    assert (tree.name, other.name, tree.description) == ("tree", "other", "what it proves")
    (check,) = tree.expectations
    assert check == other.expectations[0]
    assert (check.table, check.type, check.kwargs) == ("towns", CHECK["type"], {"column": "id"})
    assert check.description == "ids are unique"


def test_a_check_without_a_description_is_named_by_its_table_column_and_type(tmp_path: Path) -> None:
    suite = {
        **MINIMAL,
        "tables": {"towns": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}}]},
    }
    (read,) = load_suites(folder_with(tmp_path, suite))
    assert read.expectations[0].description == "towns.id: column values to be unique"


def test_a_reference_is_read_as_written(tmp_path: Path) -> None:
    (suite,) = load_suites(folder_with(tmp_path, {**MINIMAL, "references": {"rlg_codes": REFERENCE}}))
    expected = Reference("f.yaml", "r", {"code": "text", "v": "integer"}, shared=("v",), each=("l", "code"))
    assert suite.references == {"rlg_codes": expected}


def test_only_the_named_suites_are_loaded_and_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, MINIMAL, {**MINIMAL, "name": "prices"})
    assert [suite.name for suite in load_suites(folder, ["prices"])] == ["prices"]
    with pytest.raises(InvalidSetting) as caught:
        load_suites(folder, ["price"])
    expected = "unable to load suite 'price': 'shop' has no such suite\nhint: did you mean 'prices'?"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tabels": {}}, "shop/tree.yaml: tabels': there is no such key\nhint: did you mean 'tables'?"),
        (
            {"tables": {"towns": [{**CHECK, "kwarg": {}}]}},
            "shop/tree.yaml: tables.towns.1.kwarg': there is no such key\nhint: did you mean 'kwargs'?",
        ),
        (
            {"tables": {"towns": [{**CHECK, "meta": {"consider": "SELECT 1"}}]}},
            "shop/tree.yaml: tables.towns.1.meta.consider': there is no such key\nhint: did you mean 'considers'?",
        ),
        (
            {"references": {"rlg_codes": {**REFERENCE, "row": "x"}}},
            "shop/tree.yaml: references.rlg_codes.row': there is no such key\nhint: did you mean 'rows'?",
        ),
        (
            {"references": {"rlg_codes": {**REFERENCE, "columns": {"code": "varchar"}}}},
            "shop/tree.yaml: references.rlg_codes.columns.code': "
            "a column is a plain name and one of: text, integer, boolean",
        ),
        (
            {"references": {"rlg_codes": {**REFERENCE, "shared": ["version"]}}},
            "shop/tree.yaml: references.rlg_codes': "
            "'shared' names columns, and 'each' one list and the column its items go to",
        ),
        (
            {"references": {"codes": REFERENCE}},
            "shop/tree.yaml: references.codes': the name must begin with 'rlg_' and not be 'rlg_profile_rows'",
        ),
        (
            {"views": {"rlg_profile_rows": "SELECT 1"}},
            "shop/tree.yaml: views.rlg_profile_rows': the name must begin with 'rlg_' and not be 'rlg_profile_rows'",
        ),
        ({"tables": {}}, "shop/tree.yaml: tables': the suite checks nothing"),
        ({"tables": {"towns": []}}, "shop/tree.yaml: tables.towns': this is not a list with at least one item"),
        ({"tables": {"towns": [3]}}, "shop/tree.yaml: tables.towns.1': this is not a mapping of names"),
        ({"description": " "}, "shop/tree.yaml: description': a text is needed here"),
        ({"resolves": {"towns": "cities.id"}}, "shop/tree.yaml: resolves.towns': write 'table.column: table.column'"),
        (
            {"resolves": {'towns.city_id" OR 1': "cities.id"}},
            "shop/tree.yaml: resolves.towns.city_id\" OR 1': write 'table.column: table.column'",
        ),
        (
            {"rows_by": {"levels": ["continent"], "tables": {}}},
            "shop/tree.yaml: rows_by.levels': the levels are: region, country, city, town",
        ),
        (
            {"rows_by": {"levels": ["region"], "tables": {"t'": "SELECT 1"}}},
            "shop/tree.yaml: rows_by.tables.t'': a table has a plain name here",
        ),
        ({"same_as": "x.yaml"}, "shop/tree.yaml: same_as': it stands with 'name' alone"),
    ],
)
def test_what_is_wrong_in_a_suite_is_refused_by_its_place(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    assert refusal(tmp_path, {**MINIMAL, **change}) == f"unable to read suite '{text}"


def test_a_suite_that_bears_another_name_than_its_file_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, MINIMAL)
    (folder / "tree.yaml").rename(folder / "forest.yaml")
    with pytest.raises(InvalidSetting) as caught:
        load_suites(folder)
    cause = "the name of the suite is not that of its file, 'forest'"
    assert str(caught.value) == f"unable to read suite 'shop/forest.yaml: name': {cause}"


def test_a_key_that_stands_twice_is_refused_since_the_second_hides_checks(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "tree.yaml").write_text("name: tree\ntables: {a: []}\ntables: {b: []}\n", "utf-8")
    with pytest.raises(InvalidSetting) as caught:
        load_suites(folder)
    text = "unable to read suite 'shop/tree.yaml': the key 'tables' stands twice (line 3)"
    assert str(caught.value) == text


def test_two_files_of_one_suite_are_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, MINIMAL)
    (folder / "tree.json").write_text(json.dumps(MINIMAL), "utf-8")
    with pytest.raises(InvalidSetting) as caught:
        load_suites(folder)
    assert str(caught.value) == "unable to load suite 'tree': 'shop' has two files of that name"


def test_same_as_takes_the_content_of_another_suite_under_its_own_name(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"name": "mine", "same_as": "../common/tree.yaml"})
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "tree.yaml").write_text(yaml.safe_dump(MINIMAL), "utf-8")
    (suite,) = load_suites(folder)
    assert (suite.name, suite.description) == ("mine", "what it proves")


def test_same_as_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    text = "unable to read suite 'common/tree.yaml': the file cannot be read: No such file or directory"
    assert refusal(tmp_path, {"name": "mine", "same_as": "../common/tree.yaml"}) == text


@pytest.mark.parametrize(("exists", "cause"), [(True, "the folder holds no suite"), (False, "there is no such folder")])
def test_a_folder_without_suites_cannot_verify_anything(tmp_path: Path, exists: bool, cause: str) -> None:
    if exists:
        (tmp_path / "shop").mkdir()
    with pytest.raises(ValidationUnavailable) as caught:
        load_suites(tmp_path / "shop")
    hint = "one YAML or JSON file is one suite"
    assert str(caught.value) == f"unable to load suites from 'shop': {cause}\nhint: {hint}"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    key=st.sampled_from(["name", "description", "references", "views", "tables", "resolves", "rows_by", "same_as"]),
    value=_JSON,
)
def test_no_content_of_a_key_ends_in_anything_but_a_suite_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "tree.yaml").write_text(json.dumps({**MINIMAL, key: value}), "utf-8")
    try:
        (suite,) = load_suites(folder)
    except BackupError as error:
        assert isinstance(error, InvalidSetting)
    else:
        assert suite.expectations


@pytest.mark.parametrize("content", [b"? [1]\n: 2", b"at: 2020-99-99", b"name: [", b"{1: 2}", b"&a [*a]"])
def test_a_document_that_is_no_suite_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tree.yaml").write_bytes(content)
    with pytest.raises(InvalidSetting):
        load_suites(tmp_path)


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=60))
def test_a_file_of_any_bytes_is_refused_without_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "tree.yaml").write_bytes(content)
    with pytest.raises(InvalidSetting):
        load_suites(folder)
