"""Whether a policy suits its column, and what it leaves for ever will load again: told before a row is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..anonymize.actions import TEXTS, Action, Pseudonym, Redact
from ..anonymize.generalizing import Generalize
from ..core.errors import PolicyMismatch
from ..sources.kinds import CASELESS, unit_of
from ..sources.port import Column, Rule, Table

ActionOf = Callable[[str, str], Action | None]
"""(title of a table, column) > the action that leaves something for ever there, or None."""

_INSTEAD = "tokenize it, or change the column"
_COARSER = ("mask", "generalize")  # of which two values that differ may become one


def require_pairs(table: Table, actions: Mapping[str, Action]) -> None:
    """Raises PolicyMismatch for a policy that does not read values of its column's type."""
    for column in table.columns:
        action = actions.get(column.name)
        if action is not None and column.kind not in action.takes:
            takes = ", ".join(sorted(action.takes - {"any"}))
            cause = f"'{action.name}' as it is set takes {takes}; the column is of the type {column.declared_type}"
            raise PolicyMismatch("anonymize", f"{table.title}.{column.name}", cause, "choose another policy for it")


def require_fitting(table: Table, for_ever: Mapping[str, Action], elsewhere: ActionOf) -> None:
    """Raises PolicyMismatch for what no restore could load: no value of the column's type, a row in another partition,
    the same value twice where none may be, a reference to what has become another value."""
    for column in table.columns:
        action = for_ever.get(column.name)
        if action is not None and not fits(action, column):
            cause = f"a column of the type {column.declared_type} does not take what '{action.name}' makes of it"
            raise _refused(table, column.name, cause)
        if isinstance(action, Generalize) and action.of_places and not _takes_unlisted(table, column):
            cause = f"of a place that is not listed '{action.name}' leaves nothing, and the column allows no NULL"
            raise _refused(table, column.name, cause, "let it refer to the places, or allow NULL")
    if table.columns and all(getattr(for_ever.get(column.name), "name", "") == "drop" for column in table.columns):
        raise _refused(table, table.columns[0].name, "no column would be left of the table")
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
            if action is None or rule.kind == "place":
                continue
            if rule.kind == "reference":
                if columns[name].declared_type == CASELESS and not _empties(action, columns[name]):
                    what = f"it may refer to {rule.words} in another case, of which '{action.name}' makes another value"
                    yield f"table '{table.title}': column '{name}': {what}: a restore would leave the reference out"
                continue
            if rule.kind == "computed" or may_repeat(action, columns.get(name)) or action == Pseudonym("phone"):
                what = f"{rule.words} may not take what '{action.name}' leaves there: a restore would fail"
                yield f"table '{table.title}': column '{name}': {what}; drill this backup, or tokenize the column"
    for name, action in for_ever.items():
        if isinstance(action, Redact) and action.to is not None and not columns[name].any_text:
            what = (
                f"only a restore tells whether a column of the type {columns[name].declared_type} takes the text given"
            )
            yield f"table '{table.title}': column '{name}': {what}; drill this backup"


def may_repeat(action: Action, column: Column | None) -> bool:
    """Whether two rows with different values may get the same, which is not NULL."""
    return action.name in _COARSER or _repeats(action, column)


def _require_same(
    table: Table, rule: Rule, here: Action | None, there: Action | None, columns: Mapping[str, Column]
) -> None:
    """Equal values hash to equal values: both sides of a reference, or none. What is NULL refers to nothing, and the
    place that stands for a city is a place."""
    name = rule.columns[0]
    if here == there or (
        here is not None and (_empties(here, columns[name]) or (isinstance(here, Generalize) and here.of_places))
    ):
        return
    mine, theirs = (f"'{action.name}'" if action else "no such policy" for action in (here, there))
    cause = f"it refers to {rule.words}, which has {theirs}, and it has {mine}: they would differ"
    raise _refused(table, name, cause, "give both columns the same policy, or tokenize them")


def fits(action: Action, column: Column) -> bool:
    """Whether a column's type takes what an action leaves; of a text that the configuration gives, only as far as it is
    known."""
    if action.name == "drop":
        return column.nullable or column.default
    if isinstance(action, Redact) and action.to is not None:
        return column.kind != "text" or column.holds(len(action.to))
    if isinstance(action, Generalize) and action.bucket is not None:
        return action.bucket % unit_of(column.declared_type) == 0  # else the column rounds what is left
    if action.longest is None or _empties(action, column):
        return True  # of its own type, and no longer than what was there
    return column.any_text or (column.kind == "text" and column.holds(action.longest))


def _takes_unlisted(table: Table, column: Column) -> bool:
    """Whether a column of places takes what is left of one that is not there, or cannot hold such a one."""
    refers = any(rule.kind == "reference" and rule.columns == (column.name,) for rule in table.rules)
    return refers or column.nullable or column.kind in TEXTS


def _empties(action: Action, column: Column) -> bool:
    return column.nullable and (action.name == "drop" or (isinstance(action, Redact) and action.to is None))


def _repeats(action: Action | None, column: Column | None) -> bool:
    """Whether every row gets the same, which is not NULL."""
    return isinstance(action, Redact) and column is not None and not _empties(action, column)


def _refused(table: Table, column: str, cause: str, hint: str = _INSTEAD) -> PolicyMismatch:
    return PolicyMismatch("anonymize", f"{table.title}.{column}", cause, hint)
