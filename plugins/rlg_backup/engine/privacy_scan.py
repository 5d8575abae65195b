"""privacy scan: what the columns of a source, or the names of a tree, seem to hold, and which policies would suit.

Reads samples only, at one instant, and writes nothing. Results hold names and counts, never a value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from ..anonymize.resolution import pattern_of
from ..config.settings import FilesSettings, TableSettings
from .classifying import ClassifiedColumn, classified
from .limits import in_our_words
from .wiring import Wiring

NAMES: Final = 100_000  # of a tree's, at most
PROPOSED: Final = "tokenize"  # for every kind: nothing is lost by it
INSTEAD: Final = "redact"  # where the type takes no token


@dataclass(frozen=True)
class ScannedColumn:
    """``pattern`` is how the configuration names it, ``policy`` what it says; ``proposed`` what to say where it says
    nothing of a column that looks personal, else None. ``found`` of ``sampled`` values had the shape of the kind."""

    column: str
    pattern: str
    of_class: str
    kind: str
    confidence: float
    sampled: int
    found: int
    policy: str | None
    proposed: str | None

    def to_json(self) -> dict[str, Any]:
        fields = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("of_class", "pattern")
        }
        return {**fields, "class": self.of_class, "confidence": round(self.confidence, 2)}


@dataclass(frozen=True)
class Scanned:
    """Columns in the order of the source, each once; ``tables`` were sampled. Of a tree: how many ``names`` were looked
    at, and how many hold a ``kind``."""

    source: str
    columns: tuple[ScannedColumn, ...] = ()
    tables: int = 0
    names: int = 0
    kinds: tuple[tuple[str, int], ...] = ()

    @property
    def proposals(self) -> tuple[ScannedColumn, ...]:
        """The columns to decide about."""
        return tuple(one for one in self.columns if one.proposed)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "tables": self.tables,
            "columns": [one.to_json() for one in self.columns],
            "policies": {one.pattern: one.proposed for one in self.proposals},
            "names": self.names,
            "kinds": dict(self.kinds),
        }


def scan(wiring: Wiring, source: str) -> Scanned:
    """Raises SourceUnknown, and what opening the source raises."""
    with in_our_words("scan", source):
        settings = wiring.source_settings(source)
        return _names(wiring, source) if isinstance(settings, FilesSettings) else _columns(wiring, source, settings)


def _columns(wiring: Wiring, source: str, settings: TableSettings) -> Scanned:
    found: dict[str, ScannedColumn] = {}
    tables: list[str] = []
    with wiring.table_source(source).snapshot() as snapshot:

        def tell(table: str) -> None:
            tables.append(table)
            wiring.progress(f"scan {source}", len(tables), len(snapshot.tables))

        for one in classified(snapshot, settings, lambda policy: True, tell):
            column = _scanned(one)
            before = found.get(one.title)
            if before is None or (column.of_class == "personal", column.confidence) > (
                before.of_class == "personal",
                before.confidence,
            ):
                found[one.title] = column  # of a table in parts, what speaks most for personal data
    return Scanned(source, tuple(found.values()), len(tables))


def _scanned(one: ClassifiedColumn) -> ScannedColumn:
    found = one.found
    proposed = (PROPOSED if one.able else INSTEAD) if found.personal and one.policy is None else None
    facts = (found.of_class, found.kind, found.confidence, found.looked, found.found)
    return ScannedColumn(one.title, pattern_of(one.table.root, one.column), *facts, one.policy, proposed)


def _names(wiring: Wiring, source: str) -> Scanned:
    from ..anonymize.leaks import scan_name
    from ..anonymize.originals import Originals

    kinds, nothing, names = Counter[str](), Originals(bytes(32)), 0
    with wiring.file_source(source).snapshot() as tree:
        for names, entry in enumerate(islice(tree.entries(), NAMES), 1):
            said = [entry.path, *(value for _, value in entry.xattrs)]
            said += [entry.target] if entry.kind == "symlink" else []
            kinds.update(frozenset[str]().union(*(scan_name(one, nothing) for one in said)))
            if names % 1000 == 0:
                wiring.progress(f"scan {source}", names, 0)
    return Scanned(source, names=names, kinds=tuple(sorted(kinds.items())))
