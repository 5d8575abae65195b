"""Patterns of the configuration, and the policy each column gets."""

from __future__ import annotations

import pytest

from rlg_backup.anonymize.actions import Hash, Keep, Redact, Tokenize
from rlg_backup.anonymize.resolution import resolve, unused
from rlg_backup.core.errors import InvalidSetting


def test_a_glob_reaches_every_column_it_matches_and_no_other() -> None:
    policies = {"*.email": "tokenize", "users.*_ip": "hash"}
    columns = ["id", "email", "last_ip", "email_2", "Email"]
    assert resolve(policies, "users", columns) == {"email": Tokenize(), "last_ip": Hash()}
    assert resolve(policies, "events", columns) == {"email": Tokenize()}


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
        assert resolve(policies, "users", ["email"]) == {"email": Redact()}


def test_two_patterns_of_which_neither_is_more_specific_are_an_error() -> None:
    with pytest.raises(InvalidSetting) as caught:
        resolve({"users.*": "keep", "*.email": "tokenize"}, "users", ["email"])
    assert str(caught.value) == (
        "unable to choose the policy of 'users.email': "
        "'*.email' (tokenize) and 'users.*' (keep) match it and neither is more specific\n"
        "hint: add 'users.email' by name"
    )


def test_a_tie_is_no_error_where_the_policies_agree_or_a_name_decides() -> None:
    assert resolve({"users.*": "hash", "*.email": "hash"}, "users", ["email"]) == {"email": Hash()}
    tie = {"users.*": "hash", "*.email": "tokenize", "users.email": "keep"}
    assert resolve(tie, "users", ["email"]) == {"email": Keep()}


def test_a_table_with_a_schema_is_named_up_to_the_last_dot() -> None:
    assert resolve({"public.users.email": "hash"}, "public.users", ["email"]) == {"email": Hash()}


def test_patterns_that_match_nothing_are_reported() -> None:
    tables = {"users": ["id", "email"], "events": ["ip"]}
    policies = {"*.email": "tokenize", "users.ip": "hash", "evnts.*": "keep", "events.*": "keep"}
    assert unused(policies, tables) == ["evnts.*", "users.ip"]


@pytest.mark.parametrize("pattern", ["email", ".email", "users."])
def test_a_pattern_that_names_no_table_and_column_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        resolve({pattern: "keep"}, "users", ["email"])
    assert str(caught.value) == f"unable to read the policy of '{pattern}': it is not of the form 'table.column'"


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(InvalidSetting) as caught:
        resolve({"users.email": "tokenise"}, "users", ["email"])
    assert str(caught.value) == (
        "unable to use the policy 'tokenise': there is no policy of that name\n"
        "hint: one of: hash, keep, redact, tokenize"
    )
