"""Which policy a column gets: patterns ``table.column`` of the configuration, globs in either half."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from ..config import policies as config
from ..config.policies import AnyPolicy
from ..core.errors import InvalidSetting
from .actions import Action, Drop, Hash, Keep, Mask, Pseudonym, Redact, Tokenize
from .generalizing import Generalize
from .inside import Scrub, TokenizeElements, TokenizePaths

IRREVERSIBLE = frozenset(one.name for one in (Hash, Pseudonym, Mask, Generalize, Redact, Drop))
"""The policies whose columns no key brings back."""
KEYED = frozenset(one.name for one in (Tokenize, Scrub))
"""The policies whose columns only the tokenization key brings back."""

_WILD = frozenset("*?[")


_PLAIN: dict[str, Action] = {one.name: one for one in (Keep(), Tokenize(), Scrub(), Hash(), Drop())}


def action_of(policy: AnyPolicy) -> Action:
    """What the configuration's policy does to a column."""
    match policy:
        case config.Tokenize(paths=(_, *_)):
            return TokenizePaths(policy.paths)
        case config.Tokenize(elements=True):
            return TokenizeElements()
        case config.Pseudonym():
            return Pseudonym(policy.like)
        case config.Mask():
            return Mask(policy.keep_last)
        case config.Generalize():
            return Generalize(policy.to, policy.bucket)
        case config.Redact():
            return Redact(policy.to)
    return _PLAIN[policy.policy]


def resolve(policies: Mapping[str, AnyPolicy], table: str, columns: Collection[str]) -> dict[str, Action]:
    """The action of each column of ``table`` that a pattern matches; the others are not in the result.

    The more specific pattern wins: one that is at least as specific in both halves, and more in one (no
    wildcard, then more literal characters). Where none wins and the actions differ, raises
    InvalidSetting: guessing could store a personal column in clear.
    """
    actions = {}
    for column in columns:
        matching = [pattern for pattern in policies if _matches(pattern, table, column)]
        best = [p for p in matching if not any(_beats(other, p) for other in matching)]
        if any(policies[pattern] != policies[best[0]] for pattern in best):
            names = " and ".join(f"'{pattern}' ({policies[pattern]})" for pattern in sorted(best))
            raise InvalidSetting(
                "choose the policy of",
                f"{table}.{column}",
                f"{names} match it and neither is more specific",
                f"add '{table}.{column}' by name",
            )
        if best:
            actions[column] = action_of(policies[best[0]])
    return actions


def pattern_for(patterns: Collection[str], table: str, column: str) -> str | None:
    """The most specific pattern that matches a column, of equals the first by name; None where none does."""
    matching = sorted(pattern for pattern in patterns if _matches(pattern, table, column))
    return next((p for p in matching if not any(_beats(other, p) for other in matching)), None)


def pattern_of(table: str, column: str) -> str:
    """The pattern of one column: ``?`` stands for what is no name in a pattern, wildcards and a column's dots."""
    plain = ["".join("?" if c in wild else c for c in half) for half, wild in ((table, _WILD), (column, _WILD | {"."}))]
    return ".".join(plain)


def names_a_column(pattern: str) -> bool:
    """Whether a pattern says something of which columns it means: ``table.*`` means those that nobody knew, too."""
    return _weight(_halves(pattern)[1])[1] > 0


def unused(policies: Collection[str], tables: Mapping[str, Collection[str]]) -> list[str]:
    """The patterns that match no column of the whole source (``tables``: name to its columns), sorted."""
    return sorted(
        pattern
        for pattern in policies
        if not any(_matches(pattern, table, column) for table, columns in tables.items() for column in columns)
    )


def _halves(pattern: str) -> tuple[str, str]:
    table, dot, column = pattern.rpartition(".")
    if not dot or not table or not column:
        raise InvalidSetting("read the policy of", pattern, "it is not of the form 'table.column'")
    return table, column


def _matches(pattern: str, table: str, column: str) -> bool:
    of_table, of_column = _halves(pattern)
    return fnmatchcase(table, of_table) and fnmatchcase(column, of_column)


def _beats(pattern: str, other: str) -> bool:
    ours = [_weight(half) for half in _halves(pattern)]
    theirs = [_weight(half) for half in _halves(other)]
    return ours != theirs and all(mine >= its for mine, its in zip(ours, theirs, strict=True))


def _weight(half: str) -> tuple[bool, int]:
    return not _WILD & set(half), sum(character not in _WILD for character in half)
