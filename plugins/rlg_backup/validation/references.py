"""Configuration and the backup's profile as small tables that SQL checks can join with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..config.strict_yaml import StrictLoader
from ..core.errors import InvalidSetting, ValidationUnavailable
from .document import MAX_BYTES
from .shorthand import PROFILE_ROWS
from .suites import Reference, Suite

Cell = str | int | bool | None


@dataclass(frozen=True)
class Relation:
    """A temporary table: ``columns`` are name > text, integer or boolean; rows in their order."""

    name: str
    columns: Mapping[str, str]
    rows: tuple[tuple[Cell, ...], ...]


def load_references(suites: Iterable[Suite], folder: Path) -> list[Relation]:
    """The reference tables of the suites, each once.

    Raises ValidationUnavailable when a file cannot be read, InvalidSetting when it does not hold what
    the suite says, or two suites mean different things by one name.
    """
    wanted: dict[str, Reference] = {}
    for suite in suites:
        for name, reference in suite.references.items():
            if wanted.setdefault(name, reference) != reference:
                raise InvalidSetting("load reference", name, "two suites define it differently")
    return [_relation(name, reference, folder) for name, reference in wanted.items()]


def _relation(name: str, reference: Reference, folder: Path) -> Relation:
    try:
        document = yaml.load(_text(folder / reference.file), Loader=StrictLoader)  # noqa: S506  # a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValidationUnavailable("load reference", reference.file, cause) from None
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date or a path that is none
        raise ValidationUnavailable("load reference", reference.file, "it is not YAML") from None
    items = document.get(reference.rows) if isinstance(document, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidSetting("load reference", reference.file, f"'{reference.rows}' is not a list of mappings")
    shared = {key: document.get(key) for key in reference.shared}
    rows = [
        tuple(_cell(reference, column, {**item, **shared}) for column in reference.columns)
        for item in _spread(items, reference)
    ]
    if not rows:
        raise InvalidSetting("load reference", reference.file, f"'{reference.rows}' gives '{name}' no row")
    return Relation(name, reference.columns, tuple(rows))


def _text(file: Path) -> str:
    """The file, unless it is too large for one; raises OSError and ValueError."""
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError
    return data.decode("utf-8")


def _spread(items: list[dict[str, object]], reference: Reference) -> list[dict[str, object]]:
    if reference.each is None:
        return items
    key, column = reference.each
    lists = [(item, item.get(key, [])) for item in items]
    if not all(isinstance(values, list) for _, values in lists):
        raise InvalidSetting("load reference", reference.file, f"'{key}' is not a list everywhere")
    return [{**item, column: value} for item, values in lists if isinstance(values, list) for value in values]


def _cell(reference: Reference, column: str, item: Mapping[str, object]) -> Cell:
    value, kind = item.get(column), reference.columns[column]
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "integer" and isinstance(value, int) and not isinstance(value, bool):
        return value
    hint = "YAML reads NO and ON as truth values: put such codes in quotes" if isinstance(value, bool) else None
    raise InvalidSetting("load reference", f"{reference.file}: {column}", f"a value is no {kind}", hint)


@dataclass(frozen=True)
class ProfileRows:
    """Rows by level and code, as the backup's profile has them. ``levels`` are the (table, level) it holds, ``tables``
    the tables with geography that are no part of another."""

    levels: frozenset[tuple[str, str]]
    tables: frozenset[str]
    relation: Relation


def profile_rows(profile: Mapping[str, object] | None) -> ProfileRows:
    """Section 6 of the format as a relation; of no profile, an empty one.

    The rows of a table count for those it is within too: a suite that asks a partitioned table sees its partitions.
    A name that two schemas of the profile have is left out: a suite speaks of tables by name alone.
    Raises ValidationUnavailable for what is not a profile.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    whole = set()
    try:
        tables = [_Profiled(entry) for entry in (profile or {}).get("tables", [])]  # type: ignore[attr-defined]  # what is no profile ends below
        names = Counter(name for _, name in {one for table in tables for one in table.places})
        for table in tables:
            whole.add(table.places[-1][1])
            for _, name in table.places:
                for level, codes in table.geography.items():
                    if names[name] == 1:
                        counts.setdefault((name, level), Counter()).update(codes)
    except (TypeError, KeyError, AttributeError, ValueError):
        raise ValidationUnavailable("read", "profile", "it has not the shape of a profile") from None
    rows = [(*key, code, count) for key, codes in counts.items() for code, count in codes.items()]
    columns = {"table_name": "text", "level": "text", "code": "text", "row_count": "integer"}
    counted = frozenset(table for table, _ in counts)
    return ProfileRows(frozenset(counts), counted & whole, Relation(PROFILE_ROWS, columns, tuple(rows)))


class _Profiled:
    """A table of a profile. ``places`` are the schema and name of the table, then of those it is within."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        within = [(schema, name) for schema, name in entry.get("within", ())]
        self.places: list[tuple[str, str]] = [(entry["schema"], entry["name"]), *within]
        levels = (entry.get("geography") or {}).items()
        self.geography = {level: {code: int(n) for code, n in codes.items()} for level, codes in levels}
