"""Patterns of the configuration, and the policy each column gets."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import TypeAdapter

from rlg_backup.anonymize.actions import Action, Drop, Hash, Keep, Mask, Pseudonym, Redact, Tokenize
from rlg_backup.anonymize.generalizing import Generalize
from rlg_backup.anonymize.inside import Scrub, TokenizeElements, TokenizePaths
from rlg_backup.anonymize.resolution import IRREVERSIBLE, KEYED, resolve, unused
from rlg_backup.config.policies import NAMES, Policy
from rlg_backup.core.errors import InvalidSetting


def chosen(policies: Mapping[str, object], table: str, columns: list[str]) -> dict[str, Action]:
    """What the configuration's own words come to."""
    return resolve(TypeAdapter(dict[str, Policy]).validate_python(policies), table, columns)


def test_a_glob_reaches_every_column_it_matches_and_no_other() -> None:
    policies = {"*.email": "tokenize", "users.*_ip": "hash"}
    columns = ["id", "email", "last_ip", "email_2", "Email"]
    assert chosen(policies, "users", columns) == {"email": Tokenize(), "last_ip": Hash()}
    assert chosen(policies, "events", columns) == {"email": Tokenize()}


@pytest.mark.parametrize(
    ("general", "special"),
    [
        ("*.email", "users.email"),
        ("*.*", "*.email"),
        ("*.*mail", "*.email"),
        ("us*.email", "users.email"),
        ("u*.*", "users.*"),
    ],
)
def test_the_more_specific_pattern_wins_in_either_order(general: str, special: str) -> None:
    for pair in ((general, special), (special, general)):
        policies = {pattern: "redact" if pattern == special else "tokenize" for pattern in pair}
        assert chosen(policies, "users", ["email"]) == {"email": Redact()}


def test_two_patterns_of_which_neither_is_more_specific_are_an_error() -> None:
    with pytest.raises(InvalidSetting) as caught:
        chosen({"users.*": "keep", "*.email": "tokenize"}, "users", ["email"])
    assert str(caught.value) == (
        "unable to choose the policy of 'users.email': "
        "'*.email' (tokenize) and 'users.*' (keep) match it and neither is more specific\n"
        "hint: add 'users.email' by name"
    )


def test_a_tie_is_no_error_where_the_policies_agree_or_a_name_decides() -> None:
    assert chosen({"users.*": "hash", "*.email": "hash"}, "users", ["email"]) == {"email": Hash()}
    tie = {"users.*": "hash", "*.email": "tokenize", "users.email": "keep"}
    assert chosen(tie, "users", ["email"]) == {"email": Keep()}


def test_a_table_with_a_schema_is_named_up_to_the_last_dot() -> None:
    assert chosen({"public.users.email": "hash"}, "public.users", ["email"]) == {"email": Hash()}


def test_patterns_that_match_nothing_are_reported() -> None:
    tables = {"users": ["id", "email"], "events": ["ip"]}
    policies = {"*.email": "tokenize", "users.ip": "hash", "evnts.*": "keep", "events.*": "keep"}
    assert unused(policies, tables) == ["evnts.*", "users.ip"]


@pytest.mark.parametrize("pattern", ["email", ".email", "users."])
def test_a_pattern_that_names_no_table_and_column_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        chosen({pattern: "keep"}, "users", ["email"])
    assert str(caught.value) == f"unable to read the policy of '{pattern}': it is not of the form 'table.column'"


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("keep", Keep()),
        ("tokenize", Tokenize()),
        ({"policy": "tokenize", "paths": ["$.contact.email"]}, TokenizePaths(("$.contact.email",))),
        ({"policy": "tokenize", "elements": True}, TokenizeElements()),
        ("scrub", Scrub()),
        ("hash", Hash()),
        ({"policy": "pseudonym", "like": "phone"}, Pseudonym("phone")),
        ("mask", Mask(4)),
        ({"policy": "mask", "keep_last": 2}, Mask(2)),
        ({"policy": "generalize", "to": "month"}, Generalize("month")),
        ({"policy": "generalize", "bucket": 10}, Generalize(bucket=10)),
        ("redact", Redact()),
        ({"policy": "redact", "to": "{}"}, Redact("{}")),
        ("drop", Drop()),
    ],
)
def test_every_policy_of_the_configuration_has_its_action(said: object, action: Action) -> None:
    assert chosen({"users.email": said}, "users", ["email"]) == {"email": action}
    assert action.name in NAMES
    assert (action.name in IRREVERSIBLE) is not action.reversible
    assert (action.name in KEYED) is (action.reversible and action.keyed)


def test_policies_that_differ_in_a_setting_differ() -> None:
    with pytest.raises(InvalidSetting) as caught:
        chosen({"users.*": {"policy": "mask", "keep_last": 2}, "*.email": "mask"}, "users", ["email"])
    assert str(caught.value) == (
        "unable to choose the policy of 'users.email': "
        "'*.email' (mask) and 'users.*' (mask keep_last: 2) match it and neither is more specific\n"
        "hint: add 'users.email' by name"
    )
