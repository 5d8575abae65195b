"""Which region, country, city and town a row belongs to, as SQL evaluated inside the snapshot.

Every expression is a scalar subquery correlated to the row, never a join, so rows cannot be multiplied or
lost. It is plain ANSI SQL. Cost: one look-up by key for each step of the way up, and each of the levels above
walks it anew (a row with a town: 1 + 2 + 3), about a microsecond each; the keys of the level tables and the
columns ``key`` of ``through`` need an index, which a primary key is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.errors import InvalidSetting
from ..core.model import LEVELS

Quote = Callable[[str], str]


@dataclass(frozen=True)
class Level:
    """The table that lists a level's places: its ``key`` column, and the column of the place above."""

    table: str
    key: str
    parent: str | None = None


@dataclass(frozen=True)
class TableGeography:
    """Where a table's rows say where they belong: ``columns`` (level > column), or the row of the table ``of``
    whose column ``key`` equals this table's column ``through``."""

    columns: Mapping[str, str] = field(default_factory=dict)
    through: str | None = None
    of: str | None = None
    key: str | None = None


class Geography:
    """The configured geography of a source. Raises InvalidSetting if it contradicts itself.

    A table of ``tables`` may name several levels: the column wins, what follows from a finer level fills its
    NULLs. A level's own table has geography without being named: a town lies in its own town, city and so on.
    """

    def __init__(self, levels: Mapping[str, Level], tables: Mapping[str, TableGeography]) -> None:
        self.levels = {name: levels[name] for name in LEVELS if name in levels}
        for name in levels:
            if name not in LEVELS:
                raise _invalid(f"levels.{name}", f"there is no such level; the levels are {', '.join(LEVELS)}")
        self.tables = {**self._level_tables(), **tables}
        for name, table in self.tables.items():
            self._check_table(name, table)
        for name in self.tables:
            self._check_way(name)

    def _level_tables(self) -> dict[str, TableGeography]:
        made: dict[str, TableGeography] = {}
        above: str | None = None
        for name, level in self.levels.items():
            if level.parent is None and above is not None:
                raise _invalid(f"levels.{name}", f"it has no parent, so nothing says which {above} it lies in")
            if level.parent is not None and above is None:
                raise _invalid(f"levels.{name}.parent", "no level above it is configured")
            if level.table in made:
                raise _invalid(f"levels.{name}.table", f"'{level.table}' is the table of another level")
            columns = {name: level.key}
            if level.parent is not None and above is not None:
                columns[above] = level.parent
            made[level.table] = TableGeography(columns)
            above = name
        return made

    def _check_table(self, name: str, table: TableGeography) -> None:
        if table.through is None:
            if not table.columns or table.of is not None or table.key is not None:
                raise _invalid(f"tables.{name}", "it needs levels with their columns, or all of through, of and key")
            for level in table.columns:
                if level not in self.levels:
                    raise _invalid(f"tables.{name}.{level}", f"the level '{level}' is not configured")
        elif table.columns or table.of is None or table.key is None:
            raise _invalid(f"tables.{name}", "it needs levels with their columns, or all of through, of and key")
        elif table.of not in self.tables:
            raise _invalid(f"tables.{name}.of", f"the table '{table.of}' has no geography")

    def _check_way(self, name: str) -> None:
        passed = [name]
        while (following := self.tables[passed[-1]].of) is not None:
            if following in passed:
                raise _invalid(f"tables.{name}", f"its way leads in a circle: {' > '.join([*passed, following])}")
            passed.append(following)

    def check(self, columns: Mapping[str, Collection[str]]) -> None:
        """Raises InvalidSetting for the first table or column named here that the source (table > columns) lacks."""
        for setting, table, names in self.named():
            if table not in columns:
                raise _invalid(setting, f"the source has no table '{table}'", table, columns)
            for name in names:
                if name not in columns[table]:
                    cause = f"the table '{table}' of the source has no column '{name}'"
                    raise _invalid(setting, cause, name, columns[table])

    def named(self) -> Iterator[tuple[str, str, list[str]]]:
        """Every setting that names columns, with their table and names."""
        for name, level in self.levels.items():
            yield f"levels.{name}", level.table, [level.key, *([level.parent] if level.parent else [])]
        for name, table in self.tables.items():
            yield f"tables.{name}", name, [*table.columns.values(), *([table.through] if table.through else [])]
            if table.of is not None and table.key is not None:
                yield f"tables.{name}", table.of, [table.key]

    def expressions(self, table: str, row: str, quote: Quote, quote_table: Quote | None = None) -> dict[str, str]:
        """Level > SQL expression of type TEXT, for each of LEVELS; empty if ``table`` has no geography.

        ``row`` is the alias, as SQL, under which the statement reads the table; ``quote`` makes an identifier of
        a name, ``quote_table`` (default: the same) of a table's name. A level that the table does not tell is NULL.
        """
        if table not in self.tables:
            return {}
        writer = _Writer(self, quote, quote_table or quote)
        values = {level: writer.value(table, row, level) for level in LEVELS}
        return {level: cast_to_text(value) for level, value in values.items()}


def cast_to_text(value: str) -> str:
    return f"CAST({value} AS TEXT)"


NOWHERE: Final = cast_to_text("NULL")  # of a level that no row of the table tells


class _Writer:
    """Writes one table's expressions; each subquery gets an alias of its own."""

    def __init__(self, geography: Geography, quote: Quote, quote_table: Quote) -> None:
        self._geography, self._quote, self._quote_table = geography, quote, quote_table
        self._aliases = 0

    def value(self, table: str, row: str, level: str) -> str:
        here = self._geography.tables[table]
        if here.through is not None and here.of is not None and here.key is not None:
            alias = self._alias()
            found = self.value(here.of, alias, level)
            return (
                found
                if found == "NULL"
                else self._select(found, here.of, alias, here.key, f"{row}.{self._quote(here.through)}")
            )
        direct = f"{row}.{self._quote(here.columns[level])}" if level in here.columns else None
        derived = self._derived(table, row, level)
        if direct is not None and derived != "NULL":
            return f"COALESCE({direct}, {derived})"
        return direct or derived

    def _derived(self, table: str, row: str, level: str) -> str:
        """From the next finer level, by the parent column of its table; NULL where the row tells nothing finer."""
        order = list(self._geography.levels)
        if level not in order or level == order[-1]:
            return "NULL"
        finer = order[order.index(level) + 1]
        place = self._geography.levels[finer]
        if place.parent is None or place.table == table:
            return "NULL"
        code = self.value(table, row, finer)
        if code == "NULL":
            return "NULL"
        alias = self._alias()
        return self._select(f"{alias}.{self._quote(place.parent)}", place.table, alias, place.key, code)

    def _select(self, what: str, table: str, alias: str, key: str, equals: str) -> str:
        place = f"{self._quote_table(table)} AS {alias}"
        return f"(SELECT {what} FROM {place} WHERE {alias}.{self._quote(key)} = {equals})"  # noqa: S608 - quoted names

    def _alias(self) -> str:
        self._aliases += 1
        return self._quote(f"geo{self._aliases}")


def parse_geography(value: Mapping[str, Any]) -> Geography:
    """The ``geography`` setting of a source (``levels`` and ``tables``, see docs) as a Geography.

    Raises InvalidSetting for any key it does not know and any value that is not text.
    """
    _only(value, {"levels", "tables"}, "")
    levels: dict[str, Level] = {}
    for name, fields in _mapping(value.get("levels", {}), "levels").items():
        texts = _texts(fields, f"levels.{name}")
        _only(texts, {"table", "key", "parent"}, f"levels.{name}")
        if "table" not in texts or "key" not in texts:
            raise _invalid(f"levels.{name}", "it needs a table and a key")
        levels[name] = Level(**texts)
    tables: dict[str, TableGeography] = {}
    for name, fields in _mapping(value.get("tables", {}), "tables").items():
        texts = _texts(fields, f"tables.{name}")
        _only(texts, {*LEVELS, "through", "of", "key"}, f"tables.{name}")
        columns = {level: texts[level] for level in LEVELS if level in texts}
        tables[name] = TableGeography(columns, texts.get("through"), texts.get("of"), texts.get("key"))
    return Geography(levels, tables)


def _mapping(value: object, setting: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _invalid(setting, "it is not a mapping of names")
    return dict(value)


def _texts(value: object, setting: str) -> dict[str, str]:
    fields = _mapping(value, setting)
    for key, text in fields.items():
        if not isinstance(text, str) or not text:
            raise _invalid(f"{setting}.{key}", "it is not a name")
    return fields


def _only(value: Mapping[str, Any], allowed: set[str], setting: str) -> None:
    for key in value:
        if key not in allowed:
            raise _invalid(".".join(filter(None, [setting, str(key)])), "no setting has this name", str(key), allowed)


def _invalid(setting: str, cause: str, name: str = "", known: Collection[str] = ()) -> InvalidSetting:
    near = difflib.get_close_matches(name, list(known), 1)
    return InvalidSetting("use", f"geography.{setting}", cause, f"did you mean '{near[0]}'?" if near else None)
