"""Expectation suites as data: one YAML or JSON file each, read strictly.

A suite file has the keys

``name``          the file's own name without its extension
``description``   what it proves, for the person who reads the report
``same_as``       instead of all else: another suite file, relative to this one, whose content is meant
``references``    table name > where its rows come from (see ``Reference``): configuration as a table
``views``         view name > SELECT, made in the order given; both are temporary and leave no trace
``tables``        table name > list of expectations in Great Expectations' own JSON form
``resolves``      ``table.column`` > ``table.column``: each value that is not null exists over there
``rows_by``       ``levels`` and, by table, a SELECT that gives one row for each row of the table with a
                  column for each level: counted, and compared with the profile of the backup

``meta.considers`` of an expectation is a SELECT that counts the rows the check is about: a check about no
row is never a pass. In SQL a literal brace is doubled, as Great Expectations wants it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import InvalidSetting, ValidationUnavailable
from .document import Place, near, parse
from .shorthand import IDENTIFIER, PROFILE_ROWS, Expectation, counting, resolving

TYPES = ("text", "integer", "boolean")
_PARTS = ("references", "views", "tables", "resolves", "rows_by")
_RELATION = re.compile(r"rlg_[a-z0-9_]{1,58}")


@dataclass(frozen=True)
class Reference:
    """Rows of a configuration file: the list at ``rows``, typed ``columns``, those of ``shared`` taken
    from the top of the file; ``each`` (list key, column name) gives one row for each item of a list."""

    file: str
    rows: str
    columns: Mapping[str, str]
    shared: tuple[str, ...] = ()
    each: tuple[str, str] | None = None


@dataclass(frozen=True)
class Suite:
    """A suite as read. ``counted`` are the tables whose rows it compares with the profile."""

    name: str
    description: str
    expectations: tuple[Expectation, ...]
    references: Mapping[str, Reference] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    counted: tuple[str, ...] = ()


def load_suites(folder: Path, only: Sequence[str] | None = None) -> list[Suite]:
    """Every suite of a folder in order of name, or those named by ``only``.

    Raises ValidationUnavailable when there is no folder or no suite in it, InvalidSetting for a file
    that is not a suite, two files of one name, or a name nobody has.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.glob("*")):
        if file.suffix in (".json", ".yaml", ".yml") and files.setdefault(file.stem, file) != file:
            raise InvalidSetting("load suite", file.stem, f"'{folder.name}' has two files of that name")
    if not files:
        cause = "the folder holds no suite" if folder.is_dir() else "there is no such folder"
        raise ValidationUnavailable("load suites from", folder.name, cause, "one YAML or JSON file is one suite")
    for name in only or ():
        if name not in files:
            raise InvalidSetting("load suite", name, f"'{folder.name}' has no such suite", near(name, files))
    return [_load(file) for name, file in files.items() if only is None or name in only]


def _load(file: Path) -> Suite:
    place = Place(f"{file.parent.name}/{file.name}")
    raw = place.mapping(parse(file, place), "", ("name", "description", "same_as", *_PARTS))
    if place.text(raw, "name") != file.stem:
        raise place.invalid("name", f"the name of the suite is not that of its file, '{file.stem}'")
    if "same_as" in raw:
        if len(raw) != 2:
            raise place.invalid("same_as", "it stands with 'name' alone")
        other = file.parent / place.text(raw, "same_as")
        place = Place(f"{other.parent.name}/{other.name}")
        raw = place.mapping(parse(other, place), "", ("name", "description", *_PARTS))
    expectations = [*_listed(place, raw), *resolving(place, raw.get("resolves"))]
    counts, counted = counting(place, raw.get("rows_by"))
    if not (expectations or counts):
        raise place.invalid("tables", "the suite checks nothing")
    references = place.mapping(raw.get("references", {}), "references")
    views = place.mapping(raw.get("views", {}), "views")
    return Suite(
        name=file.stem,
        description=place.text(raw, "description"),
        expectations=(*expectations, *counts),
        references={
            _relation(place, name, "references"): _reference(place, name, item) for name, item in references.items()
        },
        views={_relation(place, name, "views"): place.text(views, name, "views") for name in views},
        counted=counted,
    )


def _listed(place: Place, raw: Mapping[str, object]) -> list[Expectation]:
    tables = place.mapping(raw.get("tables", {}), "tables")
    return [
        _expectation(place, table, item, f"tables.{table}.{number}")
        for table, items in tables.items()
        for number, item in enumerate(place.sequence(items, f"tables.{table}"), start=1)
    ]


def _expectation(place: Place, table: str, item: object, where: str) -> Expectation:
    raw = place.mapping(item, where, ("type", "kwargs", "description", "meta", "notes", "severity"))
    kind, kwargs = place.text(raw, "type", where), place.mapping(raw.get("kwargs", {}), f"{where}.kwargs")
    meta = place.mapping(raw.get("meta", {}), f"{where}.meta", ("considers",))
    plain = f"{table}.{kwargs.get('column', '*')}: {kind.removeprefix('expect_').replace('_', ' ')}"
    return Expectation(
        table=table,
        type=kind,
        kwargs=kwargs,
        description=place.text(raw, "description", where) if "description" in raw else plain,
        considers=place.text(meta, "considers", f"{where}.meta") if meta else None,
    )


def _relation(place: Place, name: str, where: str) -> str:
    if not _RELATION.fullmatch(name) or name == PROFILE_ROWS:
        raise place.invalid(f"{where}.{name}", f"the name must begin with 'rlg_' and not be '{PROFILE_ROWS}'")
    return name


def _reference(place: Place, name: str, item: object) -> Reference:
    where = f"references.{name}"
    raw = place.mapping(item, where, ("file", "rows", "columns", "shared", "each"))
    columns = {key: str(kind) for key, kind in place.mapping(raw.get("columns"), f"{where}.columns").items()}
    for key, kind in columns.items():
        if not IDENTIFIER.fullmatch(key) or kind not in TYPES:
            raise place.invalid(f"{where}.columns.{key}", f"a column is a plain name and one of: {', '.join(TYPES)}")
    shared = tuple(str(key) for key in place.sequence(raw["shared"], f"{where}.shared")) if "shared" in raw else ()
    each = tuple(place.mapping(raw["each"], f"{where}.each").items()) if "each" in raw else ()
    if len(each) > 1 or not {*shared, *(str(column) for _, column in each)} <= set(columns):
        raise place.invalid(where, "'shared' names columns, and 'each' one list and the column its items go to")
    return Reference(
        file=place.text(raw, "file", where),
        rows=place.text(raw, "rows", where),
        columns=columns,
        shared=shared,
        each=(each[0][0], str(each[0][1])) if each else None,
    )
