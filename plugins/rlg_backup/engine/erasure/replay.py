"""What a restore of a source must leave out: the ledger's requests, under the configuration's rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ...catalog.writing import NO_ERASURES
from ...config.erasure import ErasureRule
from ...config.settings import FilesSettings
from ...core.errors import BackupError, ErasureUndecided
from ...core.model import Check, Verdict
from ...format.commit import Erasures
from ...format.profile import Profile
from ..wiring import Wiring
from .aside import HINT, NOTHING_ASIDE, SetAside, numbers_told
from .files import TreeErasing
from .ledger import is_as_known, known
from .plan import plan
from .rows import TableErasing
from .subjects import Subjects


@dataclass(frozen=True)
class Replay:
    """``requests``: how many concern the source; ``head``: of the ledger they were read from; ``unasked``: targets that
    may know of more, and why they were not heard. ``rules`` are of those kinds that there are requests of."""

    requests: int = 0
    rules: tuple[tuple[Subjects, ErasureRule], ...] = ()
    unasked: Mapping[str, BackupError] = field(default_factory=dict)
    placing: Mapping[str, frozenset[str]] = field(default_factory=dict)
    aside: SetAside = NOTHING_ASIDE
    head: Erasures = NO_ERASURES

    def tables(self, profile: Profile, masked: Collection[str]) -> TableErasing:
        """Raises ErasureUndecided where the rules do not fit the backup."""
        return TableErasing(plan(self.rules, profile, masked), profile, self.placing)

    def tree(self, profile: Profile) -> TreeErasing:
        return TreeErasing([(subjects, text) for subjects, rule in self.rules for text in rule.files], profile)

    def require_all(self, wiring: Wiring, source: str) -> None:
        """To be called just before what was restored takes its name. Raises ErasureUndecided when a request was
        recorded since this was read: its rows are there. Raises as ``replay_for``, too."""
        if is_as_known(wiring, self.head, self.aside.numbers):
            return
        if replay_for(wiring, source, self.aside).requests != self.requests:
            cause = "a request to erase was recorded while it was being restored"
            raise ErasureUndecided("restore", source, cause, "restore again: that leaves it out")

    @property
    def warnings(self) -> list[str]:
        told = (f"target '{name}' may know of more requests to erase: {error}" for name, error in self.unasked.items())
        return [*self.aside.warnings, *told]

    def late(self, at: datetime) -> list[str]:
        """What is wrong with what was found in a backup of that time, and with what was not: after a request the live
        data is erased, and who asks was there before."""
        late = {subjects.kind: subjects.late(at) for subjects, _ in self.rules}
        cause = "their live data was not erased, or their key was given again to somebody who is left out now"
        told = [
            f"erasures: {count:,} of kind '{kind}' asked before this backup was made: {cause}"
            for kind, count in late.items()
            if count
        ]
        unfound = {subjects.kind: subjects.unfound(at) for subjects, _ in self.rules}
        cause = "see that their keys were given as the column holds them"
        return told + [
            f"erasures: requests of kind '{kind}' that find nothing here: {numbers_told(numbers)}: {cause}"
            for kind, numbers in unfound.items()
            if numbers
        ]

    def checks(self) -> list[Check]:
        """For a drill: a ledger that was not read everywhere is never green."""
        found = [
            Check("erasures", f"ledger on {name}", Verdict.COULD_NOT_VERIFY, str(error), "the ledger of the others")
            for name, error in self.unasked.items()
        ]
        return [
            *found,
            *self.aside.checks(),
            Check("erasures", "ledger", Verdict.PASS, f"{self.requests:,} requests replayed", "all of them"),
        ]


def replay_for(wiring: Wiring, source: str, aside: SetAside = NOTHING_ASIDE) -> Replay:
    """What is to be replayed in a restore of a source, but for the requests that are set ``aside``.

    Raises as ``known``; KeyUnavailable for requests whose erasure key is not here, and ErasureUndecided for those of a
    kind that the configuration does not have: then nobody can tell whom they mean.
    """
    ledger = known(wiring, aside.numbers)
    kinds = wiring.settings.erasure.subjects
    rules: list[tuple[Subjects, ErasureRule]] = []
    requests = 0
    for kind in sorted({one.entry.kind for one in ledger.entries}):
        if kind not in kinds:
            cause = f"the erasure ledger has requests of the kind '{kind}', which 'erasure.subjects' does not have"
            told = numbers_told(one.entry.sequence for one in ledger.entries if one.entry.kind == kind)
            hint = f"docs/configuration.md shows 'erasure'; {HINT.format(told)}"
            raise ErasureUndecided("restore", source, cause, hint)
        if source in kinds[kind]:
            subjects = Subjects.of(wiring, ledger, kind)
            requests += len(subjects)
            rules += [(subjects, rule) for rule in kinds[kind][source]]
    return Replay(requests, tuple(rules), ledger.passed_over, _placing(wiring, source), aside, ledger.head)


def _placing(wiring: Wiring, source: str) -> dict[str, frozenset[str]]:
    """Table > the columns that say where its rows belong."""
    settings = wiring.source_settings(source)
    if isinstance(settings, FilesSettings) or settings.geography is None:
        return {}
    return {name: table.columns for name, table in settings.geography.tables.items()}
