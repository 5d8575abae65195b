"""What each column of a snapshot holds, by the configuration or by a sample of its rows, and who decided about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from ..anonymize.actions import Tokenize
from ..anonymize.column_words import GEOGRAPHY, MONEY, PERSONAL
from ..anonymize.detect import Classification, classify
from ..anonymize.resolution import names_a_column, pattern_for
from ..config.settings import TableSettings
from ..format.forms import role_of
from ..sources.kinds import ANY, has_form
from ..sources.port import Table, TableSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

UNASSIGNED: Final = "unassigned"
"""The dataset of tables that are in none."""
SAMPLED_ROWS: Final = 1000
"""Rows of a table that are looked at: of them a share of 2 % is known to half a percent."""
_SAMPLED_BYTES: Final = 16 << 20


@dataclass(frozen=True)
class ClassifiedColumn:
    """``policy`` is what the configuration says to do with the column, None where it says nothing that counts;
    ``able``: whether its type takes tokens."""

    table: Table
    column: str
    policy: str | None
    found: Classification
    able: bool = True

    @property
    def title(self) -> str:
        """What the configuration calls it."""
        return f"{self.table.root}.{self.column}"


def classified(
    snapshot: TableSnapshot, settings: TableSettings, wanted: Callable[[str | None], bool], tell: Callable[[str], None]
) -> Iterator[ClassifiedColumn]:
    """The columns whose policy is ``wanted``, table by table; of those that no token fits only what the configuration
    calls personal. Tables without any other are not read. ``tell`` hears of each table that is looked at."""
    for table in snapshot.tables:
        policies = {column.name: policy_of(settings, table.titles, column.name) for column in table.columns}
        able = {column.name for column in table.columns if column.kind in Tokenize.takes}
        formed = {one.name for one in table.columns if one.kind != ANY and has_form(one.declared_type)}
        columns = [name for name, policy in policies.items() if name in able and wanted(policy)]
        for name in sorted(policies.keys() - able):
            if wanted(policies[name]) and class_of(settings, table, name) == PERSONAL:
                told = Classification(PERSONAL, "", 1.0, 0, 0)
                yield ClassifiedColumn(table, name, policies[name], told, able=False)
        if not columns:
            continue
        tell(table.title)
        values = _sample(snapshot, table)
        for name in columns:
            given = class_of(settings, table, name)
            found = classify(table.root, name, None if name in formed else values.get(name))
            if given is not None:
                kind = found.kind if given == PERSONAL else ""
                found = Classification(given, kind, 1.0, found.looked, found.found if kind else 0)
            yield ClassifiedColumn(table, name, policies[name], found)


def policy_of(settings: TableSettings, titles: Sequence[str], column: str) -> str | None:
    """The policy that somebody chose for a column of a table (its own title, then those of what it is within), with
    ``personal_text_allowed`` as a ``keep``. By a pattern that names no column (``table.*``), or for a whole dataset,
    none is kept: it was not said of a column that was added since."""
    if any(f"{title}.{column}" in settings.personal_text_allowed for title in titles):
        return "keep"
    chosen = _said_of({pattern: policy.policy for pattern, policy in settings.policies.items()}, titles, column)
    if chosen is not None:
        return None if chosen[1] == "keep" and not names_a_column(chosen[0]) else chosen[1]
    dataset = next((name for name, tables in settings.datasets.items() if {*titles} & {*tables}), UNASSIGNED)
    rest = settings.dataset_policies.get(dataset)
    return None if rest is None or rest.policy == "keep" else rest.policy


def class_of(settings: TableSettings, table: Table, column: str) -> str | None:
    """The class that the configuration gives a column; again nobody said of a new one that it is not personal."""
    chosen = _said_of(settings.classes, table.titles, column)
    if chosen is not None and (chosen[1] == PERSONAL or names_a_column(chosen[0])):
        return chosen[1]
    places = settings.geography.tables if settings.geography else {}
    for title in table.titles:
        if title in places and column in places[title].model_dump().values():
            return GEOGRAPHY
        if column in settings.totals.get(title, ()):
            return MONEY
    return None


def _said_of(settings: Mapping[str, str], titles: Sequence[str], column: str) -> tuple[str, str] | None:
    """The pattern that counts for a column, and what it says: of the table itself before what it is within."""
    patterns = (pattern_for(settings, title, column) for title in titles)
    return next(((pattern, settings[pattern]) for pattern in patterns if pattern is not None), None)


def _sample(snapshot: TableSnapshot, table: Table) -> Mapping[str, pa.Array]:
    """Some values of each column; nothing of a table without rows."""
    held: list[pa.RecordBatch] = []
    with closing(snapshot.sample(table, SAMPLED_ROWS)) as batches:
        for batch in batches:
            held.append(batch)
            if sum(one.nbytes for one in held) >= _SAMPLED_BYTES:
                break
    if not held:
        return {}
    names = [field.name for field in held[0].schema if not role_of(field)]
    return {name: _together([batch.column(name) for batch in held]) for name in names}


def _together(arrays: list[pa.Array]) -> pa.Array:
    """One array; of the type that most values have, where a column changed its form meanwhile."""
    types = {array.type: 0 for array in arrays}
    for array in arrays:
        types[array.type] += len(array) - array.null_count
    most = max(types, key=lambda kind: types[kind])
    return pa.concat_arrays([array for array in arrays if array.type == most])
