"""Of which tables nobody can tell where their rows belong once something was erased: suites compare these with nothing.

Rows are placed by columns of their own or through a row of another table, which may be gone or have lost its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ...config.erasure import Erased as Said
from ...config.erasure import ErasureRule
from ...config.settings import FilesSettings, GeographySettings
from ...format.profile import Profile
from ..wiring import Wiring
from .counts import Erased, ErasedRows, less_erased, titles_of


def to_compare(wiring: Wiring, source: str, profile: Profile, erased: Erased) -> Profile:
    """The profile less what was erased, as suites compare a restored copy with it: without the rows by place of tables
    that are in doubt."""
    settings = wiring.source_settings(source)
    doubtful: Collection[str] = ()
    if not isinstance(settings, FilesSettings) and settings.geography is not None:
        rules = [rule for kind in wiring.settings.erasure.subjects.values() for rule in kind.get(source, ())]
        doubtful = _Doubts.of(settings.geography, rules, profile, erased).found()
    return less_erased(profile, erased, doubtful)


@dataclass(frozen=True)
class _Doubts:
    """``befell``: by title what was erased of a table and its parts; ``bound``: (title, column) that take no NULL."""

    geography: GeographySettings
    rules: Sequence[ErasureRule]
    befell: dict[str, ErasedRows]
    bound: set[tuple[str, str]]

    @classmethod
    def of(
        cls, geography: GeographySettings, rules: Sequence[ErasureRule], profile: Profile, erased: Erased
    ) -> _Doubts:
        made = cls(geography, rules, {}, set())
        for table in profile.tables:
            for title in titles_of(table):
                made.befell.setdefault(title, ErasedRows()).add(erased.get(titles_of(table)[0], ErasedRows()))
                made.bound.update((title, column.name) for column in table.columns if not column.nullable)
        return made

    def found(self) -> set[str]:
        return {title for title in self.geography.tables if self._is_doubtful(title)}

    def _is_doubtful(self, title: str) -> bool:
        here = self.geography.tables.get(title)
        if here is None:  # a level's own
            return False
        for emptied in self._emptied(title):
            left = here.columns - emptied
            if left != here.columns and (left or any((title, name) in self.bound for name in here.columns)):
                return True
        if here.of is None:
            return False
        followed = all(self._follows(rule, title) for rule in self.rules if _deletes(rule, here.of))
        return (
            self._is_doubtful(here.of)
            or self._are_moved(here.of)
            or (bool(self.befell.get(here.of, ErasedRows()).deleted) and not followed)
        )

    def _are_moved(self, title: str) -> bool:
        """Whether rows of a table lost their place, and with it those that are placed through them."""
        here = self.geography.tables.get(title)
        return here is not None and any(here.columns & emptied for emptied in self._emptied(title))

    def _emptied(self, title: str) -> Iterator[set[str]]:
        """What each rule may have emptied in rows of a table."""
        if not self.befell.get(title, ErasedRows()).anonymized:
            return
        for rule in self.rules:
            if rule.table == title:
                yield set(rule.columns)
            yield from ({*link.columns, link.through} for link in rule.tables.get(title, ()) if link.columns)

    def _follows(self, rule: ErasureRule, title: str) -> bool:
        """Whether it sees to the rows of a table that are placed through those that it deletes."""
        here = self.geography.tables[title]
        links = rule.tables.get(title, ())
        return any(link.through == here.through and (link.of or rule.table) == here.of for link in links)


def _deletes(rule: ErasureRule, title: str) -> bool:
    said: list[Said] = [*([rule] if rule.table == title else []), *rule.tables.get(title, ())]
    return any(one.action == "delete" for one in said)
