"""Columns that look personal and that nobody decided about: found before a row is saved, tokenized for the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..anonymize.actions import Tokenize
from ..config.settings import TableSettings
from ..core.errors import ColumnUnclassified, KeyUnavailable
from ..sources.port import Table, TableSnapshot
from .classifying import classified, policy_of
from .warnings import tokenized

if TYPE_CHECKING:
    from .parent_state import ParentState

_SHOWN: Final = 5
_HINT: Final = "give each a policy (rlg-backup privacy scan proposes some), or keep it by name"


class Undecided:
    """Those of one snapshot. What the run before found stays found until somebody decides: a sample that holds nothing
    tonight, of a column that held something last night, must not save it in clear, nor its table whole."""

    def __init__(
        self,
        source: str,
        snapshot: TableSnapshot,
        settings: TableSettings,
        parent: ParentState | None = None,
        *,
        keyed: bool,
    ) -> None:
        """``keyed``: whether there is a tokenization key; ``parent``: what the run before left, where it counts."""
        self._source, self._snapshot, self._settings = source, snapshot, settings
        self._parent, self._keyed = parent, keyed
        self._found: dict[str, dict[str, str]] = {}  # root of the tables > column > kind

    def find(self) -> list[str]:
        """Looks at all tables; the warnings. Raises ColumnUnclassified where the configuration says so, or where no
        token fits, KeyUnavailable where there is nothing to tokenize with."""
        why: dict[str, str] = dict(self._of_before())
        for one in classified(self._snapshot, self._settings, lambda policy: policy is None, lambda table: None):
            if one.found.personal and not one.able:
                cause = "it is personal by 'classes', has no policy, and its type takes no token"
                raise ColumnUnclassified("back up", one.title, cause, "give it another policy, or keep it by name")
            if one.found.personal:
                kind = one.found.kind or "by 'classes'"
                self._found.setdefault(one.table.root, {})[one.column] = kind
                why[one.title] = f"{kind}, confidence {one.found.confidence:.2f}"
        if why and (self._settings.unclassified == "fail" or not self._keyed):
            self._refuse(why)
        return [tokenized(column, reason) for column, reason in sorted(why.items())]

    def of(self, table: Table) -> Mapping[str, str]:
        """The columns of a table to tokenize, each with the kind of data found there; the same for all that a table is
        cut into, but for those parts of which somebody decided by their own name. What inherits from one table may have
        columns of its own with one name and types that take no token."""
        found = self._found.get(table.root, {})
        names = [one.name for one in table.columns if one.name in found and one.kind in Tokenize.takes]
        return {name: found[name] for name in names if policy_of(self._settings, table.titles, name) is None}

    def _of_before(self) -> Iterator[tuple[str, str]]:
        for table in self._snapshot.tables if self._parent else ():
            assert self._parent is not None
            names = {column.name for column in table.columns if column.kind in Tokenize.takes}
            for column, kind in self._parent.detected(table).items():
                if column in names and policy_of(self._settings, table.titles, column) is None:
                    self._found.setdefault(table.root, {})[column] = kind
                    yield f"{table.root}.{column}", f"{kind}, found by the run before"

    def _refuse(self, why: Mapping[str, str]) -> None:
        names = [f"{column} ({reason})" for column, reason in sorted(why.items())]
        shown = "; ".join(islice(names, _SHOWN)) + (f"; and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
        if self._settings.unclassified == "fail":
            cause = f"columns look personal and have no policy: {shown}"
            raise ColumnUnclassified("back up", self._source, cause, _HINT)
        cause = f"columns look personal, have no policy, and there is no key to tokenize them with: {shown}"
        raise KeyUnavailable("back up", self._source, cause, f"set 'tokenization.key', or {_HINT}")
