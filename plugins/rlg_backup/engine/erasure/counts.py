"""What a restore left out: counts, and the profile less them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...core.model import LEVELS
from ...format.profile import Profile, TableProfile
from ...sources.port import table_title

TREE = "files and folders"  # what a tree is called among tables
SHOWN_LEVELS = LEVELS[:2]
"""Geography that is told of what was erased: a city or a town of one row may tell who it was."""


@dataclass
class ErasedRows:
    """Of one table; of a tree, of its entries. ``places``: level > code > rows that are no more there (below zero: that
    are there instead)."""

    deleted: int = 0
    anonymized: int = 0
    places: dict[str, dict[str, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.deleted or self.anonymized)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def add(self, other: ErasedRows) -> None:
        self.deleted += other.deleted
        self.anonymized += other.anonymized
        for level, codes in other.places.items():
            here = self.places.setdefault(level, {})
            for code, rows in codes.items():
                here[code] = here.get(code, 0) + rows


Erased = Mapping[str, ErasedRows]  # by table; of a tree one


def told(erased: Erased) -> list[str]:
    """A line for people on each table of which something was erased."""
    return [
        f"erased as requested: {title}: {one.deleted:,} deleted, {one.anonymized:,} anonymized"
        for title, one in erased.items()
        if one
    ]


def less(erased: Erased) -> dict[str, str]:
    """By table, what parity says of it behind "as at the snapshot"."""
    return {
        title: f" less {one.deleted:,} erased" + (f", {one.anonymized:,} anonymized" if one.anonymized else "")
        for title, one in erased.items()
    }


def title_of(table: TableProfile) -> str:
    return table_title(table.schema_name, table.name, table.options)


def titles_of(table: TableProfile) -> list[str]:
    """Its own, then those of what it is within."""
    return [title_of(table), *(table_title(*one, {}) for one in table.within)]


def less_erased(profile: Profile, erased: Erased, doubtful: Collection[str] = ()) -> Profile:
    """The profile as a restored copy must be, but for digests. Of tables that something was erased of it knows the rows
    by region and country, and no totals; of those whose place is ``doubtful`` (titles) no rows by place."""
    tables = [
        _less(table, erased.get(title_of(table)), known=not {*doubtful} & {*titles_of(table)})
        for table in profile.tables
    ]
    return profile.model_copy(update={"tables": tuple(tables)})


def _less(table: TableProfile, erased: ErasedRows | None, *, known: bool) -> TableProfile:
    if not erased:
        return table if known else table.model_copy(update={"geography": None})
    geography = {
        level: _without(codes, erased.places.get(level, {}))
        for level, codes in (table.geography or {}).items()
        if level in SHOWN_LEVELS
    }
    # A row that was placed elsewhere when it was saved counts there: then fewer than none are left.
    known = known and all(rows > 0 for codes in geography.values() for rows in codes.values())
    rows = table.rows - erased.deleted
    found = geography if known and geography else None
    return table.model_copy(update={"rows": rows, "geography": found, "totals": {}})


def _without(codes: Mapping[str, int], gone: Mapping[str, int]) -> dict[str, int]:
    left = {code: codes.get(code, 0) - gone.get(code, 0) for code in {**codes, **gone}}
    return {code: rows for code, rows in left.items() if rows}
