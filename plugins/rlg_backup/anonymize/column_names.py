"""Classifies a column by its name and its table's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from string import digits
from typing import Final

from .column_words import ABOUT, ADDRESS, ASKING, NAME, PERSONS, PHRASES, PLACE
from .shapes import EMAIL, IP

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d?|[^\W\d_A-Za-z]+|\d+")
_OF_PERSONS: Final = 0.7  # what ``name`` weighs in a table of persons, or behind a word for one


def words_of(name: str) -> list[str]:
    """The words of a name, split at case and at all that is no letter; lower case, Latin letters without accents."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not "\u0300" <= c <= "\u036f")
    plain = unicodedata.normalize("NFC", bare).replace("ß", "ss")
    return [word.lower() for word in _WORD.findall(plain)]


def kinds_of_name(table: str, column: str) -> Mapping[str, float]:
    """Kind > weight of what the column's name says, where it says anything. Pure."""
    words = words_of(column)
    if not words or words[0] in ASKING:
        return {}
    found: dict[str, float] = {}
    start = 0
    while start < len(words):
        size, said = _phrase_at(words[start : start + _longest()])
        if said is not None and not _only_about(words[start + size :], said[0]):
            kind, weight = said[0], _as_of_somebody(said[1], said[0], words[:start], table)
            found[kind] = max(weight, found.get(kind, 0))
        start += size
    if found.keys() & {EMAIL, IP}:
        found.pop(ADDRESS, None)  # ``email_address``, ``ip_address``
    return found


def _phrase_at(words: Sequence[str]) -> tuple[int, tuple[str, float] | None]:
    """How many words the longest phrase takes that begins here, and what it says; 1 and None where none does. A number
    behind it is one of several: ``phone2``."""
    for size in range(len(words), 0, -1):
        phrase = " ".join(words[:size])
        for spelt in (phrase, phrase.rstrip(digits)):
            if (said := _phrases().get(spelt)) is not None:
                return size, said
    return 1, None


def _only_about(after: Sequence[str], kind: str) -> bool:
    return kind != PLACE and bool(ABOUT & set(after))


def _as_of_somebody(weight: float, kind: str, before: Sequence[str], table: str) -> float:
    """``name`` alone is that of anything; in a table of persons it is somebody's."""
    if kind != NAME or weight >= _OF_PERSONS:
        return weight
    near = before[-1:] or words_of(table.rpartition(".")[2])
    return _OF_PERSONS if any(word in PERSONS or word.removesuffix("s") in PERSONS for word in near) else weight


def is_place(table: str) -> bool:
    """Whether a table's name says that it lists places."""
    return any(_phrases().get(word, ("", 0))[0] == PLACE for word in words_of(table.rpartition(".")[2]))


@cache
def _phrases() -> dict[str, tuple[str, float]]:
    found: dict[str, tuple[str, float]] = {}
    for said, phrases in PHRASES.items():
        found.update({" ".join(words_of(phrase)): said for phrase in phrases})
    return found


@cache
def _longest() -> int:
    return max(len(phrase.split()) for phrase in _phrases())
