"""A masked copy: a restore in which the columns that a policy protects get a form for ever, the same in every table.

What becomes of a column is told by the setting ``masked``, else by its name and type. All is settled by the profile,
before a database is made; the rows are proven to be the snapshot's before they are masked, and the copy to be what was
made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from ..anonymize.actions import TEXTS, Action, Hash, Keep, Mask, Pseudonym, Redact, Tokenize
from ..anonymize.detect import classify
from ..anonymize.generalizing import Generalize
from ..anonymize.policies import Policies
from ..anonymize.resolution import KEYED, resolve
from ..config.settings import TableSettings
from ..core.errors import PolicyMismatch
from ..core.model import Check, Verdict
from ..format.digest import ROW_DIGESTS, RowDigest
from ..format.profile import ColumnProfile, Profile, TableProfile
from ..sources.kinds import kind_of, longest_text, sqlite_kind
from ..sources.port import ROW_IDENTITY, STRICT, Column, Rule, Table
from .breaking import require_unbroken
from .coarse_places import CoarsePlaces, Read
from .fitting import doubts, fits, may_repeat, require_fitting, require_pairs

if TYPE_CHECKING:
    import pyarrow as pa

_HINT: Final = "name another form for it under 'masked'"
_ALLOW: Final = f"add it to 'allow_breaking', or {_HINT}"
_SHOWN: Final = 5
_FORMS: Final[tuple[tuple[frozenset[str], re.Pattern[str], Action], ...]] = (
    (TEXTS, re.compile(r"e?[-_]?mail", re.IGNORECASE), Pseudonym("email")),
    (TEXTS, re.compile(r"phone|mobile|(^|_)(tel|fax|msisdn)($|_)", re.IGNORECASE), Pseudonym("phone")),
    (TEXTS, re.compile(""), Hash()),
    (TEXTS - {"any"}, re.compile(""), Mask(0)),
    (frozenset(("ip",)), re.compile(""), Generalize("network")),
    (frozenset(("date",)), re.compile(""), Generalize("year")),
)
_EMPTY: Final = {"json": "null", "array": "{}"}  # what stands for nothing where a column allows no NULL

Place = tuple[str, str]
"""Schema and name of a table."""


@dataclass
class _Seen:
    """The rows of a table that came by: their digests as they were, and as they are in the copy."""

    before: RowDigest
    after: RowDigest


class MaskedCopy:
    """What is done to the rows of one restore. For several threads.

    ``read`` gives the rows of a table of the backup. Raises PolicyMismatch for a column that no form fits, and
    KeyUnavailable without the tokenization key where one is needed.
    """

    def __init__(self, settings: TableSettings, profile: Profile, key: bytes | None, read: Read) -> None:
        self._settings, self._profile = settings, profile
        self._tables = {_place(one): _described(one) for one in profile.tables}
        self._coarse = CoarsePlaces(settings.geography, read)
        self.warnings: list[str] = []
        self._kept: list[str] = []  # columns whose names say personal data, and of which nobody said what becomes
        with _in_words_of_copies(_HINT):
            self._actions = {_place(one): self._chosen(one) for one in profile.tables}
            for place in self._tables:
                self._require(place)
        with _in_words_of_copies(_ALLOW):
            for place, table in self._tables.items():
                require_unbroken(table, self._actions[place], settings, self._referred)
        if self._kept:
            shown = f"{', '.join(self._kept[:_SHOWN])}{', ...' if self._kept[_SHOWN:] else ''}"
            self.warnings.append(f"in this copy as in the source, though their names say personal data: {shown}")
        self._policies = {place: self._policies_of(place, key) for place in self._tables}
        self._seen = {place: _Seen(self._new(), self._new()) for place in self._tables}
        self._one = Lock()

    @property
    def columns(self) -> list[str]:
        """The ``table.column`` that this copy masks, sorted."""
        return sorted(f"{self._tables[place].title}.{name}" for place, some in self._actions.items() for name in some)

    def rows(self, table: TableProfile, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Some rows of a table, masked."""
        policies, seen = self._policies[_place(table)], _Seen(self._new(), self._new())
        for batch in batches:
            seen.before.update(batch)
            masked = policies.apply(batch)
            seen.after.update(masked)
            yield masked
        with self._one:
            self._seen[_place(table)].before += seen.before
            self._seen[_place(table)].after += seen.after

    def profile(self, expected: Profile) -> Profile:
        """What the copy must be, when the rows that came by are those that were ``expected``."""
        tables = (self._copied(table) for table in expected.tables)
        return expected.model_copy(update={"tables": tuple(tables)})

    def checks(self, expected: Profile) -> list[Check]:
        """Whether they are: a FAIL for each table of which other rows came by."""
        wrong = []
        for table in expected.tables:
            found = self._seen[_place(table)].before
            if (found.rows, found.hexdigest()) != (table.rows, table.digest.restored):
                title = self._tables[_place(table)].title
                told = f"{found.rows:,} rows with another digest before they were masked"
                wrong.append(Check("parity", f"table {title}", Verdict.FAIL, told, f"{table.rows:,} rows"))
        return wrong

    def _copied(self, table: TableProfile) -> TableProfile:
        digest = {"restored": self._seen[_place(table)].after.hexdigest()}
        return table.model_copy(update={"digest": table.digest.model_copy(update=digest)})

    def _chosen(self, profile: TableProfile) -> dict[str, Action]:
        """The form of each column that is masked in the copy."""
        table = self._tables[_place(profile)]
        named: dict[str, Action] = {}
        for title in table.titles:
            named = {**resolve(self._settings.masked, title, [column.name for column in table.columns]), **named}
        found: dict[str, Action] = {}
        for told, column in zip(profile.stored_columns, table.columns, strict=True):
            seen = profile.detected.get(column.name, "")
            action = named.get(column.name) or (_form_of(table, column, seen) if told.policy in KEYED else Keep())
            if column.name not in named and told.policy == Keep.name and _says_personal(table, column):
                self._kept.append(f"{table.title}.{column.name}")
            if not isinstance(action, Keep):
                found[column.name] = self._coarse.known_to(table, column.name, action)
        return found

    def _require(self, place: Place) -> None:
        """Raises PolicyMismatch for what the copy's columns would not take."""
        table, actions = self._tables[place], self._actions[place]
        columns = {column.name: column for column in table.columns}
        require_pairs(table, actions)
        require_fitting(table, actions, self._elsewhere)
        for rule in table.rules:
            if rule.kind == "distinct" and all(_repeats(actions.get(name), columns.get(name)) for name in rule.columns):
                cause = (
                    f"'{actions[rule.columns[0]].name}' may leave the same in two rows, and {rule.words} takes it once"
                )
                raise _refused(f"{table.title}.{rule.columns[0]}", cause)
        self.warnings += doubts(table, actions)

    @property
    def _referred(self) -> set[tuple[str, str]]:
        return {rule.refers for table in self._tables.values() for rule in table.rules if rule.kind == "reference"}

    def _elsewhere(self, title: str, column: str) -> Action | None:
        """What becomes of a column of another table; one that is no table by itself has its partitions' policies."""
        table = next((one for one in self._tables.values() if title in one.titles), None)
        return None if table is None else self._actions[table.schema, table.name].get(column)

    def _policies_of(self, place: Place, key: bytes | None) -> Policies:
        table = self._tables[place]
        policies = Policies(table.title, self._actions[place], key, {one.name: one.nullable for one in table.columns})
        policies.check([column.name for column in table.columns])
        return policies

    def _new(self) -> RowDigest:
        return ROW_DIGESTS[self._profile.row_digest](bytes.fromhex(self._profile.digest_key))


def _place(table: TableProfile) -> Place:
    return table.schema_name, table.name


def _described(profile: TableProfile) -> Table:
    """A table as far as the profile tells of it."""
    columns = tuple(_column(column, profile.options) for column in profile.stored_columns)
    rules = tuple(Rule(one.kind, one.words, one.columns, one.refers) for one in profile.rules)
    names = (profile.schema_name, profile.name)
    return Table(*names, columns, profile.fingerprint, profile.options, profile.within, rules)


def _column(told: ColumnProfile, options: Mapping[str, object]) -> Column:
    if ROW_IDENTITY in options:
        rowid = options[ROW_IDENTITY] == "column" and bool(told.key)
        kind = sqlite_kind(told.declared_type, rowid=rowid, strict=STRICT in options)
        return Column(told.name, told.declared_type, told.nullable, told.key, kind)
    kind, longest = kind_of(told.declared_type), longest_text(told.declared_type)
    return Column(told.name, told.declared_type, told.nullable, told.key, kind, longest)


def _form_of(table: Table, column: Column, seen: str) -> Action:
    """What a column gets that no setting names: by its type, and its name or the kind of data ``seen`` in it, the first
    that it can hold."""
    for kinds, name, form in _FORMS:
        if column.kind in kinds and (name.search(column.name) or name.fullmatch(seen)) and fits(form, column):
            return form
    if column.nullable:
        return Redact()
    if column.kind in _EMPTY:
        return Redact(_EMPTY[column.kind])
    raise _refused(
        f"{table.title}.{column.name}", f"no form fits a column of the type {column.declared_type} by itself"
    )


def _says_personal(table: Table, column: Column) -> bool:
    return column.kind in Tokenize.takes and classify(table.root, column.name, None).personal


def _repeats(action: Action | None, column: Column | None) -> bool:
    return action is not None and may_repeat(action, column)


@contextmanager
def _in_words_of_copies(hint: str) -> Iterator[None]:
    """What does not fit a backup's column does not fit a copy's, where the way out is another."""
    try:
        yield
    except PolicyMismatch as error:
        raise _refused(error.subject, error.cause, hint) from None


def _refused(subject: str, cause: str, hint: str = _HINT) -> PolicyMismatch:
    return PolicyMismatch("make a masked copy of", subject, cause, hint)
