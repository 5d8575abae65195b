"""Classifies a column by a sample of its values."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl
import pyarrow as pa

from .column_names import kinds_of_name
from .column_words import ACCOUNT, ADDRESS, BIRTH, DEVICE, IDENTITY, NAME
from .given_names import holds_given_name
from .leaks import kinds_by_shape
from .national_numbers import country_number
from .phone_formats import is_national_phone
from .shapes import CARD, EMAIL, IBAN, IP, PHONE
from .text import text_of

SHARE: Final = 0.02
"""The part of a column's values from which a kind of personal data makes it a column of that kind."""
_SHARES: Final = {NAME: 0.3}  # given names are words, too, and names of places
_SURE: Final = {EMAIL: 0.99, PHONE: 0.9, IP: 0.9, CARD: 0.95, IBAN: 0.99, NAME: 0.7, IDENTITY: 0.9}
_SURE_BY_KEY: Final = 0.9  # of what the keys of JSON say
_KEY_WEIGHT: Final = 0.8  # of a key's name that counts
_PARSED: Final = 200  # values of a sample, at most
_PARSED_LENGTH: Final = 1 << 16
_NATIONAL: Final = 50  # distinct values that are tried as numbers of every country
_DEEPEST: Final = 20


@dataclass(frozen=True)
class Sampled:
    """What the sample of a column held: ``looked`` non-NULL values, ``rows`` of these by kind; how many could be of a
    kind at all is told by ``plausible``. Holds texts: never logged, never kept."""

    looked: int
    rows: Mapping[str, int] = field(default_factory=dict)
    by_key: frozenset[str] = frozenset()
    _texts: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.String), repr=False)

    def confidence(self, kind: str) -> float:
        """The chance that at least SHARE of the column's values hold the kind, times how surely its shape is that."""
        sure = _SURE_BY_KEY if kind in self.by_key else _SURE.get(kind, 0.0)
        return sure * at_least(self.rows.get(kind, 0), self.looked, _SHARES.get(kind, SHARE))

    def plausible(self, kind: str) -> bool:
        """Whether values could be what a name says, in SHARE of them at least; always where there are too few."""
        possible = _POSSIBLE.get(kind)
        if possible is None or self.looked < 1 / SHARE:
            return True
        return sum(map(possible, self._texts)) >= SHARE * self.looked


def sampled(values: pa.Array, *, named: Collection[str]) -> Sampled:
    """Looks at a sample of a column, of text or whole numbers; nothing is seen of NULL and other types.

    ``named`` are the kinds that the column's name says.
    """
    text = _as_text(values)
    if text is None or not len(text):
        return Sampled(0)
    rows = Counter(kinds_by_shape(text))
    distinct = text.unique(maintain_order=True)
    if country_number(distinct.head(2 * _NATIONAL).to_list()):
        rows[IDENTITY] = len(text)
    if NAME in named:
        rows[NAME] = _count(text, holds_given_name)
    if not rows[PHONE]:
        rows[PHONE] = _national_phones(text, distinct)
    keyed = _kinds_by_key(text)
    by_key = frozenset(kind for kind in keyed if not rows[kind])
    rows.update({kind: keyed[kind] for kind in by_key})
    return Sampled(len(text), {kind: number for kind, number in rows.items() if number}, by_key, text)


def _as_text(values: pa.Array) -> pl.Series | None:
    """Whole numbers, too: identity and card numbers are often kept as such."""
    if pa.types.is_integer(values.type):
        return pl.Series(pl.from_arrow(values.drop_null())).cast(pl.String)
    return text_of(values)


def at_least(rows: int, looked: int, share: float) -> float:
    """The chance that ``share`` or more of all values are of a kind, when ``rows`` of ``looked`` drawn ones are, and
    any share was as likely before: 1 less the distribution Beta(rows + 1, looked - rows + 1) at ``share``. 0 for no
    rows."""
    if not rows:
        return 0.0
    trials = looked + 1
    logs = (
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(share) + (trials - k) * math.log1p(-share)
        for k in range(rows + 1)
    )  # fmt: skip
    return min(1.0, sum(map(math.exp, logs)))


def _count(text: pl.Series, matches: Callable[[str], bool]) -> int:
    return sum(map(matches, text))


def _national_phones(text: pl.Series, distinct: pl.Series) -> int:
    """Rows that hold a national number, told from some of the distinct values."""
    tried = distinct.head(_NATIONAL)
    found = sum(map(is_national_phone, tried))
    return len(text) * found // len(tried)


def _kinds_by_key(text: pl.Series) -> Counter[str]:
    """Rows by kind that JSON objects say with the names of their keys."""
    rows: Counter[str] = Counter()
    documents = text.filter(text.str.contains(r"^\s*[\[{]"))
    parsed = documents.head(_PARSED)
    for document in parsed:
        rows.update(_kinds_in_document(document))
    return Counter({kind: number * len(documents) // len(parsed) for kind, number in rows.items()})


def _kinds_in_document(document: str) -> set[str]:
    if len(document) > _PARSED_LENGTH:
        return set()
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError):
        return set()
    return {
        kind
        for key, value in _pairs(parsed, 0)
        for kind, weight in kinds_of_name("", key).items()
        if weight >= _KEY_WEIGHT and (possible := _POSSIBLE.get(kind)) is not None and possible(value)
    }


def _pairs(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Each key of nested objects with its text or number."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str | int) and not isinstance(inner, bool):
                yield key, str(inner)
            yield from _pairs(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner, depth + 1)


def _digits(least: int) -> Callable[[str], bool]:
    return lambda text: sum(character.isdigit() for character in text) >= least


_POSSIBLE: Final[dict[str, Callable[[str], bool]]] = {
    EMAIL: lambda text: "@" in text,
    PHONE: _digits(6),
    IP: lambda text: "." in text or ":" in text,
    BIRTH: _digits(4),
    IDENTITY: _digits(5),
    ACCOUNT: _digits(5),
    NAME: lambda text: any(map(str.isalpha, text)) and not any(map(str.isdigit, text)),
    ADDRESS: lambda text: len(text) >= 5 and any(map(str.isalpha, text)),
    DEVICE: lambda text: len(text) >= 8,
}
