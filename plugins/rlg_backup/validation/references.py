"""Configuration and the backup's profile as small tables that SQL checks can join with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """Rows by level and code, as the backup's profile has them. ``levels`` are the (table, level) it holds."""

    levels: frozenset[tuple[str, str]]
    relation: Relation

    @property
    def tables(self) -> frozenset[str]:
        """The tables with geography."""
        return frozenset(table for table, _ in self.levels)


def profile_rows(profile: Mapping[str, object] | None) -> ProfileRows:
    """Section 6 of the format as a relation; of no profile, an empty one.

    A name that two schemas of the profile have is left out: a suite speaks of tables by name alone.
    Raises ValidationUnavailable for what is not a profile.
    """
    columns = {"table_name": "text", "level": "text", "code": "text", "row_count": "integer"}
    rows: list[tuple[Cell, ...]] = []
    levels = set()
    try:
        tables = (profile or {}).get("tables", [])
        names = Counter(table["name"] for table in tables)  # type: ignore[attr-defined]  # what is no profile ends below
        for table in tables:  # type: ignore[attr-defined]  # as above
            if names[table["name"]] > 1:
                continue
            for level, codes in (table.get("geography") or {}).items():
                levels.add((table["name"], level))
                rows += [(table["name"], level, code, int(count)) for code, count in codes.items()]
    except (TypeError, KeyError, AttributeError, ValueError):
        raise ValidationUnavailable("read", "profile", "it has not the shape of a profile") from None
    return ProfileRows(frozenset(levels), Relation(PROFILE_ROWS, columns, tuple(rows)))
