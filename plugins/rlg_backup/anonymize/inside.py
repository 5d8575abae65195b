"""Policies that tokenize parts of a text and leave the rest: scrub, and tokenize with paths or elements."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl
import pyarrow as pa

from .actions import Subject, Tokenize
from .forms import NULL, SPANS, UTF8, in_form
from .json_spans import json_spans, parse_path
from .shapes import CANDIDATE, HARMLESS, places_in
from .spans import Span, bracketed
from .values import strings

_ELEMENT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^{},"]+)', re.DOTALL)  # of PostgreSQL's text of an array


class _Inside(ABC):
    """What these share: the distinct texts of a column, each with its spans."""

    name: ClassVar[str]
    reversible: ClassVar[bool] = True
    keyed: ClassVar[bool] = True

    @property
    def longest(self) -> int | None:
        return None

    @abstractmethod
    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """Of each text, in order and apart."""

    def apply(self, subject: Subject, values: pa.Array) -> tuple[pa.Field, pa.Array] | None:
        """Of a batch that is not all text the whole values become tokens: they come back as well."""
        form, key = subject.form(), subject.required_key()
        if form == NULL:
            return subject.field, values
        if form != UTF8:
            return Tokenize().apply(subject, values)
        encoded = values.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        made = strings(bracketed(texts, self.spans(texts), key.tokens))
        return in_form(subject.field, SPANS), made.take(encoded.indices)


@dataclass(frozen=True)
class Scrub(_Inside):
    """What looks like personal data within a text becomes tokens."""

    name: ClassVar[str] = "scrub"
    takes: ClassVar[frozenset[str]] = frozenset(("any", "text", "json", "array"))

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        plain = pl.Series(texts, dtype=pl.String)
        possible = plain.str.replace_all(HARMLESS, "~").str.contains(CANDIDATE)
        found: list[list[Span]] = [[] for _ in texts]
        for place in possible.arg_true():
            found[place] = [Span(*one) for one in places_in(texts[place])]
        return found

    def personal(self, subject: Subject, values: pa.Array) -> pa.Array | None:
        """None: an address in a chat is no column's, and what a text says besides stays as it is."""
        return None


@dataclass(frozen=True)
class TokenizePaths(_Inside):
    """The values at ``paths`` of JSON texts become tokens; a text that is no JSON becomes one."""

    paths: tuple[str, ...]

    name: ClassVar[str] = "tokenize"
    takes: ClassVar[frozenset[str]] = frozenset(("any", "text", "json"))

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        paths = [parse_path(path) for path in self.paths]
        found = ((text, json_spans(text, paths)) for text in texts)
        return [[Span(0, len(text))] if text and some is None else some or [] for text, some in found]

    def personal(self, subject: Subject, values: pa.Array) -> pa.Array | None:
        return _texts_at(subject, self, values)


@dataclass(frozen=True)
class TokenizeElements(_Inside):
    """Each element of an array becomes a token; NULL stays."""

    elements: bool = True

    name: ClassVar[str] = "tokenize"
    takes: ClassVar[frozenset[str]] = frozenset(("array",))

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        return [_elements(text) for text in texts]

    def personal(self, subject: Subject, values: pa.Array) -> pa.Array | None:
        return _texts_at(subject, self, values)


def _elements(text: str) -> list[Span]:
    """The bounds that an array may begin with stand before its first brace."""
    found = (one.span(1) if one[2] is None else one.span(2) for one in _ELEMENT.finditer(text, max(0, text.find("{"))))
    return [Span(*place) for place in found if place[0] < place[1] and text[slice(*place)] != "NULL"]


def _texts_at(subject: Subject, action: _Inside, values: pa.Array) -> pa.Array:
    """What an action hides of a column; all of a batch that is not all text."""
    if subject.form() != UTF8:
        return values
    texts = values.unique().drop_null().to_pylist()
    return strings(
        [text[one.start : one.end] for text, some in zip(texts, action.spans(texts), strict=True) for one in some]
    )
