"""Which rows of a backup belong to erased subjects: the configuration's rules over the tables that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from threading import Lock
from typing import TYPE_CHECKING

from ...config.erasure import Erased, ErasedChild, ErasureRule
from ...core.errors import ErasureUndecided
from ...format.profile import ColumnProfile, Profile, TableProfile
from ...sources.kinds import kind_of, longest_text
from ...sources.port import CASELESS, ROW_IDENTITY, ForeignKey, table_title
from .counts import title_of
from .subjects import Subjects, is_caseless

if TYPE_CHECKING:
    import polars as pl

_CASELESS = "citext"
_SHORTEST = 12  # characters, hex digits all
Place = tuple[str, str]  # schema and name
_OTHER_NAME = (
    "add a rule for the table that held them at the time of the backup; 'optional: true' where a table is not in each"
)
_STAYS = "delete the rows, or anonymize those they belong to"


@dataclass
class Keys:
    """The keys of rows that belong to erased subjects, as texts: what the rows of other tables refer to."""

    found: set[str] = field(default_factory=set)
    _one: Lock = field(default_factory=Lock)

    def add(self, texts: pl.Series) -> None:
        with self._one:
            self.found.update(texts.drop_nulls())

    def has(self, text: str) -> bool:
        return text in self.found


@dataclass(frozen=True)
class Match:
    """Rows of a table whose ``column`` is among ``whose``. ``cut``: what they refer to is deleted, and they stay;
    ``notes``: their columns that other tables refer to; ``declared`` is the column's type and
    ``noted`` are those of these, where they tell which values are equal."""

    column: str
    whose: Subjects | Keys
    does: Erased
    cut: bool
    notes: Mapping[str, Keys]
    declared: str
    noted: Mapping[str, str]


@dataclass
class Plan:
    """``matches`` by table; ``before``: the tables whose rows must be known before those of another are looked at."""

    matches: dict[Place, list[Match]] = field(default_factory=dict)
    before: dict[Place, set[Place]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    rules: list[_Rule] = field(default_factory=list)

    @property
    def known(self) -> int:
        """How many keys of erased rows were found so far."""
        return sum(len(keys.found) for rule in self.rules for keys in rule.keys.values())

    def looks_ahead(self, place: Place) -> bool:
        """Whether rows of a table refer to others of it, or of a table that refers to it: then erased rows must be
        found before any of them is loaded."""
        return place in self._above(place)

    def stages(self, places: Collection[Place]) -> Iterator[list[Place]]:
        """The tables in the order to be loaded, in groups; those that refer to each other in a circle in one."""
        above = {place: self._above(place) for place in places}
        ring = {place: frozenset({place, *(o for o in above[place] if place in above.get(o, ()))}) for place in places}
        sorter: TopologicalSorter[frozenset[Place]] = TopologicalSorter()
        for place in places:
            sorter.add(ring[place], *({ring[one] for one in above[place] if one in ring} - {ring[place]}))
        sorter.prepare()
        while sorter.is_active():
            ready = sorter.get_ready()
            yield [place for one in ready for place in one]
            sorter.done(*ready)

    def _above(self, place: Place) -> set[Place]:
        found: set[Place] = set()
        ahead = set(self.before.get(place, ()))
        while ahead:
            found |= ahead
            ahead = {one for there in ahead for one in self.before.get(there, ())} - found
        return found

    def require_decided(self, keys: Sequence[ForeignKey]) -> None:
        """Raises ErasureUndecided for a foreign key to rows that a rule deletes, and that the same rule does not
        follow; and for one of several columns that it follows by one of them alone."""
        for rule in self.rules:
            for one in keys:
                rule.require_decided(one)
            rule.require_own(keys)


def plan(rules: Sequence[tuple[Subjects, ErasureRule]], profile: Profile, masked: Collection[str]) -> Plan:
    """What is to be done in a backup of this profile, whose columns ``masked`` (``table.column``) hold no true values.

    Raises ErasureUndecided where the rules do not fit the tables: their subjects could not be found, or what is left of
    a row would not load.
    """
    made = Plan()
    for subjects in dict.fromkeys(subjects for subjects, _ in rules):
        own = [rule for of, rule in rules if of is subjects]
        there = [rule for rule in own if _named(profile, rule.table or "")]
        if lost := [rule for rule in own if rule not in there and not (rule.optional and there)]:
            names = "' or '".join(rule.table or "" for rule in lost)
            raise _undecided(names, f"the backup has no such table for '{subjects.kind}'", _OTHER_NAME)
        for rule in there:
            made.rules.append(_Rule(made, subjects, rule, profile, masked))
            made.rules[-1].add()
        for rule in own:
            if rule not in there:
                _require_elsewhere(made, rule, profile)
    return made


def _require_elsewhere(made: Plan, rule: ErasureRule, profile: Profile) -> None:
    """The tables of a rule whose own table is not in the backup must be another rule's, or not be there either."""
    made.warnings.append(f"erasures: the backup has no table '{rule.table}'")
    for name in rule.tables:
        if any(_place(table) not in made.matches for table in _named(profile, name)):
            raise _undecided(name, f"the backup has no table '{rule.table}' that its rows belong to", _OTHER_NAME)


@dataclass
class _Rule:
    """One rule of a plan."""

    made: Plan
    subjects: Subjects
    rule: ErasureRule
    profile: Profile
    masked: Collection[str]
    keys: dict[tuple[str, str], Keys] = field(default_factory=dict)  # title, column > those of erased rows
    emptied: set[str] = field(default_factory=set)  # titles of tables that rows are deleted of
    followed: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    """Title, its column, title of what it refers to > whether that column alone tells the row it refers to."""

    def add(self) -> None:
        root = self.rule.table or ""
        for table in _named(self.profile, root):
            column = self.rule.column or ""
            if is_caseless(_declared(table, column)) and not self.subjects.caseless:
                cause = f"case does not count in it, and does in requests of the kind '{self.subjects.kind}'"
                raise _undecided(f"{title_of(table)}.{column}", cause, f"erasure.normalise.{self.subjects.kind}: email")
            self._match(table, root, column, self.subjects, self.rule, _declared(table, column))
        for name, links in self.rule.tables.items():
            for child in links:
                self._child(name, child, child.of or root)

    def _child(self, name: str, child: ErasedChild, above: str) -> None:
        tables, parents = _named(self.profile, name), _named(self.profile, above)
        if not tables and child.optional:
            self.made.warnings.append(f"erasures: the backup has no table '{name}'")
            return
        if not tables or not parents:
            cause = "the backup has no such table" if not tables else f"the backup has no table '{above}'"
            raise _undecided(name, cause, _OTHER_NAME)
        key = self._key(child, parents[0])
        alone = [column.name for column in parents[0].columns if column.key] == [key]
        keys: Subjects | Keys = self.keys.setdefault((above, key), Keys())
        told = name == above == self.rule.table and key == self.rule.column  # by the request: nothing is to be found
        if told:
            keys = self.subjects
        deleted = any(one.action == "delete" for one in self._erased(above))
        for title in (name, *map(title_of, tables)):
            self.followed |= {(title, child.through, there): alone for there in (above, *map(title_of, parents))}
        cut = deleted and child.action == "anonymize"
        for table in tables:
            self._require_alike(table, child.through, above, parents[0], key)
            # A reference of SQLite compares as the column that it refers to does.
            like = _declared(parents[0], key) if ROW_IDENTITY in table.options else _declared(table, child.through)
            self._match(table, name, child.through, keys, child, like, cut=cut, belongs=not child.only_refers)
            if not told:
                self.made.before.setdefault(_place(table), set()).update(map(_place, parents))

    def require_decided(self, one: ForeignKey) -> None:
        if one.refers not in self.emptied:
            return
        ways = [self.followed[way] for c in one.columns if (way := (one.title, c, one.refers)) in self.followed]
        if not ways:
            cause = f"its column '{one.columns[0]}' refers to rows of '{one.refers}' that are deleted"
            raise _undecided(one.title, cause)
        if len(one.columns) > 1 and not any(ways):
            raise _several(one.title, one.columns, one.refers)

    def require_own(self, keys: Sequence[ForeignKey]) -> None:
        """A column that is followed to its own table, and that the database declares to refer to another."""
        for title, column, there in self.followed:
            refers = {one.refers for one in keys if one.title == title and one.columns == (column,)}
            if title == there and refers and title not in refers:
                cause = f"it refers to rows of '{min(refers)}', not of its own table"
                raise _undecided(f"{title}.{column}", cause, "name that table: 'of'")

    def _match(
        self,
        table: TableProfile,
        name: str,
        column: str,
        whose: Subjects | Keys,
        does: Erased,
        declared: str,
        *,
        cut: bool = False,
        belongs: bool = True,
    ) -> None:
        """``declared``: the type by which keys are compared; ``belongs``: the rows are the subject's, and so is what
        belongs to them."""
        notes = {}
        for child in self._referring(name) if belongs else ():
            key = self._key(child, table)
            notes[key] = self.keys.setdefault((name, key), Keys())
        self._require_columns(table, [column, *notes], [*does.columns, *([column] if cut else [])], cut=cut)
        if isinstance(whose, Subjects):
            declared = "" if is_caseless(declared) else declared  # they see to case themselves
        elif self._caseless(whose):
            declared = _CASELESS
        noted = {one: _CASELESS if self._caseless(keys) else _declared(table, one) for one, keys in notes.items()}
        self.made.matches.setdefault(_place(table), []).append(Match(column, whose, does, cut, notes, declared, noted))
        if does.action == "delete":
            self.emptied |= {name, title_of(table)}

    def _caseless(self, keys: Keys) -> bool:
        """Whether they are subjects' keys themselves, of a kind in whose keys case does not count."""
        return self.subjects.caseless and keys is self.keys.get((self.rule.table or "", self.rule.column or ""))

    def _require_alike(self, table: TableProfile, through: str, of: str, above: TableProfile, key: str) -> None:
        alike = self._caseless(self.keys[of, key]) or ROW_IDENTITY in table.options
        if not alike and is_caseless(_declared(table, through)) != is_caseless(_declared(above, key)):
            cause = f"case counts in it or in '{title_of(above)}.{key}', and not in the other"
            raise _undecided(f"{title_of(table)}.{through}", cause, "name a column of the same type")

    def _erased(self, name: str) -> list[Erased]:
        """What becomes of a table's rows, by each way that they belong to a subject."""
        return [*([self.rule] if name == self.rule.table else []), *self.rule.tables.get(name, ())]

    def _referring(self, name: str) -> list[ErasedChild]:
        return [one for links in self.rule.tables.values() for one in links if (one.of or self.rule.table) == name]

    def _key(self, child: ErasedChild, above: TableProfile) -> str:
        primary = [column.name for column in above.columns if column.key]
        if child.key in primary and len(primary) > 1:
            raise _several(title_of(above), primary, None)
        if child.key is not None:
            return child.key
        if len(primary) != 1:
            cause = f"'{title_of(above)}' has no primary key of one column that '{child.through}' could refer to"
            raise _undecided(title_of(above), cause, "name the column: 'key'")
        return primary[0]

    def _require_columns(
        self, table: TableProfile, looked_at: Sequence[str], emptied: Sequence[str], *, cut: bool
    ) -> None:
        title, columns = title_of(table), {column.name: column for column in table.columns}
        for name in (*looked_at, *emptied):
            if name not in columns:
                raise _undecided(f"{title}.{name}", "the backup has no such column")
        if table.within and title in (self.rule.table, *self.rule.tables):
            whole = table_title(*table.within[-1], {})
            raise _undecided(title, f"it is a part of '{whole}'", f"name '{whole}': rows may be in any part of it")
        for name in looked_at:
            if kind_of(_declared(table, name)) in ("array", "json"):
                raise _undecided(f"{title}.{name}", "a value of it is no single key", "name a column that holds one")
            if f"{title}.{name}" in self.masked:
                cause = "it is masked for ever in this backup, so that nobody is found by it"
                raise _undecided(f"{title}.{name}", cause, "name a column that policies keep or tokenize")
        for name in emptied:
            if columns[name].key or (cut and name == looked_at[0] and not columns[name].nullable):
                cause = "it allows no NULL, and what it refers to is deleted" if cut else "it is of the primary key"
                raise _undecided(f"{title}.{name}", cause, _STAYS)
            if _too_short_to_differ(table, columns[name]):
                cause = "no two rows may hold the same in it, and it is too short for texts that differ"
                raise _undecided(f"{title}.{name}", cause, _STAYS)
            if not _can_be_empty(table, columns[name]):
                cause = "it allows no NULL and holds no text, so that it cannot be emptied"
                raise _undecided(f"{title}.{name}", cause, _STAYS)


def _can_be_empty(table: TableProfile, column: ColumnProfile) -> bool:
    """SQLite takes a text in every column."""
    return column.nullable or ROW_IDENTITY in table.options or kind_of(column.declared_type) == "text"


def _too_short_to_differ(table: TableProfile, column: ColumnProfile) -> bool:
    """Of a column that is emptied to texts of their own: 48 bits tell a million of them apart."""
    unique = any(rule.kind == "distinct" and column.name in rule.columns for rule in table.rules)
    return unique and not column.nullable and (longest_text(column.declared_type) or _SHORTEST) < _SHORTEST


def _declared(table: TableProfile, name: str) -> str:
    """A column's type; of SQLite, where it binds nothing, only whether case counts; none of no such column."""
    caseless = table.options.get(CASELESS)
    if isinstance(caseless, list | tuple) and name in caseless:
        return _CASELESS
    types = {} if ROW_IDENTITY in table.options else {column.name: column.declared_type for column in table.columns}
    return types.get(name, "")


def _named(profile: Profile, name: str) -> list[TableProfile]:
    """The table of that title, and what is a part of it."""
    return [
        table for table in profile.tables if name in (title_of(table), *(table_title(*one, {}) for one in table.within))
    ]


def _place(table: TableProfile) -> Place:
    return table.schema_name, table.name


def _several(title: str, columns: Sequence[str], refers: str | None) -> ErasureUndecided:
    """Rows are followed by one column: by one of several, other people's would be taken for the subject's."""
    named = "', '".join(columns)
    cause = f"its key is '{named}' together" if refers is None else f"'{named}' together refer to rows of '{refers}'"
    return _undecided(title, f"{cause}, and rows are followed by one column", "name a column that tells rows alone")


def _undecided(subject: str, cause: str, hint: str | None = None) -> ErasureUndecided:
    hint = hint or "say under 'erasure.subjects' what becomes of its rows: delete or anonymize"
    return ErasureUndecided("erase in", subject, cause, hint)
