"""Whether what a policy leaves for ever will load again: a backup that no restore can load is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..anonymize.actions import Action
from ..core.errors import PolicyMismatch
from ..sources.port import Column, Rule, Table

ActionOf = Callable[[str, str], Action | None]
"""(title of a table, column) > the action that leaves something for ever there, or None."""

_REDACT = "redact"
_INSTEAD = "tokenize it, or change the column"


def require_fitting(table: Table, for_ever: Mapping[str, Action], elsewhere: ActionOf) -> None:
    """Raises PolicyMismatch for what no restore could load: no value of the column's type, a row in another partition,
    the same value twice where none may be, a reference to what has become another value."""
    for column in table.columns:
        action = for_ever.get(column.name)
        if action is not None and not column.any_text and not _empties(action, column):
            cause = f"a column of the type {column.declared_type} does not take what '{action.name}' makes of it"
            raise _refused(table, column.name, cause)
    columns = {column.name: column for column in table.columns}
    for rule in table.rules:
        changed = [name for name in rule.columns if name in for_ever]
        if rule.kind == "place" and changed:
            cause = f"it decides of {rule.words}, and '{for_ever[changed[0]].name}' makes another value of it"
            raise _refused(table, changed[0], cause)
        if rule.kind == "distinct" and all(_repeats(for_ever.get(name), columns.get(name)) for name in rule.columns):
            cause = f"every row would hold the same, and {rule.words} takes it once"
            raise _refused(table, rule.columns[0], cause)
        if rule.kind == "reference":
            _require_same(table, rule, for_ever.get(rule.columns[0]), elsewhere(*rule.refers), columns)


def doubts(table: Table, for_ever: Mapping[str, Action]) -> Iterator[str]:
    """A warning for each column where only a restore can tell whether what is left fits."""
    columns = {column.name: column for column in table.columns}
    for rule in table.rules:
        for name in rule.columns:
            action = for_ever.get(name)
            if action is None or rule.kind not in ("computed", "distinct"):
                continue
            if rule.kind == "computed" or _repeats(action, columns.get(name)):
                what = f"{rule.words} may not take what '{action.name}' leaves there: a restore would fail"
                yield f"table '{table.title}': column '{name}': {what}; drill this backup, or tokenize the column"


def _require_same(
    table: Table, rule: Rule, here: Action | None, there: Action | None, columns: Mapping[str, Column]
) -> None:
    """Equal values hash to equal values: both sides of a reference, or none. What is NULL refers to nothing."""
    name = rule.columns[0]
    if (here and here.name) == (there and there.name) or (here is not None and _empties(here, columns[name])):
        return
    mine, theirs = (f"'{action.name}'" if action else "no such policy" for action in (here, there))
    cause = f"it refers to {rule.words}, which has {theirs}, and it has {mine}: they would differ"
    raise _refused(table, name, cause, "give both columns the same policy, or tokenize them")


def _empties(action: Action, column: Column) -> bool:
    return action.name == _REDACT and column.nullable


def _repeats(action: Action | None, column: Column | None) -> bool:
    """Whether every row gets the same, which is not NULL."""
    return action is not None and action.name == _REDACT and column is not None and not column.nullable


def _refused(table: Table, column: str, cause: str, hint: str = _INSTEAD) -> PolicyMismatch:
    return PolicyMismatch("anonymize", f"{table.title}.{column}", cause, hint)
