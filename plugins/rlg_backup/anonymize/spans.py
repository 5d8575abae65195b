"""Text in which some spans are tokens (docs/FORMAT.md, section 7): of scrubbed columns, and within JSON and arrays.

``[rlg1:TOKEN]`` stands for the text of a span, ``"[rlg1=TOKEN]"`` for a JSON value that is no text (the quotes are part
of it, so that the document stays JSON), and ``[rlg1]`` for ``[rlg1`` that was there before. TOKEN is base64url without
padding. A mark has its first character nowhere else, so that it never comes about where two parts meet.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
import pyarrow as pa

from .values import binaries, strings

_MARK: Final = "[rlg1"
_UNIT: Final = re.compile(r'"\[rlg1=([A-Za-z0-9_-]+)\]"|\[rlg1(?::([A-Za-z0-9_-]+))?\]')

Tokens = Callable[[pa.Array], pa.Array]
"""Plaintexts (binary, none NULL) to tokens, or back."""


@dataclass(frozen=True, order=True)
class Span:
    """Characters ``start`` to before ``end``. ``whole``: a JSON value that is no text."""

    start: int
    end: int
    whole: bool = False


def bracketed(texts: Sequence[str], spans: Sequence[Sequence[Span]], tokens: Tokens) -> list[str]:
    """The texts with their spans, which are in order and apart, as tokens: one call for all that differ."""
    found = {text[span.start : span.end] for text, some in zip(texts, spans, strict=True) for span in some}
    plain = sorted(found)
    made = tokens(binaries([b"t" + one.encode() for one in plain])).to_pylist() if plain else []
    names = {one: urlsafe_b64encode(token).decode().rstrip("=") for one, token in zip(plain, made, strict=True)}
    return [_with_tokens(text, some, names) for text, some in zip(texts, spans, strict=True)]


def _with_tokens(text: str, spans: Iterable[Span], names: dict[str, str]) -> str:
    parts, at = [], 0
    for span in spans:
        name = names[text[span.start : span.end]]
        parts += [_escaped(text[at : span.start]), f'"{_MARK}={name}]"' if span.whole else f"{_MARK}:{name}]"]
        at = span.end
    return "".join([*parts, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return text.replace(_MARK, f"{_MARK}]")


def without_tokens(texts: pl.Series) -> pl.Series:
    """What bracketed texts show to whoever has no key."""
    return texts.str.replace_all(_UNIT.pattern, "~")


def tokens_in(texts: Iterable[str]) -> list[bytes]:
    """The distinct tokens that bracketed texts hold. Raises ValueError for what no token is written as."""
    names = {name for text in texts for pair in _UNIT.findall(text) for name in pair if name}
    return [_token(name) for name in sorted(names)]


def plain(texts: Sequence[str], plaintexts: dict[bytes, bytes]) -> pa.Array:
    """The texts as they were; ``plaintexts``: of each token. Raises ValueError for one of another class than text."""

    def instead(unit: re.Match[str]) -> str:
        name = unit[1] or unit[2]
        if name is None:
            return _MARK
        value = plaintexts[_token(name)]
        if value[:1] != b"t":
            raise ValueError("a span that is no text")
        return value[1:].decode()

    return strings([_UNIT.sub(instead, text) for text in texts])


def _token(name: str) -> bytes:
    return urlsafe_b64decode(name + "=" * (-len(name) % 4))
