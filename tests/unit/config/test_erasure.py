"""What is erased is said in the configuration, and what cannot be meant is refused when it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.forgotten import with_erasures
from tests.support.world import World

from rlg_backup.config.erasure import path_expression
from rlg_backup.config.load import load
from rlg_backup.core.errors import InvalidSetting


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("erasure") / "world")


def refused(world: World, **rules: Any) -> str:
    with_erasures(world, **rules)
    with pytest.raises(InvalidSetting) as caught:
        load(world.config)
    return caught.value.cause.partition(": ")[2]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"column": None}, "name a table and its column, or files"),
        ({"files": ["{key}/**"]}, "name a table and its column, or files"),
        ({"columns": ["email"]}, "'columns' are what 'action: anonymize' empties: name both or neither"),
        ({"action": "anonymize"}, "'columns' are what 'action: anonymize' empties: name both or neither"),
        ({"tables": {"lines": {"through": "o", "of": "orders"}}}, "'tables.lines' does not lead to the table 'people'"),
        (
            {"tables": {"a": {"through": "b", "of": "b"}, "b": {"through": "a", "of": "a"}}},
            "'tables.a' does not lead to the table 'people'",
        ),
        (
            {"tables": {"people": {"through": "invited_by"}}},
            "'tables.people': rows that refer to erased ones are of others: empty that column alone",
        ),
        (
            {"tables": {"notes": [{"through": "writer"}, {"through": "answers", "of": "notes"}]}},
            "'tables.notes': rows that refer to erased ones are of others: empty that column alone",
        ),
        (
            {"tables": {"people": {"through": "x", "of": "y", "action": "anonymize", "columns": ["x"]}}},
            "'tables.people' does not lead to the table 'people'",
        ),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(world: World, rules: dict[str, Any], text: str) -> None:
    assert refused(world, **rules) == text


def test_only_kinds_that_there_are_can_be_normalised(world: World) -> None:
    with_erasures(world)
    world.settings["erasure"]["normalise"] = {"account": "email"}
    world.save()
    with pytest.raises(InvalidSetting) as caught:
        load(world.config)
    assert caught.value.cause.endswith("'normalise.account': 'subjects' has no such kind")


@pytest.mark.parametrize("pattern", ["/{key}", "../{key}", "a/**b/{key}", "{key}*/a", "{key}/{key}", "plain"])
def test_paths_that_could_mean_another_are_refused(world: World, pattern: str) -> None:
    text = f"'{pattern}' is not a relative path with one {{key}}, and no * in the same name"
    assert refused(world, table=None, column=None, tables={}, files=[pattern]) == text


def test_files_are_of_trees(world: World) -> None:
    told = refused(world, table=None, column=None, tables={}, files=["{key}/**"])
    assert told == "'erasure.subjects.person.app': files are of trees, tables of databases"


@pytest.mark.parametrize(
    ("pattern", "path", "key"),
    [
        ("uploads/{key}/**", "uploads/42", "42"),
        ("uploads/{key}/**", "uploads/42/a/b.txt", "42"),
        ("uploads/{key}/**", "uploads", None),
        ("uploads/{key}/**", "more/uploads/42", None),
        ("**/avatar-{key}.png", "a/b/avatar-42.png", "42"),
        ("**/avatar-{key}.png", "avatar-42.png", "42"),
        ("**/avatar-{key}.png", "avatar-42xpng", None),
        ("*/{key}/*.pdf", "2026/42/x.pdf", "42"),
        ("*/{key}/*.pdf", "2026/42/x/y.pdf", None),
    ],
)
def test_a_pattern_finds_the_key_in_a_path(pattern: str, path: str, key: str | None) -> None:
    match = path_expression(pattern).fullmatch(f"/{path}")
    assert (match and match[1]) == key


def test_the_shipped_configuration_leads_to_its_subjects() -> None:
    """It is loaded by every test of the DAGs; here what an owner would look for is named."""
    text = (Path(__file__).parents[3] / "include" / "config" / "backup.yaml").read_text("utf-8")
    assert "accounts: {through: referred_by, action: anonymize, columns: [referred_by]}" in text
