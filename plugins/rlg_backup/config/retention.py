"""How long backups are kept, and what becomes of them then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ..core.model import Kind, Tier
from ..core.span import Span
from .fields import Name, Strict, Texts


def _span(value: object) -> object:
    return value if isinstance(value, Span) else Span.parse(str(value))


Duration = Annotated[Span, BeforeValidator(_span)]  # "3 months", "10 days", "forever"
AtLeast = Annotated[int, Field(ge=0)]


class Archive(Strict):
    """What is too old is moved to a colder ``tier`` and kept there until it is as old as ``keep``, on targets that have
    tiers; others mark and remove it."""

    tier: Literal[Tier.COOL, Tier.COLD, Tier.ARCHIVE]
    keep: Duration = Span(endless=True)


class RetentionRules(Strict):
    """How long backups of each kind are kept, and how many of each at least, whatever their age. ``grace``: how long
    one that is marked can still be brought back. ``longest_gap``: a longer time between two backups is a clock that
    jumped, or a pause: for a grace time after it nothing is removed."""

    full: Duration = Span(months=3)
    incremental: Duration = Span(months=1)
    differential: Duration = Span(months=1)
    at_least: dict[Kind, AtLeast] = Field(default={Kind.FULL: 2})
    grace: Duration = Span(days=7)
    longest_gap: Duration = Span(days=35)
    archive: Archive | None = None

    def age(self, kind: Kind) -> Span:
        return {Kind.FULL: self.full, Kind.INCREMENTAL: self.incremental, Kind.DIFFERENTIAL: self.differential}[kind]


class RetentionOverride(Strict):
    """What is otherwise for one source, or on one target."""

    full: Duration | None = None
    incremental: Duration | None = None
    differential: Duration | None = None
    at_least: dict[Kind, AtLeast] | None = None
    grace: Duration | None = None
    longest_gap: Duration | None = None
    archive: Archive | None = None


class Retention(RetentionRules):
    """The rules, and others for some ``sources`` and on some ``targets``: one that keeps for longer is an archive of
    what goes elsewhere. ``trusted``: who signs holds and expiries, and nothing else, in place of ``signing.trusted``.
    ``queue``: of the tasks that mark and remove."""

    trusted: Texts = ()
    queue: str = "backup"
    sources: dict[Name, RetentionOverride] = Field(default={})
    targets: dict[Name, RetentionOverride] = Field(default={})

    def rules(self, source: str, target: str) -> RetentionRules:
        """What holds for a source on a target: what is said of the target goes first."""
        found = {name: getattr(self, name) for name in RetentionRules.model_fields}
        for own in (self.sources.get(source), self.targets.get(target)):
            given = {name: getattr(own, name) for name in RetentionOverride.model_fields} if own else {}
            found |= {name: value for name, value in given.items() if value is not None}
        return RetentionRules(**found)
