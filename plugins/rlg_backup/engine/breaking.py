"""Columns that a policy may change for ever only where the configuration names them: suites and joins need them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from ..anonymize.actions import Action, Keep
from ..anonymize.generalizing import Generalize
from ..config.settings import TableSettings
from ..core.errors import PolicyMismatch
from ..sources.port import Table


def require_unbroken(
    table: Table, for_ever: Mapping[str, Action], settings: TableSettings, referred: Collection[tuple[str, str]]
) -> None:
    """Raises PolicyMismatch for a column of geography, totals, invariants or keys that is changed for ever and that
    ``allow_breaking`` does not name. ``referred``: (title, column) that some table refers to."""
    for name, action in for_ever.items():
        names = [f"{title}.{name}" for title in table.titles]
        why = _why(table, name, action, settings, referred)
        if why is not None and not set(names) & set(settings.allow_breaking):
            hint = f"tokenize it, or add '{names[0]}' to 'allow_breaking'"
            raise PolicyMismatch("anonymize", names[0], f"{why}, and '{action.name}' changes it for ever", hint)


def beside(table: Table, actions: Mapping[str, Action], settings: TableSettings) -> Iterator[str]:
    """A warning for each column that rows are placed by and that a policy protects: not from geography."""
    for name, action in sorted(actions.items()):
        if not isinstance(action, Keep) and any((title, name) in _places(settings) for title in table.titles):
            what = "rows are placed by it: region and country stand beside it, and the profile counts its places"
            yield f"table '{table.title}': column '{name}': {what}"


def _why(
    table: Table, name: str, action: Action, settings: TableSettings, referred: Collection[tuple[str, str]]
) -> str | None:
    """What rests on a column, in words; None for nothing."""
    if any((title, name) in _places(settings) for title in table.titles):
        return None if isinstance(action, Generalize) and action.of_places else "it says to which place rows belong"
    if any(name in settings.totals.get(title, ()) for title in table.titles):
        return "its sums are kept"
    if any(fnmatchcase(f"{title}.{name}", pattern) for title in table.titles for pattern in settings.invariants):
        return "it is one of the 'invariants'"
    if any(column.name == name and column.key for column in table.columns):
        return "it is part of the primary key"
    for rule in table.rules:
        if rule.kind == "reference" and name in rule.columns:
            return f"it refers to {rule.words}"
    return "another table refers to it" if any((title, name) in referred for title in table.titles) else None


def _places(settings: TableSettings) -> set[tuple[str, str]]:
    """(table, column) that rows are placed by."""
    geography = settings.geography
    if geography is None:
        return set()
    found = {(level.table, column) for level in geography.levels.values() for column in (level.key, level.parent)}
    for title, one in geography.tables.items():
        found |= {(title, column) for column in (one.region, one.country, one.city, one.town, one.through)}
        found |= {(one.of, one.key)} if one.of else set()
    return {(title, column) for title, column in found if title and column}
