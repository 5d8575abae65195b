"""Whether texts hold given names: by a list, so only together with a column's name that says so, too."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from .column_names import words_of

_LONGEST = 60  # characters: what is longer is a sentence, and those speak of people, too
_WORD = re.compile(r"[^\W\d_]+")


def holds_given_name(text: str) -> bool:
    """Whether a word of a short text is a given name of the list (684, of Europe, Africa, the Near East, India, Japan,
    in Latin and their own letters)."""
    if len(text) > _LONGEST:
        return False
    return any(" ".join(words_of(word)) in _known() for word in _WORD.findall(text))


@cache
def _known() -> frozenset[str]:
    listed = files(__package__).joinpath("given_names.txt").read_text("utf-8")
    return frozenset(" ".join(words_of(name)) for name in listed.split())
