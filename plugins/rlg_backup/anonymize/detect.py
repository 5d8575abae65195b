"""What a column holds, by its name and a sample of its values: personal data, geography, money, or none of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from .column_names import is_place, kinds_of_name
from .column_values import Sampled, sampled
from .column_words import CLASS_OF, NAME, PERSONAL, PLACE, PLAIN

LOOKS: Final = 0.5
"""The confidence from which a column is said to be of a class."""
_CONTRADICTED: Final = 0.25  # of a name's weight that is left where the values cannot be what it says


@dataclass(frozen=True)
class Classification:
    """What a column seems to hold. ``kind`` is of personal data, or empty.

    ``confidence`` (0 to 1) estimates the chance that the column is of the class: that of its name (``column_words``)
    and that of its values (``column_values``), taken as independent: 1 - (1 - name) * (1 - values). From LOOKS on it
    counts.
    ``found`` of ``looked`` sampled values had the kind's shape. Holds no value.
    """

    of_class: str
    kind: str
    confidence: float
    looked: int
    found: int

    @property
    def personal(self) -> bool:
        return self.of_class == PERSONAL


def classify(table: str, column: str, values: pa.Array | None) -> Classification:
    """The class of a column. ``values``: a sample of it, NULL among them or not; None where there are no rows.

    Truth values are nobody's. Pure.
    """
    if values is not None and pa.types.is_boolean(values.type):
        return Classification(PLAIN, "", 1.0, len(values) - values.null_count, 0)
    named = dict(kinds_of_name(table, column))
    if NAME in named and is_place(table):
        del named[NAME]
        named[PLACE] = 0.8  # as the word itself
    seen = Sampled(0) if values is None else sampled(values, named=named)
    scores = {kind: _score(kind, named.get(kind, 0.0), seen) for kind in sorted({*named, *seen.rows})}
    for personal in (True, False):
        likely = [
            (kind in named, score, kind)
            for kind, score in scores.items()
            if score >= LOOKS and (kind not in CLASS_OF) is personal
        ]
        if likely:  # of several, one that the name says, too: numbers of versions look like addresses
            _, best, kind = max(likely)
            found = seen.rows.get(kind, 0)
            return Classification(CLASS_OF.get(kind, PERSONAL), kind if personal else "", best, seen.looked, found)
    most = max((score for score in scores.values()), default=0.0)
    return Classification(PLAIN, "", 1 - most, seen.looked, 0)


def _score(kind: str, named: float, seen: Sampled) -> float:
    if named and not seen.plausible(kind):
        named *= _CONTRADICTED
    return 1 - (1 - named) * (1 - seen.confidence(kind))
